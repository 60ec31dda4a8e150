from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.builtin.catalogue import BUILTIN
from adapter_devcluster.objects import copy
from adapter_devcluster.presentation.openapi import openapi_document, openapi_index
from adapter_devcluster.presentation.versions import group_versions
from adapter_devcluster.resource_types import ResourceType, Subresource

pytestmark = pytest.mark.unit

WIDGET = ResourceType(
    "shop.example.dev",
    "v1",
    "Widget",
    "widgets",
    "widget",
    list_kind="WidgetList",
    subresources=(Subresource("status", "Widget"), Subresource("scale", "Scale", group="autoscaling", version="v1")),
)
SCHEMA = {
    "type": "object",
    "description": "A thing in the shop.",
    "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}},
        "spec": {"type": "object", "properties": {"size": {"type": "integer", "x-kubernetes-validations": []}}},
    },
}
CRD: dict[str, Any] = {
    "spec": {
        "group": "shop.example.dev",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": SCHEMA}}, {"name": "v2", "schema": {}}],
    }
}
META = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1."


def document(group: str, version: str) -> dict[str, Any]:
    found = openapi_document([*BUILTIN, WIDGET], group, version, [CRD])
    assert found is not None
    return found


def test_the_index_leads_to_each_version_and_changes_with_the_fingerprint() -> None:
    first, second = (openapi_index([*BUILTIN, WIDGET], fingerprint)["paths"] for fingerprint in ("1", "2"))
    assert {"api/v1", "apis/apps/v1", "apis/shop.example.dev/v1"} <= set(first)
    url = first["apis/apps/v1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/apps/v1?hash=")
    assert second["apis/apps/v1"]["serverRelativeURL"] != url
    assert openapi_index([*BUILTIN, WIDGET], "1")["paths"] == first


@pytest.mark.parametrize(("group", "version"), [("apps", "v2"), ("nobody.dev", "v1")])
def test_no_such_document(group: str, version: str) -> None:
    assert openapi_document(BUILTIN, group, version) is None


def all_references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {found for item in value for found in all_references(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*(all_references(item) for item in value.values()))


@pytest.mark.parametrize(
    ("group", "version"),
    [(group, one) for group, found in group_versions([*BUILTIN, WIDGET]).items() for one in found],
)
def test_every_document_is_complete_and_has_plain_types(group: str, version: str) -> None:
    found = document(group, version)
    schemas = found["components"]["schemas"]
    prefix = "#/components/schemas/"
    assert {name.removeprefix(prefix) for name in all_references(found)} <= set(schemas)
    assert "null" not in str(schemas.get("io.k8s.api.core.v1.PodSpec", {}))
    for path, item in found["paths"].items():
        assert path.startswith(f"/apis/{group}/{version}/" if group else f"/api/{version}/")
        for operation in (one for method, one in item.items() if method != "parameters"):
            assert operation["x-kubernetes-group-version-kind"]["kind"]


def test_a_document_holds_only_what_its_kinds_need() -> None:
    schemas = document("coordination.k8s.io", "v1")["components"]["schemas"]
    assert "io.k8s.api.coordination.v1.LeaseSpec" in schemas
    assert not [name for name in schemas if name.startswith("io.k8s.api.") and ".coordination." not in name]


def test_fields_of_built_in_kinds() -> None:
    schemas = document("batch", "v1")["components"]["schemas"]
    job = schemas["io.k8s.api.batch.v1.Job"]
    assert job["x-kubernetes-group-version-kind"] == [{"group": "batch", "kind": "Job", "version": "v1"}]
    assert "enum" not in job["properties"]["kind"]
    assert job["properties"]["spec"]["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.batch.v1.JobSpec"}]
    assert job["properties"]["spec"]["description"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["type"] == "array"
    assert containers["items"] == {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    int_or_string = schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]
    assert int_or_string == {"oneOf": [{"type": "string"}, {"type": "integer"}], "format": "int-or-string"}


def test_the_fields_of_a_schema_may_have_names_that_mean_something_in_schemas() -> None:
    schemas = document("apiextensions.k8s.io", "v1")["components"]["schemas"]
    properties = schemas["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"]["properties"]
    assert properties["$ref"] == {"type": "string"}
    assert properties["type"]["type"] == "string"
    assert properties["oneOf"]["type"] == "array"


def operation(path: str, method: str, group: str = "apps", version: str = "v1") -> dict[str, Any]:
    found: dict[str, Any] = document(group, version)["paths"][path][method]
    return found


def test_operations_have_what_kubectl_looks_for() -> None:
    item = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    patch = operation(item, "patch")
    assert patch["x-kubernetes-action"] == "patch"
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert {one["name"] for one in patch["parameters"]} == {"dryRun", "fieldManager", "fieldValidation", "force"}
    assert set(patch["requestBody"]["content"]) == {
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    }
    assert patch["requestBody"]["content"]["application/merge-patch+json"] == {"schema": {"$ref": f"{META}Patch"}}
    everywhere = operation("/apis/apps/v1/deployments", "get")
    answer = everywhere["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentList"}
    parameters = document("apps", "v1")["paths"][item]["parameters"]
    assert [one["name"] for one in parameters] == ["name", "namespace", "pretty"]


def test_subresources_have_the_kind_that_they_take() -> None:
    scale = operation("/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale", "put")
    assert scale["x-kubernetes-group-version-kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    body = scale["requestBody"]["content"]["*/*"]["schema"]
    assert body == {"$ref": "#/components/schemas/io.k8s.api.autoscaling.v1.Scale"}
    eviction = operation("/api/v1/namespaces/{namespace}/pods/{name}/eviction", "post", "")
    assert eviction["x-kubernetes-group-version-kind"] == {"group": "policy", "version": "v1", "kind": "Eviction"}


def test_what_can_only_be_created_has_one_path() -> None:
    paths = document("authorization.k8s.io", "v1")["paths"]
    own = {path: set(item) for path, item in paths.items() if "selfsubjectaccessreviews" in path}
    assert own == {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {"post", "parameters"}}


def test_a_custom_kind_is_published_with_its_metadata() -> None:
    before = copy(CRD)
    found = document("shop.example.dev", "v1")
    widget = found["components"]["schemas"]["dev.example.shop.v1.Widget"]
    assert widget["description"] == "A thing in the shop."
    assert widget["properties"]["spec"] == SCHEMA["properties"]["spec"]  # type: ignore[index]
    assert widget["properties"]["metadata"]["allOf"] == [{"$ref": f"{META}ObjectMeta"}]
    assert "properties" not in widget["properties"]["metadata"]
    assert widget["properties"]["kind"]["type"] == "string"
    assert widget["x-kubernetes-group-version-kind"] == [
        {"group": "shop.example.dev", "version": "v1", "kind": "Widget"}
    ]
    items = found["components"]["schemas"]["dev.example.shop.v1.WidgetList"]["properties"]["items"]
    assert items["items"] == {"$ref": "#/components/schemas/dev.example.shop.v1.Widget"}
    patch = found["paths"]["/apis/shop.example.dev/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert before == CRD


def test_a_custom_kind_without_a_schema_is_an_object() -> None:
    types = [ResourceType("shop.example.dev", "v2", "Widget", "widgets", "widget", namespaced=False)]
    found = openapi_document(types, "shop.example.dev", "v2", [CRD])
    assert found is not None
    widget = found["components"]["schemas"]["dev.example.shop.v2.Widget"]
    assert (widget["type"], set(widget["properties"])) == ("object", {"apiVersion", "kind", "metadata"})
    assert set(found["paths"]) == {
        "/apis/shop.example.dev/v2/widgets",
        "/apis/shop.example.dev/v2/widgets/{name}",
    }
