"""What a pod asks for, and whether a node can give it."""

from fractions import Fraction
from typing import Any

import pytest

from adapter_devcluster.node.fit import problems, refusal
from adapter_devcluster.node.pod_requests import pod_requests
from adapter_devcluster.objects import Object

pytestmark = pytest.mark.unit

FREE = {"cpu": Fraction(4), "memory": Fraction(8 << 30), "pods": Fraction(10)}


def container(**requests: str) -> Object:
    return {"name": "c", "resources": {"requests": requests}}


def node(**spec: Any) -> Object:
    labels = {"zone": "a", "cores": "16", "bad": "x"}
    return {"metadata": {"name": "n1", "labels": labels}, "spec": spec}


def pod(**spec: Any) -> Object:
    return {"spec": {"containers": [container(cpu="1")], **spec}}


def fits(spec: dict[str, Any], on: Object | None = None) -> list[str]:
    asked = pod(**spec)
    return problems(asked, on or node(), pod_requests(asked), FREE)


def test_requests_are_summed_and_limits_stand_in() -> None:
    spec = {
        "containers": [container(cpu="500m"), {"name": "d", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]
    }
    assert pod_requests({"spec": spec}) == {"cpu": Fraction(5, 2), "memory": 1 << 30, "pods": 1}


def test_init_containers_run_alone_and_sidecars_do_not() -> None:
    side = {**container(cpu="1"), "restartPolicy": "Always"}
    spec = {
        "initContainers": [container(cpu="3"), side, container(cpu="4", memory="1")],
        "containers": [container(cpu="2")],
        "overhead": {"cpu": "100m"},
    }
    assert pod_requests({"spec": spec}) == {"cpu": Fraction("5.1"), "memory": 1, "pods": 1}


def test_the_resources_of_the_whole_pod_count() -> None:
    spec = {"containers": [container(cpu="1")], "resources": {"requests": {"cpu": "3"}}}
    assert pod_requests({"spec": spec}) == {"cpu": 3, "pods": 1}


def test_a_pod_that_fits() -> None:
    assert fits({}) == []


def test_shortages_are_all_named() -> None:
    spec = {"containers": [container(cpu="5", memory="9Gi", **{"nvidia.com/gpu": "1"})]}
    assert fits(spec) == ["Insufficient cpu", "Insufficient memory", "Insufficient nvidia.com/gpu"]
    asked = pod()
    assert problems(asked, node(), pod_requests(asked), {**FREE, "pods": Fraction(0)}) == ["Too many pods"]


@pytest.mark.parametrize(
    ("tolerations", "tolerated"),
    [
        ([], False),
        ([{"operator": "Exists"}], True),
        ([{"key": "gpu", "operator": "Exists"}], True),
        ([{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}], False),
        ([{"key": "gpu", "value": "yes"}], True),
        ([{"key": "gpu", "operator": "Equal", "value": "no"}], False),
        ([{"key": "other", "operator": "Exists"}], False),
    ],
)
def test_taints(tolerations: list[Object], tolerated: bool) -> None:
    on = node(taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    assert fits({"tolerations": tolerations}, on) == ([] if tolerated else ["node(s) had untolerated taint(s)"])


def test_a_taint_that_only_prefers_refuses_nobody() -> None:
    assert fits({}, node(taints=[{"key": "gpu", "effect": "PreferNoSchedule"}])) == []


def test_a_cordoned_node() -> None:
    assert fits({}, node(unschedulable=True)) == ["node(s) were unschedulable"]
    tolerant = {"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]}
    assert fits(tolerant, node(unschedulable=True)) == []


@pytest.mark.parametrize(
    ("expressions", "matches"),
    [
        ([{"key": "zone", "operator": "In", "values": ["a", "b"]}], True),
        ([{"key": "zone", "operator": "NotIn", "values": ["a"]}], False),
        ([{"key": "none", "operator": "NotIn", "values": ["a"]}], True),
        ([{"key": "none", "operator": "In", "values": ["a"]}], False),
        ([{"key": "zone", "operator": "Exists"}, {"key": "none", "operator": "DoesNotExist"}], True),
        ([{"key": "none", "operator": "Exists"}], False),
        ([{"key": "cores", "operator": "Gt", "values": ["8"]}], True),
        ([{"key": "cores", "operator": "Lt", "values": ["8"]}], False),
        ([{"key": "bad", "operator": "Gt", "values": ["8"]}], False),
        ([{"key": "none", "operator": "Lt", "values": ["8"]}], False),
        ([], False),
    ],
)
def test_node_affinity(expressions: list[Object], matches: bool) -> None:
    terms = [{"matchExpressions": expressions}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    expected = [] if matches else ["node(s) didn't match Pod's node affinity/selector"]
    assert fits({"affinity": affinity}) == expected


def test_terms_are_alternatives_and_fields_name_the_node() -> None:
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    never = {"matchExpressions": [{"key": "none", "operator": "Exists"}]}
    required = {"nodeSelectorTerms": [never, by_name]}
    assert fits({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}) == []


def test_node_selector() -> None:
    assert fits({"nodeSelector": {"zone": "a"}}) == []
    assert fits({"nodeSelector": {"zone": "a", "disk": "ssd"}}) == ["node(s) didn't match Pod's node affinity/selector"]


@pytest.mark.parametrize(
    ("reasons", "for_all", "expected"),
    [
        ([], "", "no nodes available to schedule pods"),
        (
            [["Insufficient nvidia.com/gpu"]],
            "",
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: "
            "0/1 nodes are available: 1 No preemption victims found for incoming pod.",
        ),
        (
            [["node(s) had untolerated taint(s)"], ["Insufficient cpu"], ["Insufficient cpu", "Too many pods"]],
            "",
            "0/3 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint(s), 2 Insufficient cpu. "
            "no new claims to deallocate, preemption: 0/3 nodes are available: "
            "1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
        ),
        (
            [[]],
            'persistentvolumeclaim "x" not found',
            '0/1 nodes are available: persistentvolumeclaim "x" not found. no new claims to deallocate, preemption: '
            "0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        ),
    ],
)
def test_refusals_read_like_the_schedulers(reasons: list[list[str]], for_all: str, expected: str) -> None:
    assert refusal(reasons, for_all) == expected
