"""The node as a whole: what it registers, logs as the API serves them, its start and its end."""

import asyncio
import datetime as dt
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapter_devcluster.node import Node, NodeConfig, NodeError
from adapter_devcluster.objects import parse_time
from adapter_devcluster.statuses import StatusError
from adapter_testing.node_lab import IMAGE, NAMESPACE, NodeLab, node_lab, with_node
from adapter_testing.processes import alive_with_mark, children_of, mark, open_descriptors, wait_until

pytestmark = pytest.mark.integration


def test_the_node_and_its_lease(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        node = lab.client.get("nodes", "", "n1")
        assert node is not None
        status = node["status"]
        assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
        assert node["metadata"]["labels"]["zone"] == "a"
        assert status["capacity"] == status["allocatable"]
        assert {**status["capacity"], "ephemeral-storage": ""} == {
            "cpu": "4",
            "memory": "8Gi",
            "pods": "110",
            "nvidia.com/gpu": "2",
            "ephemeral-storage": "",
        }
        ready = {one["type"]: one["status"] for one in status["conditions"]}
        assert ready == {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
        assert status["addresses"][0] == {"type": "InternalIP", "address": "127.0.0.1"}
        assert status["nodeInfo"]["kubeletVersion"].startswith("v1.")
        await wait_until(lambda: lab.client.get("leases.coordination.k8s.io", "kube-node-lease", "n1") is not None)
        lease = lab.client.get("leases.coordination.k8s.io", "kube-node-lease", "n1")
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == "n1"
        assert parse_time(lease["spec"]["renewTime"]) <= dt.datetime.now(dt.UTC)

    with_node(work, tmp_path, name="n1", gpus=2, cpus=4, memory_bytes=8 << 30, labels={"zone": "a"})


def test_the_lease_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter_devcluster.node.node_object._RENEW_SECONDS", 0.01)

    async def work(lab: NodeLab) -> None:
        def renewed() -> str:
            lease = lab.client.get("leases.coordination.k8s.io", "kube-node-lease", "devcluster")
            return str((lease or {"spec": {}})["spec"].get("renewTime"))

        await asyncio.sleep(0)
        first = renewed()
        await wait_until(lambda: renewed() > first)

    with_node(work, tmp_path)


def test_a_node_that_is_there_already_is_taken_over(tmp_path: Path) -> None:
    async def go() -> None:
        lab = NodeLab(tmp_path)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "devcluster", "labels": {"mine": "kept"}}}
        lab.client.create("nodes", node)
        await lab.node.start()
        try:
            found = lab.client.get("nodes", "", "devcluster")
            assert found is not None
            assert found["metadata"]["labels"]["mine"] == "kept"
            assert found["metadata"]["labels"]["kubernetes.io/os"] == "linux"
        finally:
            await lab.node.stop()

    asyncio.run(go())


async def refusal(lab: NodeLab, name: str, **options: object) -> tuple[int, str]:
    with pytest.raises(StatusError) as raised:
        await lab.log(name, **options)
    return raised.value.code, str(raised.value)


def test_which_log_is_meant(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        containers = [{"name": name, "image": IMAGE, "command": ["echo", name]} for name in ("a", "b")]
        inits = [{"name": "i", "image": IMAGE, "command": ["echo", "i"]}]
        lab.pod("p", containers=containers, initContainers=inits)
        await lab.phase("p", "Succeeded")
        assert [await lab.log("p", container=name) for name in "abi"] == ["a\n", "b\n", "i\n"]
        problem = (
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        )
        assert await refusal(lab, "p") == (400, problem)
        assert await refusal(lab, "p", container="x") == (400, "container x is not valid for pod p")
        problem = 'previous terminated container "a" in pod "p" not found'
        assert await refusal(lab, "p", container="a", previous=True) == (400, problem)
        assert await refusal(lab, "q") == (404, 'pods "q" not found')

    with_node(work, tmp_path)


def test_a_container_that_waits_has_no_log(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("image", main={"image": "no:1"})
        lab.pod("volume", volumes=[{"name": "v", "configMap": {"name": "no"}}])
        lab.pod("unbound", schedulerName="another")

        def reason(name: str) -> str:
            return str(lab.waiting(name).get("reason"))

        await lab.until(lambda: (reason("image"), reason("volume")) == ("ErrImagePull", "ContainerCreating"))
        start = 'container "main" in pod "{}" is waiting to start: {}'
        assert await refusal(lab, "image") == (400, start.format("image", "image can't be pulled"))
        assert await refusal(lab, "volume") == (400, start.format("volume", "ContainerCreating"))
        assert await refusal(lab, "unbound") == (400, 'container "main" in pod "unbound" is not available')

    with_node(work, tmp_path)


def test_options_of_logs(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "for n in 1 2 3; do echo $n; done; sleep 60")
        await lab.logged_when_running("p", "3")
        assert await lab.log("p", tail_lines=2) == "2\n3\n"
        assert await lab.log("p", limit_bytes=3) == "1\n2"
        assert await lab.log("p", since_seconds=60) == "1\n2\n3\n"
        assert await lab.log("p", since_time=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)) == ""
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z 3\n", await lab.log("p", timestamps=True, tail_lines=1))
        following = asyncio.create_task(lab.log("p", follow=True))
        lab.delete("p")
        assert await following == "1\n2\n3\n"

    with_node(work, tmp_path)


def test_a_log_that_the_node_has_no_more(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", schedulerName="another")
        ended = {"exitCode": 0, "containerID": "other://1", "startedAt": None, "finishedAt": None}
        status = {"name": "main", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
        status["state"] = {"terminated": ended}
        lab.client.patch("pods", NAMESPACE, "p", {"status": {"containerStatuses": [status]}}, "status")
        code, message = await refusal(lab, "p")
        assert (code, message) == (
            500,
            "Internal error occurred: the log of container other://1 is not on this node any more",
        )

    with_node(work, tmp_path)


def test_eviction_of_what_is_not_there(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        with pytest.raises(StatusError, match='pods "p" not found'):
            lab.node.evict(NAMESPACE, "p", message="x")

    with_node(work, tmp_path)


@pytest.mark.parametrize("namespaces", ["auto", "off"])
def test_stopping_the_node_kills_all_processes_and_leaves_the_pods(tmp_path: Path, namespaces: str) -> None:
    name = mark()
    others = children_of(os.getpid())

    async def go() -> None:
        hook = {"lifecycle": {"preStop": {"sleep": {"seconds": 60}}}}
        probe = {"readinessProbe": {"exec": {"command": ["sh", "-c", f"sleep 50; : {name}"]}, "timeoutSeconds": 60}}
        env = {"env": [{"name": "MARK", "value": name}]}
        async with node_lab(tmp_path, namespaces=namespaces) as lab:
            lab.pod("runs", "trap '' TERM; sleep 60 & sleep 60", main={**env, **probe})
            lab.pod("ends", "trap '' TERM; sleep 60 & sleep 60", main={**env, **hook}, terminationGracePeriodSeconds=60)
            lab.pod("waits", main={"image": "no:1"})
            lab.pod("gone", "exit 0")
            await lab.running("runs")
            await lab.running("ends")
            await lab.phase("gone", "Succeeded")
            lab.delete("ends")
            await lab.until(lambda: "Killing" in dict(lab.events("ends")))
            lab.pod("new", "sleep 60", main=env)
            status = lab.get("runs")["status"]
        assert alive_with_mark(name) == []
        await asyncio.sleep(0.05)
        assert lab.get("runs")["status"] == status
        lab.pod("later")
        await asyncio.sleep(0.02)
        assert "nodeName" not in lab.get("later")["spec"]

    asyncio.run(go())
    assert children_of(os.getpid()).keys() <= others.keys()


def test_a_folder_belongs_to_one_node(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        second = Node(lab.client, NodeConfig(directory=tmp_path, name="second"), lab.api.authenticator)
        with pytest.raises(NodeError, match=rf"folder {tmp_path} can't be used: another node uses it; .*\(directory\)"):
            await second.start()
        await second.stop()

    with_node(work, tmp_path)


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def go() -> None:
        lab = NodeLab(tmp_path / "file" / "node")
        with pytest.raises(NodeError, match=r"can't be used: .*Not a directory.*; set another one \(directory\)"):
            await lab.node.start()
        await lab.node.stop()

    asyncio.run(go())


def test_addresses_that_can_not_be_had(tmp_path: Path) -> None:
    async def go() -> None:
        lab = NodeLab(tmp_path, pod_cidr="10.0.0.0/16")
        with pytest.raises(NodeError, match=r"must lie in 127\.0\.0\.0/8 .*\(pod_cidr\)"):
            await lab.node.start()
        await lab.node.stop()

    asyncio.run(go())


def test_pods_wait_where_no_address_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter_devcluster.node.pod_worker._RETRY_SECONDS", 0.02)

    async def work(lab: NodeLab) -> None:
        for name in ("a", "b"):
            lab.pod(name, "sleep 60")
            await lab.running(name)
        lab.pod("c", "exit 0")
        await lab.until(lambda: "FailedCreatePodSandBox" in dict(lab.events("c")))
        lab.delete("a")
        await lab.phase("c", "Succeeded")

    with_node(work, tmp_path, pod_cidr="127.202.0.0/30")


@pytest.mark.parametrize("part", ["start", "run_hook", "a sidecar's start"])
def test_an_error_of_the_node_itself_shows_in_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(f"adapter_devcluster.node.container_runner.{part.rpartition(' ')[2]}", broken)
    name = mark()

    async def work(lab: NodeLab) -> None:
        hook = {"lifecycle": {"postStart": {"exec": {"command": ["true"]}}}, "env": [{"name": "MARK", "value": name}]}
        sidecar = {"name": "side", "image": IMAGE, "command": ["true"], "restartPolicy": "Always"}
        lab.pod("p", "sleep 60", main=hook, initContainers=[sidecar] if "sidecar" in part else [])
        pod = await lab.phase("p", "Failed")
        assert (pod["status"]["reason"], pod["status"]["message"]) == ("NodeError", "RuntimeError: a bug")
        assert alive_with_mark(name) == []
        lab.delete("p")
        await lab.gone("p")

    with_node(work, tmp_path)


def test_a_lease_that_can_not_be_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adapter_devcluster.node.node_object._RENEW_SECONDS", 0.01)

    async def work(lab: NodeLab) -> None:
        await wait_until(lambda: "the lease of node devcluster was not renewed" in caplog.text)
        lab.allow()
        await wait_until(
            lambda: lab.client.get("leases.coordination.k8s.io", "kube-node-lease", "devcluster") is not None
        )

    async def go() -> None:
        lab = NodeLab(tmp_path)
        lab.deny("leases.coordination.k8s.io")
        await lab.node.start()
        try:
            await work(lab)
        finally:
            await lab.node.stop()

    asyncio.run(go())


def test_many_pods_start_and_finish_and_leave_nothing(tmp_path: Path) -> None:
    others = children_of(os.getpid())

    async def work(lab: NodeLab) -> None:
        began = time.monotonic()
        names = [f"p{number}" for number in range(60)]
        for name in names:
            lab.pod(name, f"echo {name}")
        for name in names:
            await lab.phase(name, "Succeeded")
        assert time.monotonic() - began < 20
        addresses = {lab.get(name)["status"]["podIP"] for name in names}
        assert len(addresses) == len(names)
        assert [await lab.log(name) for name in names] == [f"{name}\n" for name in names]
        assert children_of(os.getpid()).keys() <= others.keys()
        descriptors = open_descriptors()
        for name in names:
            lab.delete(name)
        for name in names:
            await lab.gone(name)
        await lab.no_pod_folders()
        assert open_descriptors() <= descriptors

    with_node(work, tmp_path, max_pods=25)


def test_two_hundred_pods(tmp_path: Path) -> None:
    others = children_of(os.getpid())

    async def work(lab: NodeLab) -> None:
        began = time.monotonic()
        for number in range(200):
            lab.pod(f"p{number}", "exit 0" if number % 10 else "exit 1")
        for number in range(200):
            await lab.phase(f"p{number}", "Succeeded" if number % 10 else "Failed")
        assert time.monotonic() - began < 45
        assert children_of(os.getpid()).keys() <= others.keys()

    with_node(work, tmp_path)


PARENT = """
import asyncio, sys
from pathlib import Path
from adapter_testing.node_lab import node_lab

async def main():
    folder, namespaces, mark, script = Path(sys.argv[1]), *sys.argv[2:]
    async with node_lab(folder, namespaces=namespaces) as lab:
        for number in range(3):
            env = [{"name": "MARK", "value": mark}]
            lab.pod(f"p{number}", script, main={"env": env})
        for number in range(3):
            await lab.logged_when_running(f"p{number}", "ready")
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("namespaces", ["auto", "off"])
def test_no_process_survives_a_cluster_that_is_killed(tmp_path: Path, namespaces: str) -> None:
    name = mark()
    script = "setsid sleep 60 & (setsid sh -c 'sleep 60 & sleep 60' &) ; echo ready; sleep 60"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), namespaces, name, script],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == b"ready\n"
        assert len(alive_with_mark(name)) >= 9
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    asyncio.run(wait_until(lambda: alive_with_mark(name) == []))
