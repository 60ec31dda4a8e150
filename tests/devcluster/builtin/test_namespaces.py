from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.builtin import PROTECTED_NAMESPACES
from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit


def _namespace(**content: Any) -> Object:
    return manifest("v1", "Namespace", **content)


def test_what_every_namespace_gets() -> None:
    found = created(_namespace(status={"phase": "Terminating"}, metadata={"labels": {"a": "b"}}))
    assert found["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": "a"}
    assert (found["spec"], found["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    assert "generation" not in found["metadata"]
    more = created(_namespace(spec={"finalizers": ["example.test/x"]}))
    assert more["spec"]["finalizers"] == ["example.test/x", "kubernetes"]
    assert created(more)["spec"] == more["spec"]


def test_the_label_with_the_name_can_not_go() -> None:
    found = updated(created(_namespace()), lambda one: one["metadata"].pop("labels"))
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}


def test_what_is_wrong_with_a_namespace() -> None:
    dotted = _namespace()
    dotted["metadata"]["name"] = "a.b"
    assert refusal(dotted) == [("metadata.name", "Invalid")]
    nameless: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {}}
    assert refusal(nameless) == [("metadata.name", "Required")]
    assert refusal(_namespace(spec={"finalizers": ["odd", "-"]})) == [
        ("spec.finalizers[0]", "Invalid"),
        ("spec.finalizers[1]", "Invalid"),
        ("spec.finalizers[1]", "Invalid"),
    ]


def test_finalizers_change_only_through_finalize() -> None:
    def without(one: Object) -> None:
        one["spec"] = {"finalizers": []}

    old = created(_namespace())
    assert updated(old, without)["spec"] == {"finalizers": ["kubernetes"]}
    assert updated(old, without, "status")["spec"] == {"finalizers": ["kubernetes"]}
    assert updated(old, without, "finalize")["spec"] == {}
    odd = change_refusal(old, lambda one: one["spec"]["finalizers"].append("odd"), "finalize")
    assert odd == [("spec.finalizers[1]", "Invalid")]


def test_the_phase_follows_deletion() -> None:
    old = created(_namespace())
    assert change_refusal(old, lambda one: one["status"].update(phase="Terminating"), "status") == [
        ("status.Phase", "Invalid")
    ]
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert change_refusal(old, lambda one: one["status"].update(phase="Terminating"), "status") == []
    assert change_refusal(old, lambda one: one["status"].clear(), "status") == [("status.Phase", "Invalid")]


def test_some_namespaces_stay() -> None:
    assert {"default", "kube-system", "kube-public"} == PROTECTED_NAMESPACES


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_a_node_brings_its_status_along() -> None:
    found = created(manifest("v1", "Node", status={"capacity": {"cpu": "0.5"}, "phase": "x"}))
    assert found["status"]["capacity"] == {"cpu": "500m"}
    assert found["status"]["allocatable"] == {"cpu": "500m"}
    assert created(manifest("v1", "Node"))["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 0}}
    changed = updated(found, lambda one: one.update(spec={"unschedulable": True}, status={}))
    assert changed["spec"] == {"unschedulable": True}
    assert changed["status"] == found["status"]


def test_taints_of_a_node() -> None:
    good = {"key": "a", "effect": "NoSchedule"}
    taints = [{"key": "-", "value": "-", "effect": "x"}, good, good]
    assert refusal(manifest("v1", "Node", spec={"taints": taints})) == [
        ("spec.taints[0].effect", "NotSupported"),
        ("spec.taints[0].key", "Invalid"),
        ("spec.taints[0].value", "Invalid"),
        ("spec.taints[2]", "Duplicate"),
    ]
