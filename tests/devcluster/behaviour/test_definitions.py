"""Definitions of custom resources: several versions, names that are taken, refusals, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import MERGE, ApiCalls, eventually
from adapter_testing.refusals import refusal

pytestmark = pytest.mark.integration

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "definitions.test"
INVALID, REQUIRED = "FieldValueInvalid", "FieldValueRequired"


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False, controllers=False) as cluster:
        yield ApiCalls(cluster)


def version(name: str, *, storage: bool = True, served: bool = True) -> dict[str, Any]:
    spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {"name": name, "served": served, "storage": storage, "schema": schema}


def definition(plural: str, kind: str, *versions: dict[str, Any], group: str = GROUP, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": list(versions) or [version("v1")],
            **spec,
        },
    }


def path(plural: str, name: str) -> str:
    return f"/apis/{GROUP}/{name}/namespaces/default/{plural}"


def condition(call: ApiCalls, plural: str, kind: str) -> tuple[str, str] | None:
    status = call("GET", f"{CRDS}/{plural}.{GROUP}").json()["status"]
    found = [one for one in status.get("conditions") or [] if one["type"] == kind]
    return (found[0]["status"], found[0]["reason"]) if found else None


def test_each_version_is_served_in_its_own_name(call: ApiCalls) -> None:
    versions = [version("v1alpha1", storage=False), version("v1"), version("v1beta1", storage=False)]
    assert call("POST", CRDS, definition("doors", "Door", *versions)).status_code == 201
    assert eventually(lambda: call("GET", path("doors", "v1")).status_code == 200)
    door = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Door", "metadata": {"name": "a"}, "spec": {"x": 1}}
    assert call("POST", path("doors", "v1alpha1"), door).json()["apiVersion"] == f"{GROUP}/v1alpha1"
    for name in ("v1alpha1", "v1beta1", "v1"):
        assert call("GET", f"{path('doors', name)}/a").json()["apiVersion"] == f"{GROUP}/{name}"
        listed = call("GET", path("doors", name)).json()
        assert [listed["apiVersion"], listed["items"][0]["apiVersion"]] == [f"{GROUP}/{name}"] * 2
        patched = call("PATCH", f"{path('doors', name)}/a", {"spec": {name: 1}}, media=MERGE).json()
        assert patched["apiVersion"] == f"{GROUP}/{name}"
    group = call("GET", f"/apis/{GROUP}").json()
    assert [one["version"] for one in group["versions"]] == ["v1", "v1beta1", "v1alpha1"]

    def moved(*versions: dict[str, Any]) -> Any:
        return call("PATCH", f"{CRDS}/doors.{GROUP}", {"spec": {"versions": list(versions)}}, media=MERGE)

    assert refusal(moved(version("v1beta1"))) == (
        422, "Invalid", "CustomResourceDefinition", f"doors.{GROUP}", [("status.storedVersions[0]", INVALID)],
    )  # fmt: skip
    found = moved(version("v1", storage=False, served=False), version("v1beta1")).json()
    assert found["status"]["storedVersions"] == ["v1", "v1beta1"]
    assert eventually(lambda: call("GET", path("doors", "v1")).status_code == 404)
    assert call("GET", f"{path('doors', 'v1beta1')}/a").json()["spec"]["x"] == 1


def test_names_that_another_definition_has(call: ApiCalls) -> None:
    assert call("POST", CRDS, definition("locks", "Lock")).status_code == 201
    assert eventually(lambda: condition(call, "locks", "Established")) == ("True", "InitialNamesAccepted")
    assert call("POST", CRDS, definition("lockses", "Lock")).status_code == 201
    assert eventually(lambda: condition(call, "lockses", "Established")) == ("False", "NotAccepted")
    assert condition(call, "lockses", "NamesAccepted") == ("False", "ListKindConflict")
    names = call("GET", f"{CRDS}/lockses.{GROUP}").json()["status"]["acceptedNames"]
    assert names == {"plural": "lockses", "kind": ""}
    assert call("GET", path("lockses", "v1")).status_code == 404


@pytest.mark.parametrize(
    ("body", "causes"),
    [
        (
            definition("keys", "Key", version("v1", storage=False)),
            [("spec.versions", INVALID), ("status.storedVersions", INVALID)],
        ),
        (
            definition("keys", "Key", conversion={"strategy": "Webhook"}),
            [
                ("spec.conversion.webhookClientConfig", REQUIRED),
                ("spec.conversion.conversionReviewVersions", REQUIRED),
            ],
        ),
        (
            definition("keys", "Key", conversion={"strategy": "Webhook", "webhook": {
                "clientConfig": {}, "conversionReviewVersions": ["v1"]}}),
            [("spec.conversion.webhookClientConfig", REQUIRED)],
        ),
        (
            definition("keys", "Key", conversion={"strategy": "None", "webhook": {
                "clientConfig": {"url": "https://a.test"}, "conversionReviewVersions": []}}),
            [("spec.conversion.webhookClientConfig", "FieldValueForbidden")],
        ),
        (
            definition("keys", "Key", conversion={"strategy": "Frob"}),
            [("spec.conversion.strategy", "FieldValueNotSupported")],
        ),
        (
            definition("keys", "Key", group="keys.k8s.io"),
            [("metadata.annotations[api-approved.kubernetes.io]", REQUIRED)],
        ),
    ],
)  # fmt: skip
def test_refusals(call: ApiCalls, body: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    answer = call("POST", CRDS, body)
    assert refusal(answer) == (422, "Invalid", "CustomResourceDefinition", body["metadata"]["name"], causes)


def test_groups_of_the_community_may_be_used_unapproved(call: ApiCalls) -> None:
    body = definition("keys", "Key", group="keys.k8s.io")
    for word, code in (("unapproved, for tests", 201), ("yes", 422)):
        body["metadata"] |= {"annotations": {"api-approved.kubernetes.io": word}}
        assert call("POST", CRDS, body, dryRun="All").status_code == code


def test_the_end_of_a_definition_waits_for_its_objects(call: ApiCalls) -> None:
    assert call("POST", CRDS, definition("bolts", "Bolt")).status_code == 201
    assert eventually(lambda: call("GET", path("bolts", "v1")).status_code == 200)
    bolt = {"apiVersion": f"{GROUP}/v1", "kind": "Bolt", "metadata": {"name": "a", "finalizers": ["a.test/hold"]}}
    assert call("POST", path("bolts", "v1"), bolt).status_code == 201
    assert call("DELETE", f"{CRDS}/bolts.{GROUP}").json()["kind"] == "CustomResourceDefinition"
    assert eventually(lambda: condition(call, "bolts", "Terminating")) == ("True", "InstanceDeletionInProgress")
    assert "deletionTimestamp" in call("GET", f"{path('bolts', 'v1')}/a").json()["metadata"]
    bolt["metadata"] = {"name": "b"}
    assert refusal(call("POST", path("bolts", "v1"), bolt)) == (403, "Forbidden", "bolts", "b", [])
    call("PATCH", f"{path('bolts', 'v1')}/a", {"metadata": {"finalizers": None}}, media=MERGE)
    assert eventually(lambda: call("GET", f"{CRDS}/bolts.{GROUP}").status_code == 404)
    assert call("GET", path("bolts", "v1")).text == "404 page not found\n"


def broken(**version_fields: Any) -> dict[str, Any]:
    return {**version("v1"), **version_fields}


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        (
            {"schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {}}}}},
            ("spec.validation.openAPIV3Schema.properties[a].type", REQUIRED),
        ),
        ({"schema": None}, ("spec.versions[0].schema.openAPIV3Schema", REQUIRED)),
        (
            {"subresources": {"scale": {"specReplicasPath": "spec.n", "statusReplicasPath": ".status.n"}}},
            ("spec.subresources.scale.specReplicasPath", INVALID),
        ),
        (
            {"additionalPrinterColumns": [{"name": "a", "type": "frob", "jsonPath": ".spec.a"}]},
            ("spec.additionalPrinterColumns[0].type", INVALID),
        ),
        ({"selectableFields": [{"jsonPath": ".spec.none"}]}, ("spec.selectableFields[0].jsonPath", INVALID)),
        ({"selectableFields": [{"jsonPath": "spec"}]}, ("spec.selectableFields[0].jsonPath", INVALID)),
        ({"selectableFields": [{"jsonPath": ".spec"}]}, ("spec.selectableFields[0].jsonPath", INVALID)),
        ({"selectableFields": [{"jsonPath": ""}]}, ("spec.selectableFields[0].jsonPath", REQUIRED)),
    ],
)
def test_what_all_versions_say_alike_is_found_once(
    call: ApiCalls, fields: dict[str, Any], cause: tuple[str, str]
) -> None:
    answer = call("POST", CRDS, definition("vans", "Van", broken(**fields)))
    assert refusal(answer)[4] == [cause]
    if "schema" not in fields:
        two = [broken(**fields), {**broken(**fields), "name": "v2", "storage": False}]
        assert refusal(call("POST", CRDS, definition("vans", "Van", *two)))[4] == [cause]


def test_what_versions_say_differently_is_found_in_each(call: ApiCalls) -> None:
    wrong = {"schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {}}}}}
    versions = [version("v1"), {**version("v2", storage=False), **wrong}]
    assert refusal(call("POST", CRDS, definition("vans", "Van", *versions)))[4] == [
        ("spec.versions[1].schema.openAPIV3Schema.properties[a].type", REQUIRED)
    ]


def test_selectable_fields(call: ApiCalls) -> None:
    names = [f"f{number}" for number in range(9)]
    meta = {"type": "object", "properties": {"name": {"type": "string"}}}
    spec = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "metadata": meta}}}

    def causes(*paths: str) -> list[tuple[str, str]]:
        fields = [{"jsonPath": path} for path in paths]
        return refusal(call("POST", CRDS, definition("vans", "Van", broken(schema=schema, selectableFields=fields))))[4]

    assert causes(".spec.f0", ".spec.f0") == [("spec.selectableFields[1].jsonPath", "FieldValueDuplicate")]
    assert causes(".metadata.name") == [("spec.selectableFields[0].jsonPath", INVALID)]
    assert causes(*[f".spec.{name}" for name in names]) == [("spec.selectableFields", "FieldValueTooMany")]
    selectable = broken(schema=schema, selectableFields=[{"jsonPath": ".spec.f0"}])
    assert call("POST", CRDS, definition("vans", "Van", selectable)).status_code == 201
    assert eventually(lambda: call("GET", path("vans", "v1")).status_code == 200)
    for name, value in (("a", "x"), ("b", "y")):
        body = {"apiVersion": f"{GROUP}/v1", "kind": "Van", "metadata": {"name": name}, "spec": {"f0": value}}
        assert call("POST", path("vans", "v1"), body).status_code == 201
    found = call("GET", path("vans", "v1"), fieldSelector="spec.f0=y").json()["items"]
    assert [one["metadata"]["name"] for one in found] == ["b"]
