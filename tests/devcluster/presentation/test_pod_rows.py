from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.presentation.tables import table
from adapter_testing.table_rows import NOW, TYPES, shown

pytestmark = pytest.mark.unit

RUNNING = {"running": {}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "main", "state": state, **more}


def pod(status: dict[str, Any], spec: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "main"}], **(spec or {})}
    return {
        "metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z", **meta},
        "spec": spec,
        "status": status,
    }


def row(obj: dict[str, Any]) -> dict[str, Any]:
    return shown("pods", obj)


@pytest.mark.parametrize(
    ("status", "ready", "word"),
    [
        ({"phase": "Pending"}, "0/1", "Pending"),
        ({"phase": "Failed", "reason": "Evicted"}, "0/1", "Evicted"),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
            "0/1",
            "SchedulingGated",
        ),
        ({"phase": "Running", "containerStatuses": [container(RUNNING, ready=True)]}, "1/1", "Running"),
        ({"phase": "Running", "containerStatuses": [container(RUNNING, ready=False)]}, "0/1", "Running"),
        (
            {"phase": "Pending", "containerStatuses": [container({"waiting": {"reason": "ContainerCreating"}})]},
            "0/1",
            "ContainerCreating",
        ),
        (
            {"phase": "Running", "containerStatuses": [container({"waiting": {"reason": "CrashLoopBackOff"}})]},
            "0/1",
            "CrashLoopBackOff",
        ),
        ({"phase": "Succeeded", "containerStatuses": [container(DONE)]}, "0/1", "Completed"),
        ({"phase": "Failed", "containerStatuses": [container({"terminated": {"exitCode": 3}})]}, "0/1", "ExitCode:3"),
        (
            {"phase": "Failed", "containerStatuses": [container({"terminated": {"exitCode": 137, "signal": 9}})]},
            "0/1",
            "Signal:9",
        ),
        (
            {"phase": "Failed", "containerStatuses": [container({"terminated": {"exitCode": 1, "reason": "Error"}})]},
            "0/1",
            "Error",
        ),
    ],
)
def test_one_container(status: dict[str, Any], ready: str, word: str) -> None:
    found = row(pod(status))
    assert (found["Ready"], found["Status"]) == (ready, word)


@pytest.mark.parametrize(("condition", "word"), [("True", "Running"), ("False", "NotReady")])
def test_a_container_that_is_done_beside_one_that_runs(condition: str, word: str) -> None:
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": condition}],
        "containerStatuses": [container(DONE), container(RUNNING, ready=True)],
    }
    assert row(pod(status, {"containers": [{}, {}]}))["Status"] == word


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ([RUNNING], "Init:0/2"),
        ([DONE, RUNNING], "Init:1/2"),
        ([{"waiting": {"reason": "PodInitializing"}}], "Init:0/2"),
        ([{"waiting": {"reason": "CrashLoopBackOff"}}], "Init:CrashLoopBackOff"),
        ([{"terminated": {"exitCode": 1, "reason": "Error"}}], "Init:Error"),
        ([{"terminated": {"exitCode": 1}}], "Init:ExitCode:1"),
        ([{"terminated": {"exitCode": 1, "signal": 9}}], "Init:Signal:9"),
        ([DONE, DONE], "Pending"),
    ],
)
def test_init_containers(states: list[dict[str, Any]], word: str) -> None:
    status = {"phase": "Pending", "initContainerStatuses": [container(state) for state in states]}
    assert row(pod(status, {"initContainers": [{"name": "a"}, {"name": "b"}]}))["Status"] == word


def test_a_sidecar_counts_as_a_container_once_it_has_started() -> None:
    sidecar = {"name": "side", "restartPolicy": "Always"}
    status = {
        "phase": "Running",
        "initContainerStatuses": [
            {
                "name": "side",
                "state": RUNNING,
                "started": True,
                "ready": True,
                "restartCount": 1,
                "lastState": {"terminated": {"finishedAt": "2026-01-01T00:03:00Z"}},
            }
        ],
        "containerStatuses": [
            container(
                RUNNING, ready=True, restartCount=2, lastState={"terminated": {"finishedAt": "2026-01-01T00:04:00Z"}}
            )
        ],
    }
    found = row(pod(status, {"initContainers": [sidecar]}))
    assert (found["Ready"], found["Status"], found["Restarts"]) == ("2/2", "Running", "3 (60s ago)")
    status["initContainerStatuses"][0] |= {"started": False, "ready": False}  # type: ignore[index]
    found = row(pod({**status, "phase": "Pending", "containerStatuses": []}, {"initContainers": [sidecar]}))
    assert (found["Ready"], found["Status"], found["Restarts"]) == ("0/2", "Init:0/1", "1 (2m ago)")


def test_restarts_of_init_containers_are_forgotten_once_the_pod_is_initialized() -> None:
    init = {"name": "a", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    status: dict[str, Any] = {
        "phase": "Running",
        "initContainerStatuses": [init],
        "containerStatuses": [container(RUNNING, ready=True, restartCount=1)],
    }
    spec = {"initContainers": [{"name": "a"}]}
    assert row(pod(status, spec))["Restarts"] == "4"
    status["conditions"] = [{"type": "Initialized", "status": "True"}]
    found = row(pod(status, spec))
    assert (found["Restarts"], found["Ready"]) == ("1", "1/1")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({"phase": "Running"}, "Terminating"),
        ({"phase": "Succeeded"}, "Succeeded"),
        ({"phase": "Running", "reason": "NodeLost"}, "Unknown"),
    ],
)
def test_a_pod_that_is_deleted(status: dict[str, Any], word: str) -> None:
    assert row(pod(status, deletionTimestamp="2026-01-01T00:04:00Z"))["Status"] == word


def test_wide_cells() -> None:
    names = ("IP", "Node", "Nominated Node", "Readiness Gates")
    found = row(pod({"phase": "Pending"}))
    assert [found[name] for name in names] == ["<none>"] * 4
    status = {
        "podIPs": [{"ip": "127.1.0.1"}],
        "nominatedNodeName": "other",
        "conditions": [{"type": "a", "status": "True"}, {"type": "b", "status": "False"}],
    }
    gates = [{"conditionType": one} for one in "abc"]
    found = row(pod(status, {"nodeName": "node", "readinessGates": gates}))
    assert [found[name] for name in names] == ["127.1.0.1", "node", "other", "1/3"]


@pytest.mark.parametrize(("phase", "conditions"), [("Succeeded", 1), ("Failed", 1), ("Running", 0)])
def test_a_finished_pod_says_so_beside_its_cells(phase: str, conditions: int) -> None:
    found = table(TYPES["pods"], [pod({"phase": phase})], now_ns=NOW, resource_version="7")["rows"][0].get(
        "conditions", []
    )
    assert [(one["type"], one["status"], one["reason"]) for one in found] == [("Completed", "True", phase)] * conditions
