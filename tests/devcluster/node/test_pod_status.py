"""The phase and the conditions of a pod, from the states of its containers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.node.container_state import ContainerState, container_states
from adapter_devcluster.node.pod_status import PodFacts, pod_phase, pod_status
from adapter_devcluster.objects import Object

pytestmark = pytest.mark.unit

WAITING: Object = {"waiting": {"reason": "ContainerCreating"}}
RUNNING: Object = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
PHASES = ("Pending", "Running", "Succeeded", "Failed")


def ended(code: int) -> Object:
    return {"terminated": {"exitCode": code}}


def main(state: Object, last: Object | None = None) -> ContainerState:
    return ContainerState({"name": "main"}, "main", state, last or {})


def init(state: Object) -> ContainerState:
    return ContainerState({"name": "init"}, "init", state)


@pytest.mark.parametrize(
    ("policy", "states", "ended_for_good", "phase"),
    [
        ("Always", [main(WAITING)], False, "Pending"),
        ("Always", [main(RUNNING)], False, "Running"),
        ("Always", [main(RUNNING), main(WAITING)], False, "Pending"),
        ("Always", [main(ended(0))], False, "Running"),
        ("Always", [main(ended(0))], True, "Succeeded"),
        ("Always", [main(ended(1))], True, "Failed"),
        ("Always", [main(WAITING, ended(1))], False, "Running"),
        ("Always", [main(WAITING, ended(1))], True, "Failed"),
        ("Always", [main(WAITING)], True, "Failed"),
        ("OnFailure", [main(ended(1))], False, "Running"),
        ("OnFailure", [main(ended(0))], False, "Succeeded"),
        ("OnFailure", [main(ended(0)), main(WAITING, ended(2))], False, "Running"),
        ("Never", [main(ended(0)), main(RUNNING)], False, "Running"),
        ("Never", [main(ended(0)), main(ended(0))], False, "Succeeded"),
        ("Never", [main(ended(0)), main(ended(3))], False, "Failed"),
        ("Never", [init(RUNNING), main(WAITING)], False, "Pending"),
        ("Never", [init(ended(0)), main(WAITING)], False, "Pending"),
        ("Never", [init(ended(1)), main(WAITING)], False, "Failed"),
        ("OnFailure", [init(ended(1)), main(WAITING)], False, "Pending"),
    ],
)
def test_phase(policy: str, states: list[ContainerState], ended_for_good: bool, phase: str) -> None:
    assert pod_phase({"restartPolicy": policy}, states, ended=ended_for_good) == phase


STATES = st.sampled_from([WAITING, RUNNING, ended(0), ended(1)])


@given(st.lists(STATES, min_size=1, max_size=4), st.sampled_from(["Always", "OnFailure", "Never"]))
def test_a_pod_that_has_ended_has_a_final_phase_unless_it_runs(found: list[Object], policy: str) -> None:
    states = [main(one) for one in found]
    phase = pod_phase({"restartPolicy": policy}, states, ended=True)
    assert (phase == "Running") is (RUNNING in found)
    assert (phase == "Succeeded") is all(one == ended(0) for one in found)


def status(before: Object, states: list[ContainerState], now: str = "later", **facts: Any) -> Object:
    pod = {"metadata": {"generation": 3}, "spec": {"restartPolicy": "Never"}, "status": before}
    return pod_status(pod, states, PodFacts(host_address="127.0.0.1", start_time="then", **facts), now)


def test_what_others_wrote_is_kept() -> None:
    gate = {"type": "test/gate", "status": "True"}
    found = status({"qosClass": "Burstable", "nominatedNodeName": "x", "conditions": [gate]}, [main(RUNNING)])
    assert (found["qosClass"], found["nominatedNodeName"], found["observedGeneration"]) == ("Burstable", "x", 3)
    assert found["conditions"][-1] == gate


def test_a_condition_that_stays_keeps_its_time() -> None:
    first = status({}, [main(WAITING)], "first", address="127.64.0.1")
    second = status(first, [main(RUNNING)], "second", address="127.64.0.1")
    times = {one["type"]: one["lastTransitionTime"] for one in second["conditions"]}
    assert times == {
        "PodReadyToStartContainers": "first",
        "Initialized": "first",
        "Ready": "first",
        "ContainersReady": "first",
        "PodScheduled": "first",
    }
    running = main(RUNNING)
    running.ready = True
    third = status(second, [running], "third", address="127.64.0.1")
    assert {one["lastTransitionTime"] for one in third["conditions"] if one["type"].endswith("Ready")} == {"third"}


def test_a_pod_whose_processes_may_still_run_has_no_final_phase() -> None:
    assert status({"phase": "Running"}, [main(ended(0))])["phase"] == "Running"
    assert status({"phase": "Running"}, [main(ended(0))], ended=True)["phase"] == "Succeeded"


def test_why_a_pod_ended_before_its_time() -> None:
    found = status({"phase": "Running"}, [main(ended(0))], ended=True, phase="Failed", reason="R", message="M")
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "R", "M")


def test_a_final_phase_that_others_wrote_stays() -> None:
    before = {"phase": "Failed", "reason": "NodeLost", "message": "gone"}
    found = status(before, [main(ended(0))], ended=True, phase="Failed", reason="NodeLost", message="gone")
    assert {name: found[name] for name in before} == before
    assert status(before, [main(RUNNING)])["phase"] == "Failed"


def test_containers_before_anything_has_run() -> None:
    side = {"name": "side", "restartPolicy": "Always"}
    found = container_states({"initContainers": [{"name": "init"}, side], "containers": [{"name": "main"}]})
    assert [(one.name, one.kind) for one in found] == [("init", "init"), ("side", "sidecar"), ("main", "main")]
    assert {one.state["waiting"]["reason"] for one in found} == {"PodInitializing"}
    assert container_states({"containers": [{"name": "main"}]})[0].state == WAITING


def test_initialized_names_what_is_open() -> None:
    side = ContainerState({"name": "side"}, "sidecar", RUNNING)
    found = status({}, [init(ended(0)), side, main(WAITING)])
    condition = next(one for one in found["conditions"] if one["type"] == "Initialized")
    assert condition["message"] == "containers with incomplete status: [side]"
    side.started = True
    found = status({}, [init(ended(0)), side, main(WAITING)])
    assert next(one for one in found["conditions"] if one["type"] == "Initialized")["status"] == "True"


def test_a_pod_that_ran_stays_initialized_while_a_sidecar_restarts() -> None:
    side = ContainerState({"name": "side"}, "sidecar", WAITING)
    running = main(RUNNING)
    running.container_id = "devcluster://1"
    found = status({}, [side, running])
    assert next(one for one in found["conditions"] if one["type"] == "Initialized")["status"] == "True"
