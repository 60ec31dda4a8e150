"""Pods from their creation to their end: status, phases, events, deletion."""

import asyncio
import re
from pathlib import Path

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.node_lab import IMAGE, NAMESPACE, NodeLab, with_node
from adapter_testing.processes import wait_until

pytestmark = pytest.mark.integration


def conditions(pod: Object) -> dict[str, tuple[str, str]]:
    return {one["type"]: (one["status"], one.get("reason", "")) for one in pod["status"]["conditions"]}


def test_a_pod_that_succeeds(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "echo hello; echo done > /dev/termination-log")
        pod = await lab.phase("p", "Succeeded")
        status = pod["status"]
        assert conditions(pod) == {
            "PodReadyToStartContainers": ("False", ""),
            "Initialized": ("True", "PodCompleted"),
            "Ready": ("False", "PodCompleted"),
            "ContainersReady": ("False", "PodCompleted"),
            "PodScheduled": ("True", ""),
        }
        assert {one["observedGeneration"] for one in status["conditions"]} == {1}
        assert (status["observedGeneration"], status["qosClass"]) == (1, "BestEffort")
        assert (status["hostIP"], status["hostIPs"]) == ("127.0.0.1", [{"ip": "127.0.0.1"}])
        assert re.fullmatch(r"127\.\d+\.0\.1", status["podIP"])
        assert status["podIPs"] == [{"ip": status["podIP"]}]
        container = lab.container("p")
        ended = container["state"]["terminated"]
        assert container == {
            "name": "main",
            "image": IMAGE,
            "imageID": f"devcluster://{IMAGE}",
            "containerID": ended["containerID"],
            "state": {
                "terminated": {
                    "exitCode": 0,
                    "reason": "Completed",
                    "message": "done\n",
                    "startedAt": ended["startedAt"],
                    "finishedAt": ended["finishedAt"],
                    "containerID": ended["containerID"],
                }
            },
            "lastState": {},
            "ready": False,
            "started": False,
            "restartCount": 0,
        }
        assert re.fullmatch("devcluster://[0-9a-f]{64}", ended["containerID"])
        assert await lab.log("p") == "hello\n"
        assert lab.events("p") == [
            ("Scheduled", f"Successfully assigned {NAMESPACE}/p to devcluster"),
            ("Pulled", f'Container image "{IMAGE}" already present on machine and can be accessed by the pod'),
            ("Created", "Container created"),
            ("Started", "Container started"),
        ]

    with_node(work, tmp_path)


def test_a_pod_that_fails(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "echo bad news >&2; exit 65", main={"terminationMessagePolicy": "FallbackToLogsOnError"})
        pod = await lab.phase("p", "Failed")
        assert conditions(pod)["Ready"] == ("False", "PodFailed")
        ended = lab.container("p")["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"], ended["message"]) == (65, "Error", "bad news\n")

    with_node(work, tmp_path)


def test_a_running_pod_is_ready_until_it_is_deleted(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.02; done")
        await lab.ready("p")
        pod = lab.get("p")
        assert (pod["status"]["phase"], conditions(pod)["PodReadyToStartContainers"]) == ("Running", ("True", ""))
        assert lab.container("p")["started"] is True
        await lab.logged("p", "up")
        states: list[Object] = []
        lab.client.watch("pods", lambda change: states.append(change.object["status"]))
        lab.delete("p")
        await lab.gone("p")
        last = states[-1]
        assert (last["phase"], last["containerStatuses"][0]["state"]["terminated"]["exitCode"]) == ("Succeeded", 0)
        assert ("Killing", "Stopping container main") in lab.events("p")
        await lab.no_pod_folders()

    with_node(work, tmp_path)


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "trap '' TERM; echo up; while :; do sleep 1; done", metadata={"finalizers": ["test/stay"]})
        await lab.logged_when_running("p", "up")
        lab.delete("p", grace_seconds=1)
        await lab.phase("p", "Failed")
        assert lab.container("p")["state"]["terminated"]["exitCode"] == 137
        lab.client.patch("pods", NAMESPACE, "p", {"metadata": {"finalizers": None}})
        await lab.gone("p")

    with_node(work, tmp_path)


def test_a_later_deletion_shortens_the_grace_period(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "trap '' TERM; echo up; while :; do sleep 1; done", terminationGracePeriodSeconds=600)
        await lab.logged_when_running("p", "up")
        lab.delete("p")
        await lab.until(lambda: ("Killing", "Stopping container main") in lab.events("p"))
        lab.delete("p", grace_seconds=1)
        await lab.gone("p")

    with_node(work, tmp_path)


def test_a_forced_deletion_ends_the_processes_too(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", f"trap 'echo asked > {tmp_path}/asked; exit' TERM; echo up; while :; do sleep 0.02; done")
        await lab.logged_when_running("p", "up")
        lab.delete("p", grace_seconds=0)
        await lab.gone("p")
        await lab.no_pod_folders()
        assert (tmp_path / "asked").exists()

    with_node(work, tmp_path)


def test_a_pod_may_be_deleted_before_it_starts(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60", volumes=[{"name": "v", "configMap": {"name": "never"}}])
        await lab.until(lambda: "FailedMount" in dict(lab.events("p")))
        lab.delete("p")
        await lab.gone("p")

    with_node(work, tmp_path)


def test_the_deadline_of_a_pod(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60", activeDeadlineSeconds=1)
        pod = await lab.phase("p", "Failed")
        message = "Pod was active on the node longer than the specified deadline"
        assert (pod["status"]["reason"], pod["status"]["message"]) == ("DeadlineExceeded", message)
        # As with a real kubelet the pod has failed before its containers have ended.
        await lab.until(lambda: "terminated" in lab.container("p")["state"])
        assert lab.container("p")["state"]["terminated"]["exitCode"] == 143
        assert ("DeadlineExceeded", message) in lab.events("p")

    with_node(work, tmp_path)


def test_a_deadline_that_is_set_later(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60", activeDeadlineSeconds=600)
        await lab.running("p")
        lab.client.patch("pods", NAMESPACE, "p", {"spec": {"activeDeadlineSeconds": 1}})
        pod = await lab.phase("p", "Failed")
        assert pod["status"]["reason"] == "DeadlineExceeded"

    with_node(work, tmp_path)


def test_eviction_by_the_node(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "trap 'echo saved > /dev/termination-log; exit 75' TERM; echo up; while :; do sleep 0.02; done")
        await lab.logged_when_running("p", "up")
        lab.node.evict(NAMESPACE, "p", message="The node was low on resource: memory.")
        found = lab.condition("p", "DisruptionTarget")
        assert (found["status"], found["reason"]) == ("True", "TerminationByKubelet")
        assert lab.get("p")["status"]["phase"] == "Running"
        pod = await lab.phase("p", "Failed")
        assert (pod["status"]["reason"], pod["status"]["message"]) == (
            "Evicted",
            "The node was low on resource: memory.",
        )
        ended = lab.container("p")["state"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (75, "saved\n")
        assert ("Evicted", "The node was low on resource: memory.") in lab.events("p")
        assert lab.condition("p", "DisruptionTarget")["status"] == "True"

    with_node(work, tmp_path)


def test_an_eviction_may_leave_no_time_at_all(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "trap 'exit 75' TERM; echo up; sleep 60", terminationGracePeriodSeconds=600)
        await lab.logged_when_running("p", "up")
        lab.node.evict(NAMESPACE, "p", message="preempted", reason="Preempting", grace_seconds=0)
        await lab.phase("p", "Failed")
        assert lab.container("p")["state"]["terminated"]["exitCode"] == 137

    with_node(work, tmp_path)


def test_a_phase_that_somebody_else_ends_the_pod_with_stands(tmp_path: Path) -> None:
    """Node loss, as the pod garbage collector writes it: the kubelet then ends the containers."""

    async def work(lab: NodeLab) -> None:
        lab.pod("p", "sleep 60")
        await lab.running("p")
        status = {"phase": "Failed", "reason": "NodeLost", "message": "gone"}
        lab.client.patch("pods", NAMESPACE, "p", {"status": status}, "status")
        await lab.until(lambda: "terminated" in lab.container("p")["state"])
        pod = lab.get("p")
        assert {field: pod["status"][field] for field in status} == status

    with_node(work, tmp_path)


def test_several_containers_share_the_address_and_end_apart(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        script = "echo $ADAPTER_BIND_ADDRESS $HOSTNAME; exit "
        containers = [
            {"name": name, "image": IMAGE, "command": ["sh", "-c", script + code]}
            for name, code in (("a", "0"), ("b", "3"))
        ]
        lab.pod("p", containers=containers)
        pod = await lab.phase("p", "Failed")
        address = pod["status"]["podIP"]
        assert [await lab.log("p", container=name) for name in "ab"] == [f"{address} p\n"] * 2
        assert [lab.container("p", name)["state"]["terminated"]["reason"] for name in "ab"] == ["Completed", "Error"]

    with_node(work, tmp_path)


def test_an_image_that_nothing_stands_for(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", main={"image": "registry.test/other:1"})
        await lab.until(lambda: lab.waiting("p").get("reason") == "ImagePullBackOff")
        problem = 'failed to pull and unpack image "registry.test/other:1": no command stands for it; name one (images)'
        message = f'Back-off pulling image "registry.test/other:1": ErrImagePull: {problem}'
        assert lab.container("p")["state"]["waiting"]["message"] == message
        assert lab.get("p")["status"]["phase"] == "Pending"
        events = lab.events("p")
        assert ("Failed", f'Failed to pull image "registry.test/other:1": {problem}') in events
        assert {("Failed", "Error: ErrImagePull"), ("BackOff", 'Back-off pulling image "registry.test/other:1"')} < set(
            events
        )
        lab.delete("p")
        await lab.gone("p")

    with_node(work, tmp_path, restart_backoff_seconds=0.01)


def test_configuration_that_comes_late(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod(
            "p", "echo $A", main={"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a"}}}]}
        )
        await lab.until(
            lambda: (
                "waiting" in lab.container("p").get("state", {})
                and lab.container("p")["state"]["waiting"]["reason"] != "ContainerCreating"
            )
        )
        waiting = {"reason": "CreateContainerConfigError", "message": 'configmap "c" not found'}
        assert lab.container("p")["state"] == {"waiting": waiting}
        lab.config_map("c", b="2")
        await lab.until(
            lambda: (
                lab.container("p")["state"]["waiting"]["message"] == f"couldn't find key a in ConfigMap {NAMESPACE}/c"
            )
        )
        lab.config_map("c", a="1")
        await lab.phase("p", "Succeeded")
        assert await lab.log("p") == "1\n"
        assert ("Failed", 'Error: configmap "c" not found') in lab.events("p")

    with_node(work, tmp_path)


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", main={"command": ["no-such-program"]})
        await lab.phase("p", "Failed")
        ended = lab.container("p")["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"], ended["startedAt"]) == (128, "StartError", "1970-01-01T00:00:00Z")
        message = 'failed to create containerd task: exec: "no-such-program": executable file not found in $PATH'
        assert ended["message"] == message
        assert ("Failed", f"Error: {message}") in lab.events("p")

    with_node(work, tmp_path)


def test_a_container_without_a_command(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", main={"command": []})
        await lab.phase("p", "Failed")
        assert "no command specified" in lab.container("p")["state"]["terminated"]["message"]

    with_node(work, tmp_path)


def test_more_gpus_than_there_are_on_a_pod_that_was_bound_by_hand(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
        lab.pod("p", "sleep 60", main=gpu, nodeName="devcluster")
        await lab.running("p")
        lab.pod("q", "sleep 60", main=gpu, nodeName="devcluster")
        pod = await lab.phase("q", "Failed")
        assert pod["status"]["reason"] == "OutOfnvidia.com/gpu"
        assert "Node didn't have enough resource: nvidia.com/gpu" in pod["status"]["message"]

    with_node(work, tmp_path, gpus=1)


def test_a_deletion_right_after_an_eviction_shortens_it(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "trap '' TERM; echo up; while :; do sleep 1; done", terminationGracePeriodSeconds=600)
        await lab.logged_when_running("p", "up")
        lab.node.evict(NAMESPACE, "p", message="preempted")
        lab.delete("p", grace_seconds=1)
        await lab.gone("p")

    with_node(work, tmp_path)


def test_a_pod_that_had_ended_before_the_node_came_is_not_run(tmp_path: Path) -> None:
    async def go() -> None:
        lab = NodeLab(tmp_path)
        lab.pod("p", f"touch {tmp_path}/ran", nodeName="devcluster")
        lab.client.patch("pods", NAMESPACE, "p", {"status": {"phase": "Failed"}}, "status")
        lab.pod("q", "exit 0", nodeName="devcluster")
        await lab.node.start()
        try:
            await lab.phase("q", "Succeeded")
            lab.delete("p")
            await lab.gone("p")
        finally:
            await lab.node.stop()

    asyncio.run(go())
    assert not (tmp_path / "ran").exists()


def test_a_pod_that_nobody_runs_may_go(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", schedulerName="another")
        lab.delete("p")
        await lab.gone("p")
        lab.pod("q", "exit 0")
        await lab.phase("q", "Succeeded")

    with_node(work, tmp_path)


@pytest.mark.parametrize(("resource", "operation"), [("pods/status", "UPDATE"), ("pods", "DELETE")])
def test_what_the_server_refuses_is_tried_again(
    tmp_path: Path, resource: str, operation: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adapter_devcluster.node.pod_worker._RETRY_SECONDS", 0.02)

    async def work(lab: NodeLab) -> None:
        lab.pod("p", "read line < /dev/zero", terminationGracePeriodSeconds=1)
        await lab.running("p")
        if operation == "DELETE":
            lab.delete("p")
            lab.deny(resource, operation)
            await wait_until(lambda: "can't be deleted" in caplog.text)
        else:
            lab.deny(resource, operation)
            lab.delete("p")
            await wait_until(lambda: "was not written" in caplog.text)
        lab.allow()
        await lab.gone("p")

    with_node(work, tmp_path)


def test_a_folder_of_the_host_that_comes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter_devcluster.node.pod_worker._RETRY_SECONDS", 0.02)
    folder = tmp_path / "data"

    async def work(lab: NodeLab) -> None:
        mounts = {"volumeMounts": [{"name": "h", "mountPath": "/h"}]}
        lab.pod("p", "ls /h", main=mounts, volumes=[{"name": "h", "hostPath": {"path": str(folder)}}])
        await lab.until(lambda: "FailedMount" in dict(lab.events("p")))
        folder.mkdir()
        await lab.phase("p", "Succeeded")

    with_node(work, tmp_path / "node")


def test_a_pod_that_is_deleted_does_not_run_into_its_deadline(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "trap '' TERM; echo up; while :; do sleep 1; done", activeDeadlineSeconds=1)
        await lab.logged_when_running("p", "up")
        lab.delete("p", grace_seconds=2)
        await lab.gone("p")
        assert "DeadlineExceeded" not in dict(lab.events("p"))

    with_node(work, tmp_path)
