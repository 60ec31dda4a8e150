from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit


def _lease(**spec: Any) -> Object:
    return manifest("coordination.k8s.io/v1", "Lease", spec=spec)


def _priority_class(name: str = "a", **content: Any) -> Object:
    return manifest("scheduling.k8s.io/v1", "PriorityClass", name, **content)


def test_leases() -> None:
    spec = {"holderIdentity": "", "leaseTransitions": 0, "renewTime": "2026-01-01T00:00:00.000001Z"}
    found = created(_lease(**spec))
    assert found["spec"] == spec
    assert "generation" not in found["metadata"]
    assert updated(found, lambda one: one["spec"].update(holderIdentity="b"))["spec"]["holderIdentity"] == "b"
    assert refusal(_lease(leaseDurationSeconds=0, leaseTransitions=-1, preferredHolder="x")) == [
        ("spec.leaseDurationSeconds", "Invalid"),
        ("spec.leaseTransitions", "Invalid"),
        ("spec.preferredHolder", "Forbidden"),
    ]


def test_priority_classes() -> None:
    found = created(_priority_class())
    assert (found["value"], found["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert found["metadata"]["generation"] == 1
    assert created(_priority_class("system-node-critical", value=2_000_001_000))["value"] == 2_000_001_000
    assert refusal(_priority_class("system-x", value=1_000_000_001, preemptionPolicy="x")) == [
        ("metadata.name", "Forbidden"),
        ("preemptionPolicy", "NotSupported"),
        ("value", "Forbidden"),
    ]

    def change(one: Object) -> None:
        one |= {"value": 1, "preemptionPolicy": "Never"}

    assert change_refusal(found, change) == [("preemptionPolicy", "Invalid"), ("value", "Forbidden")]
    assert updated(found, lambda one: one.update(description="x"))["metadata"]["generation"] == 1


def test_runtime_classes() -> None:
    found = created(manifest("node.k8s.io/v1", "RuntimeClass", handler="runc"))
    assert change_refusal(found, lambda one: one.update(handler="x")) == [("handler", "Invalid")]
    assert refusal(manifest("node.k8s.io/v1", "RuntimeClass")) == [("handler", "Invalid")]


def test_quotas() -> None:
    found = created(manifest("v1", "ResourceQuota", spec={"hard": {"cpu": "1000m"}}, status={"used": {"cpu": "1"}}))
    assert (found["spec"], found["status"]) == ({"hard": {"cpu": "1"}}, {})
    assert refusal(manifest("v1", "ResourceQuota", spec={"hard": {"-": "1", "cpu": "-1"}})) == [
        ("spec.hard[-]", "Invalid"),
        ("spec.hard[-]", "Invalid"),
        ("spec.hard[cpu]", "Invalid"),
    ]


def test_limit_ranges() -> None:
    limits = [
        {"type": "Container", "max": {"cpu": "2", "memory": "2Gi"}, "default": {"cpu": "1"}, "min": {"cpu": "0.1"}},
        {"type": "Container", "min": {"cpu": "1"}},
        {"type": "Pod", "max": {"cpu": "4"}},
    ]
    found = created(manifest("v1", "LimitRange", spec={"limits": limits}))["spec"]["limits"]
    assert found[0]["default"] == {"cpu": "1", "memory": "2Gi"}
    assert found[0]["defaultRequest"] == {"cpu": "1", "memory": "2Gi"}
    assert ("default" in found[1], found[1]["defaultRequest"]) == (False, {"cpu": "1"})
    assert found[2].keys() == {"type", "max"}
    wrong = [{"min": {"cpu": "2"}, "max": {"cpu": "1", "memory": "1"}}]
    assert refusal(manifest("v1", "LimitRange", spec={"limits": wrong})) == [
        ("spec.limits[0].min[cpu]", "Invalid"),
        ("spec.limits[0].type", "Required"),
    ]
