"""Patches that come to nothing, over HTTP: whose fault it is, and what the answer names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import APPLY, CONFIG_MAPS, MERGE, ApiCalls, config_map, eventually
from adapter_testing.refusals import bad_patch, refusal

pytestmark = pytest.mark.integration

JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/behaviour.test/v1/namespaces/default/widgets"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False, controllers=False) as cluster:
        calls = ApiCalls(cluster)
        spec = {
            "type": "object",
            "properties": {"size": {"type": "integer"}, "replicas": {"type": "integer", "maximum": 9}},
        }
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {
                "status": {},
                "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
            },
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
        }
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.behaviour.test"},
            "spec": {
                "group": "behaviour.test",
                "scope": "Namespaced",
                "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [version],
            },
        }
        assert calls("POST", CRDS, definition).status_code == 201
        assert eventually(lambda: calls("GET", WIDGETS).status_code == 200)
        assert calls("POST", CONFIG_MAPS, config_map("a", {"k": "1"})).status_code == 201
        assert calls("POST", WIDGETS, widget("a")).status_code == 201
        assert calls("POST", DEPLOYMENTS, deployment("a")).status_code == 201
        yield calls


def widget(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "behaviour.test/v1",
        "kind": "Widget",
        "metadata": {"name": name, **metadata},
        "spec": {"size": 1},
    }


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("path", "patch", "media"),
    [
        (CONFIG_MAPS, {"data": {"k": 1}}, MERGE),
        (CONFIG_MAPS, {"data": "x"}, MERGE),
        (CONFIG_MAPS, {"data": {"k": 1}}, STRATEGIC),
        (CONFIG_MAPS, {"kind": "Secret"}, MERGE),
        (CONFIG_MAPS, {"apiVersion": "v2"}, MERGE),
        (CONFIG_MAPS, [{"op": "add", "path": "/data/k", "value": 1}], JSON_PATCH),
        (DEPLOYMENTS, {"spec": {"replicas": "two"}}, MERGE),
        (WIDGETS, {"metadata": {"labels": {"a": 1}}}, MERGE),
        (WIDGETS, {"apiVersion": "behaviour.test/v2"}, MERGE),
    ],
)
def test_what_a_patch_makes_unreadable_is_its_own_fault(call: ApiCalls, path: str, patch: Any, media: str) -> None:
    assert refusal(call("PATCH", f"{path}/a", patch, media=media)) == bad_patch()


@pytest.mark.parametrize(("path", "patch"), [(CONFIG_MAPS, {"nope": 1}), (WIDGETS, {"spec": {"nope": 1}})])
def test_strict_patches_with_unknown_fields(call: ApiCalls, path: str, patch: Any) -> None:
    answer = call("PATCH", f"{path}/a", patch, media=MERGE, fieldValidation="Strict")
    assert refusal(answer) == bad_patch()
    assert call("PATCH", f"{path}/a", patch, media=MERGE, fieldValidation="Ignore").status_code == 200


def test_a_scale_that_is_none(call: ApiCalls) -> None:
    patch = {"spec": {"replicas": "two"}}
    assert refusal(call("PATCH", f"{DEPLOYMENTS}/a/scale", patch, media=MERGE)) == bad_patch()
    whole = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, **patch}
    assert refusal(call("PUT", f"{DEPLOYMENTS}/a/scale", whole))[:2] == (400, "BadRequest")


def test_a_patch_can_not_give_another_identity(call: ApiCalls) -> None:
    unchangeable = ("metadata.uid", "FieldValueInvalid")
    patch = {"metadata": {"uid": "11111111-2222-3333-4444-555555555555"}}
    assert refusal(call("PATCH", f"{CONFIG_MAPS}/a", patch, media=MERGE)) == (
        422, "Invalid", "ConfigMap", "a", [unchangeable] * 2,
    )  # fmt: skip
    assert refusal(call("PATCH", f"{WIDGETS}/a", patch, media=MERGE)) == (
        422, "Invalid", "Widget", "a", [unchangeable],
    )  # fmt: skip
    applied = {**config_map("a"), "metadata": {"name": "a", **patch["metadata"]}}
    answer = call("PATCH", f"{CONFIG_MAPS}/a", applied, media=APPLY, fieldManager="one")
    assert refusal(answer)[:4] == (422, "Invalid", "ConfigMap", "a")
    for other in ({"metadata": {"name": "b"}}, {"metadata": {"namespace": "b"}}):
        assert refusal(call("PATCH", f"{CONFIG_MAPS}/a", other, media=MERGE))[:2] == (400, "BadRequest")


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ([{"op": "remove", "path": "/data/zz"}], 422),
        ([{"op": "replace", "path": "/binaryData/zz", "value": "1"}], 422),
        ([{"op": "add", "path": "/metadata/annotations/x", "value": "1"}], 422),
        ([{"op": "frob", "path": "/data/k"}], 422),
        ([{"op": "move", "from": "/data/zz", "path": "/data/k"}], 422),
        ([{"op": "test", "path": "/data/zz", "value": None}], 200),
        ([{"op": "replace", "path": "/data/new", "value": "1"}, {"op": "remove", "path": "/data/new"}], 200),
        ({"data": {}}, 400),
    ],
)
def test_operations(call: ApiCalls, operations: Any, code: int) -> None:
    answer = call("PATCH", f"{CONFIG_MAPS}/a", operations, media=JSON_PATCH)
    assert answer.status_code == code
    if code == 422:
        assert refusal(answer) == (422, "Invalid", "", "", [])


def test_what_replaces_a_lost_object_is_in_conflict(call: ApiCalls) -> None:
    lost = {"name": "lost", "uid": "11111111-2222-3333-4444-555555555555", "resourceVersion": "4"}
    assert refusal(call("PUT", f"{CONFIG_MAPS}/lost", {**config_map("lost"), "metadata": lost})) == (
        409, "Conflict", "configmaps", "lost", [],
    )  # fmt: skip
    for path in (f"{WIDGETS}/lost", f"{WIDGETS}/lost/status"):
        answer = call("PUT", path, {**widget("lost"), "metadata": lost})
        assert refusal(answer) == (409, "Conflict", "widgets", "lost", [])
    assert refusal(call("PUT", f"{WIDGETS}/lost", widget("lost", resourceVersion="4"))) == (
        404, "NotFound", "widgets", "lost", [],
    )  # fmt: skip


def test_new_objects_have_no_resource_version(call: ApiCalls) -> None:
    for path, body in (
        (CONFIG_MAPS, config_map("new", resourceVersion="7")),
        (WIDGETS, widget("new", resourceVersion="7")),
    ):
        answer = call("POST", path, body)
        assert refusal(answer) == (500, "", "", "", [])
        assert "resourceVersion should not be set on objects to be created" in answer.json()["message"]
        assert call("GET", f"{path}/new").status_code == 404


def test_finalizers_of_built_in_kinds_are_qualified(call: ApiCalls) -> None:
    wrong = ("metadata.finalizers[0]", "FieldValueInvalid")
    answer = call("POST", CONFIG_MAPS, config_map("held", finalizers=["hold"]))
    assert refusal(answer) == (422, "Invalid", "ConfigMap", "held", [wrong])
    answer = call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": ["hold"]}}, media=MERGE)
    assert refusal(answer) == (422, "Invalid", "ConfigMap", "a", [wrong])
    assert call("POST", WIDGETS, widget("held", finalizers=["hold"])).status_code == 201


def test_custom_resources_of_another_version_than_the_path(call: ApiCalls) -> None:
    other = {**widget("a"), "apiVersion": "behaviour.test/v2"}
    assert refusal(call("POST", WIDGETS, other))[:2] == (400, "BadRequest")
    assert refusal(call("PUT", f"{WIDGETS}/a", other))[:2] == (400, "BadRequest")


def test_a_scale_is_applied_to_the_object_it_belongs_to(call: ApiCalls) -> None:
    def applied(path: str, body: Any, manager: str, **params: str) -> Any:
        return call("PATCH", path, body, media=APPLY, fieldManager=manager, **params)

    def scale(replicas: Any) -> dict[str, Any]:
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "scaled"},
            "spec": {"replicas": replicas},
        }

    path = f"{DEPLOYMENTS}/scaled"
    assert refusal(applied(f"{path}/scale", scale(1), "hpa")) == (404, "NotFound", "deployments", "scaled", [])
    assert applied(path, deployment("scaled"), "chart").status_code == 201
    conflict = [(".spec.replicas", "FieldManagerConflict")]
    assert refusal(applied(f"{path}/scale", scale(1), "hpa")) == (409, "Conflict", "", "", conflict)
    answer = applied(f"{path}/scale", scale(1), "hpa", force="true").json()
    assert (answer["kind"], answer["spec"]) == ("Scale", {"replicas": 1})
    assert refusal(applied(path, deployment("scaled"), "chart")) == (409, "Conflict", "", "", conflict)
    without = deployment("scaled")
    del without["spec"]["replicas"]
    found = applied(path, without, "chart").json()
    assert found["spec"]["replicas"] == 1
    owners = {(one["manager"], one["operation"], one.get("subresource")) for one in found["metadata"]["managedFields"]}
    assert owners == {("hpa", "Apply", "scale"), ("chart", "Apply", None)}
    assert refusal(applied(f"{path}/scale", deployment("scaled"), "hpa"))[:2] == (400, "BadRequest")
    assert refusal(applied(f"{WIDGETS}/a/scale", scale("x"), "hpa")) == (500, "", "", "", [])
    assert refusal(applied(f"{WIDGETS}/a/scale", scale(10), "hpa"))[:4] == (422, "Invalid", "Widget", "a")


def test_a_scale_without_replicas(call: ApiCalls) -> None:
    assert call("POST", WIDGETS, widget("empty")).status_code == 201
    path = f"{WIDGETS}/empty/scale"
    assert refusal(call("GET", path))[:2] == (500, "InternalError")
    assert call("PATCH", path, {"spec": {"replicas": 2}}, media=MERGE).json()["spec"] == {"replicas": 2}
    assert call("GET", path).json()["spec"] == {"replicas": 2}


def test_owners_are_named_once(call: ApiCalls) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "11111111-2222-3333-4444-555555555555"}
    other = {**owner, "blockOwnerDeletion": True}
    for path, body in ((CONFIG_MAPS, config_map("owned")), (WIDGETS, widget("owned"))):
        body["metadata"]["ownerReferences"] = [owner, owner, other]
        assert call("POST", path, body).json()["metadata"]["ownerReferences"] == [owner, other]
        patch = {"metadata": {"ownerReferences": [other, other]}}
        answer = call("PATCH", f"{path}/owned", patch, media=MERGE).json()
        assert answer["metadata"]["ownerReferences"] == [other]
