"""Restart policies, init containers, sidecars and hooks."""

from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.node.crash_backoff import CrashBackoff, seconds_text
from adapter_devcluster.objects import Object, meta
from adapter_testing.node_lab import IMAGE, NAMESPACE, NodeLab, with_node

pytestmark = pytest.mark.integration


def container(name: str, script: str, **fields: Any) -> Object:
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def count_up(folder: Path) -> str:
    """A script that knows how often it has run."""
    return f"n=$(ls {folder} | wc -l); touch {folder}/$n; echo run $n; "


def test_back_off_doubles_up_to_a_limit_and_is_forgotten() -> None:
    backoff = CrashBackoff(first=10, longest=300)
    assert [backoff.next(at) for at in range(1000, 1007)] == [0, 10, 20, 40, 80, 160, 300]
    assert backoff.next(1006 + 600) == 300
    assert backoff.next(1606 + 601) == 0


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (0.5, "0.5s"), (80, "1m20s"), (300, "5m0s")])
def test_waits_are_written_as_go_does(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_a_failing_container_is_restarted_until_it_succeeds(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        runs = tmp_path / "runs"
        runs.mkdir()
        lab.pod("p", count_up(runs) + "test $n = 2", restartPolicy="OnFailure")
        await lab.phase("p", "Succeeded")
        found = lab.container("p")
        assert (found["restartCount"], found["state"]["terminated"]["exitCode"]) == (2, 0)
        assert found["lastState"]["terminated"]["exitCode"] == 1
        assert await lab.log("p") == "run 2\n"
        assert await lab.log("p", previous=True) == "run 1\n"
        name = f"p_{NAMESPACE}({meta(lab.get('p'))['uid']})"
        assert ("BackOff", f"Back-off restarting failed container main in pod {name}") in lab.events("p")

    with_node(work, tmp_path / "node", restart_backoff_seconds=0.05)


def test_crash_loop_back_off(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "echo out; exit 0", restartPolicy="Always")
        await lab.until(
            lambda: "waiting" in lab.container("p").get("state", {}) and lab.container("p")["restartCount"] == 1
        )
        found = lab.container("p")
        name = f"p_{NAMESPACE}({meta(lab.get('p'))['uid']})"
        assert found["state"]["waiting"] == {
            "reason": "CrashLoopBackOff",
            "message": f"back-off 1m40s restarting failed container=main pod={name}",
        }
        assert found["lastState"]["terminated"]["reason"] == "Completed"
        assert lab.get("p")["status"]["phase"] == "Running"
        assert (found["ready"], found["started"]) == (False, False)
        assert await lab.log("p") == "out\n"
        assert await lab.log("p", previous=True) == "out\n"
        lab.delete("p")
        await lab.gone("p")

    with_node(work, tmp_path, restart_backoff_seconds=100)


def test_init_containers_run_one_by_one(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        order = tmp_path / "order"
        inits = [container(name, f"echo {name} >> {order}") for name in ("first", "second")]
        lab.pod("p", f"echo main >> {order}", initContainers=inits)
        await lab.phase("p", "Succeeded")
        assert order.read_text().split() == ["first", "second", "main"]
        assert [lab.container("p", name)["ready"] for name in ("first", "second", "main")] == [True, True, False]

    with_node(work, tmp_path / "node")


def test_a_pod_waits_for_its_init_containers(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "exit 0", initContainers=[container("one", "exit 0"), container("two", "sleep 60")])
        await lab.running("p", "two")
        pod = lab.get("p")
        assert pod["status"]["phase"] == "Pending"
        assert lab.container("p")["state"] == {"waiting": {"reason": "PodInitializing"}}
        found = lab.condition("p", "Initialized")
        message = "containers with incomplete status: [two]"
        assert (found["status"], found["reason"], found["message"]) == ("False", "ContainersNotInitialized", message)
        assert [one["name"] for one in pod["status"]["initContainerStatuses"]] == ["one", "two"]

    with_node(work, tmp_path)


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_a_failing_init_container(tmp_path: Path, policy: str) -> None:
    async def work(lab: NodeLab) -> None:
        runs = tmp_path / "runs"
        runs.mkdir()
        init = container("init", count_up(runs) + "test $n = 1")
        lab.pod("p", "exit 0", restartPolicy=policy, initContainers=[init])
        await lab.phase("p", "Failed" if policy == "Never" else "Succeeded")
        assert lab.container("p", "init")["restartCount"] == (0 if policy == "Never" else 1)
        state = lab.container("p")["state"]
        assert state == {"waiting": {"reason": "PodInitializing"}} if policy == "Never" else "terminated" in state

    with_node(work, tmp_path / "node")


def test_sidecars_start_first_and_end_last(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        order = tmp_path / "order"
        side = f"trap 'echo $0 ends >> {order}; exit 1' TERM; echo $0 up >> {order}; while :; do sleep 0.02; done"
        inits = [
            {**container("a", side), "restartPolicy": "Always"},
            container("init", f"echo init >> {order}"),
            {**container("b", side), "restartPolicy": "Always"},
        ]
        for one in inits:
            one["command"] = [*one["command"], one["name"]]
        # Long enough that the traps are set.
        lab.pod("p", f"sleep 0.2; echo main >> {order}", initContainers=inits)
        await lab.phase("p", "Succeeded")
        said = order.read_text().split("\n")[:-1]
        # A sidecar is waited for until it runs, not until it has said something.
        assert sorted(said[:3]) == ["a up", "b up", "init"]
        assert said[3:] == ["main", "b ends", "a ends"]
        assert lab.container("p", "a")["state"]["terminated"]["exitCode"] == 1

    with_node(work, tmp_path / "node")


def test_a_sidecar_is_restarted_whatever_the_pods_policy(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        side = {**container("side", "exit 1"), "restartPolicy": "Always"}
        lab.pod("p", "sleep 60", initContainers=[side])
        await lab.until(lambda: lab.container("p", "side").get("restartCount") == 2)
        assert lab.get("p")["status"]["phase"] == "Running"

    with_node(work, tmp_path, restart_backoff_seconds=0.01)


def test_sidecars_are_waited_for_by_their_startup_probe(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        flag = tmp_path / "flag"
        probe = {"exec": {"command": ["test", "-e", str(flag)]}, "periodSeconds": 1, "failureThreshold": 100}
        side = {**container("side", "sleep 60"), "restartPolicy": "Always", "startupProbe": probe}
        lab.pod("p", "sleep 60", initContainers=[side])
        await lab.until(lambda: "Unhealthy" in dict(lab.events("p")))
        assert lab.container("p")["state"] == {"waiting": {"reason": "PodInitializing"}}
        flag.touch()
        await lab.running("p")
        assert lab.container("p", "side")["started"] is True

    with_node(work, tmp_path / "node")


def test_hooks(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        order = tmp_path / "order"
        hooks = {
            "postStart": {"exec": {"command": ["sh", "-c", f"sleep 0.1; echo postStart >> {order}"]}},
            "preStop": {"exec": {"command": ["sh", "-c", f"sleep 0.1; echo preStop >> {order}"]}},
        }
        lab.pod("p", f"trap 'echo TERM >> {order}; exit' TERM; while :; do sleep 0.02; done", main={"lifecycle": hooks})
        await lab.running("p")
        assert order.read_text() == "postStart\n"
        lab.delete("p")
        await lab.gone("p")
        assert order.read_text().split() == ["postStart", "preStop", "TERM"]

    with_node(work, tmp_path / "node")


def test_a_hook_that_sleeps_ends_with_the_container_or_the_grace_period(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60", main={"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}})
        await lab.running("p")
        lab.delete("p", grace_seconds=1)
        await lab.gone("p")

    with_node(work, tmp_path)


def test_a_failed_post_start_hook_ends_the_container(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        hook = {"exec": {"command": ["sh", "-c", "echo no luck; exit 3"]}}
        lab.pod("p", "sleep 60", main={"lifecycle": {"postStart": hook}})
        await lab.phase("p", "Failed")
        message = "PostStartHook failed: command '[sh -c echo no luck; exit 3]' exited with 3: no luck\n"
        assert ("FailedPostStartHook", message) in lab.events("p")
        assert lab.container("p")["state"]["terminated"]["exitCode"] == 143

    with_node(work, tmp_path)


def test_a_failed_pre_stop_hook_is_reported_and_no_more(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        hook = {"exec": {"command": ["no-such-program"]}}
        lab.pod("p", "sleep 60", main={"lifecycle": {"preStop": hook}}, metadata={"finalizers": ["test/stay"]})
        await lab.running("p")
        lab.delete("p")
        await lab.phase("p", "Failed")
        reasons = dict(lab.events("p"))
        assert reasons["FailedPreStopHook"].startswith("PreStopHook failed: exec: ")

    with_node(work, tmp_path)


def test_a_container_that_ends_during_its_post_start_hook(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "exit 4", main={"lifecycle": {"postStart": {"exec": {"command": ["sleep", "60"]}}}})
        await lab.phase("p", "Failed")
        assert lab.container("p")["state"]["terminated"]["exitCode"] == 4

    with_node(work, tmp_path)


def test_a_hook_over_http(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        hook = {"httpGet": {"port": 1, "path": "/hook"}}
        lab.pod("p", "sleep 60", main={"lifecycle": {"postStart": hook}})
        await lab.phase("p", "Failed")
        address = lab.get("p")["status"]["podIP"]
        problem = f'Get "http://{address}:1/hook": dial tcp {address}:1: connect: connection refused'
        assert ("FailedPostStartHook", f"PostStartHook failed: {problem}") in lab.events("p")

    with_node(work, tmp_path)


def test_a_hook_of_a_kind_that_is_gone(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60", main={"lifecycle": {"postStart": {"tcpSocket": {"port": 1}}}})
        await lab.phase("p", "Failed")
        message = "PostStartHook failed: cannot run handler: unknown or unsupported (tcpSocket is deprecated)"
        assert ("FailedPostStartHook", message) in lab.events("p")

    with_node(work, tmp_path)
