"""Pods and the nodes that they are put on."""

from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.node_lab import NAMESPACE, NodeLab, with_node

pytestmark = pytest.mark.integration

NO_VICTIMS = (
    " no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
)
NO_HELP = (
    " no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)


def asking(**limits: str) -> dict[str, Any]:
    return {"main": {"resources": {"limits": limits}}}


def gpu() -> dict[str, Any]:
    return asking(**{"nvidia.com/gpu": "1"})


async def refused(lab: NodeLab, name: str, message: str) -> Object:
    await lab.until(lambda: lab.condition(name, "PodScheduled").get("message") == message)
    return lab.condition(name, "PodScheduled")


def test_a_pod_waits_for_a_gpu_and_gets_it_when_another_ends(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("first", "sleep 60", **gpu())
        await lab.running("first")
        lab.pod("second", "exit 0", **gpu())
        message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu." + NO_VICTIMS
        found = await refused(lab, "second", message)
        assert (found["status"], found["reason"]) == ("False", "Unschedulable")
        assert lab.get("second")["status"]["phase"] == "Pending"
        await lab.until(lambda: ("FailedScheduling", message) in lab.events("second"))
        lab.delete("first")
        await lab.phase("second", "Succeeded")
        scheduled = lab.condition("second", "PodScheduled")
        assert (scheduled["status"], scheduled.get("reason")) == ("True", None)

    with_node(work, tmp_path, gpus=1)


def test_a_pod_that_has_ended_frees_what_it_had(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        for name in ("a", "b", "c"):
            lab.pod(name, "exit 0", **gpu())
        for name in ("a", "b", "c"):
            await lab.phase(name, "Succeeded")

    with_node(work, tmp_path, gpus=1)


def test_a_node_without_gpus_has_none_to_give(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", **gpu())
        await refused(lab, "p", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu." + NO_VICTIMS)

    with_node(work, tmp_path)


def test_the_more_important_pod_goes_first(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        for name, value in (("low", 1), ("high", 2)):
            priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
            lab.client.create("priorityclasses.scheduling.k8s.io", {**priority, "value": value})
        order = tmp_path / "order"
        lab.pod("blocker", "sleep 60", **gpu())
        await lab.running("blocker")
        for name in ("low", "high"):
            lab.pod(name, f"echo {name} >> {order}", priorityClassName=name, **gpu())
        lab.delete("blocker")
        for name in ("low", "high"):
            await lab.phase(name, "Succeeded")
        assert order.read_text().split() == ["high", "low"]

    with_node(work, tmp_path / "node", gpus=1)


def test_a_cordoned_node_gets_no_pods_until_it_is_uncordoned(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.client.patch("nodes", "", "devcluster", {"spec": {"unschedulable": True}})
        lab.pod("p", "exit 0")
        await refused(lab, "p", "0/1 nodes are available: 1 node(s) were unschedulable." + NO_HELP)
        lab.client.patch("nodes", "", "devcluster", {"spec": {"unschedulable": None}})
        await lab.phase("p", "Succeeded")

    with_node(work, tmp_path)


def test_a_label_that_a_node_gets_later(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "exit 0", nodeSelector={"disk": "ssd"})
        await refused(
            lab, "p", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + NO_HELP
        )
        lab.client.patch("nodes", "", "devcluster", {"metadata": {"labels": {"disk": "ssd"}}})
        await lab.phase("p", "Succeeded")

    with_node(work, tmp_path)


def test_a_claim_that_comes_later(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "exit 0", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
        await refused(lab, "p", '0/1 nodes are available: persistentvolumeclaim "data" not found.' + NO_HELP)
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        lab.create("persistentvolumeclaims", "PersistentVolumeClaim", "data", spec=spec)
        await lab.phase("p", "Succeeded")

    with_node(work, tmp_path)


def test_gates_hold_a_pod_back(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("gated", "exit 0", schedulingGates=[{"name": "test/gate"}])
        lab.pod("other", "exit 0")
        await lab.phase("other", "Succeeded")
        assert lab.condition("gated", "PodScheduled")["reason"] == "SchedulingGated"
        lab.client.patch("pods", NAMESPACE, "gated", {"spec": {"schedulingGates": None}})
        await lab.phase("gated", "Succeeded")

    with_node(work, tmp_path)


def test_pods_of_other_schedulers_are_left_alone(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("theirs", "exit 0", schedulerName="another")
        lab.pod("ours", "exit 0")
        await lab.phase("ours", "Succeeded")
        assert "nodeName" not in lab.get("theirs")["spec"]
        assert lab.events("theirs") == []

    with_node(work, tmp_path)


def test_pods_are_spread_over_nodes_and_a_gone_node_gets_none(tmp_path: Path) -> None:
    """A second node that nobody runs: its pods stay Pending there."""

    async def work(lab: NodeLab) -> None:
        node = lab.client.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "other"}})
        lab.client.update("nodes", {**node, "status": {"allocatable": {"cpu": "8", "pods": "10"}}}, "status")
        lab.pod("a", "sleep 60")
        lab.pod("b", "sleep 60")
        await lab.until(lambda: all(lab.get(name)["spec"].get("nodeName") for name in "ab"))
        assert {lab.get(name)["spec"]["nodeName"] for name in "ab"} == {"devcluster", "other"}
        lab.client.delete("nodes", "", "other")
        lab.pod("c", "exit 0")
        await lab.phase("c", "Succeeded")

    with_node(work, tmp_path)


def test_a_binding_that_is_refused_is_reported(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.deny("pods/binding")
        lab.pod("p", "exit 0")
        await lab.until(lambda: any(reason == "FailedScheduling" for reason, _ in lab.events("p")))
        assert "Binding rejected: " in dict(lab.events("p"))["FailedScheduling"]
        assert "not today" in dict(lab.events("p"))["FailedScheduling"]

    with_node(work, tmp_path)
