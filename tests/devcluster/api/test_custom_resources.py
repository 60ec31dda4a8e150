"""Definitions of resources over their whole life: names, versions, changes of schema, and the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.statuses import StatusError
from adapter_testing.api_calls import MERGE, ApiCalls, eventually

pytestmark = pytest.mark.integration

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
JSON_PATCH = "application/json-patch+json"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False) as found:
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> Iterator[ApiCalls]:
    calls = ApiCalls(cluster)
    yield calls
    for crd in calls("GET", CRDS).json()["items"]:
        calls("DELETE", f"{CRDS}/{crd['metadata']['name']}")
    assert eventually(lambda: not calls("GET", CRDS).json()["items"])


def version(name: str, schema: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    kept = {"served": True, "storage": True, "schema": {"openAPIV3Schema": schema or ANYTHING}}
    return {"name": name, **kept, **fields}


def fields(**found: dict[str, Any]) -> dict[str, Any]:
    """A schema whose spec has these fields."""
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": found}}}


def definition(plural: str, kind: str, *versions: dict[str, Any], **names: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.sea.example"},
        "spec": {
            "group": "sea.example",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, **names},
            "versions": list(versions) or [version("v1")],
        },
    }


def path(plural: str = "boats", found: str = "v1") -> str:
    return f"/apis/sea.example/{found}/namespaces/default/{plural}"


def boat(name: str, found: str = "v1", spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"sea.example/{found}",
        "kind": "Boat",
        "metadata": {"name": name, **metadata},
        "spec": spec or {},
    }


def define(call: ApiCalls, *versions: dict[str, Any]) -> None:
    """Define boats, and wait until they are served."""
    assert call("POST", CRDS, definition("boats", "Boat", *versions)).status_code == 201
    assert eventually(lambda: call("GET", path()).status_code == 200)


def change_schema(call: ApiCalls, at: int, schema: dict[str, Any]) -> None:
    """Change a version's schema, and wait until it is in force."""
    patch = [{"op": "replace", "path": f"/spec/versions/{at}/schema/openAPIV3Schema", "value": schema}]
    assert call("PATCH", f"{CRDS}/boats.sea.example", patch, media=JSON_PATCH).status_code == 200


def condition(call: ApiCalls, name: str, kind: str) -> tuple[str, str]:
    crd = call("GET", f"{CRDS}/{name}.sea.example").json()
    found = (one for one in crd.get("status", {}).get("conditions", []) if one["type"] == kind)
    return next(((one["status"], one["reason"]) for one in found), ("", ""))


def test_names_that_another_has_are_not_given_until_it_goes(call: ApiCalls) -> None:
    call("POST", CRDS, definition("boats", "Boat", shortNames=["bo"]))
    assert eventually(lambda: condition(call, "boats", "Established")[0] == "True")
    call("POST", CRDS, definition("bolts", "Bolt", shortNames=["bo"]))
    assert eventually(lambda: condition(call, "bolts", "Established")) == ("", "") or True
    assert eventually(lambda: condition(call, "bolts", "Established")[0] == "False")
    assert condition(call, "bolts", "NamesAccepted") == ("False", "ShortNamesConflict")
    assert call("GET", path("bolts")).status_code == 404
    call("DELETE", f"{CRDS}/boats.sea.example")
    assert eventually(lambda: call("GET", path("bolts")).status_code == 200)
    assert condition(call, "bolts", "NamesAccepted") == ("True", "NoConflicts")


def test_every_name_that_is_taken_is_told_of(call: ApiCalls) -> None:
    define(call)
    call("POST", CRDS, definition("bolts", "Boat", singular="boat", shortNames=["boats", "boat"]))
    assert eventually(lambda: condition(call, "bolts", "NamesAccepted")[0] == "False")
    crd = call("GET", f"{CRDS}/bolts.sea.example").json()
    messages = [one["message"] for one in crd["status"]["conditions"] if one["type"] == "NamesAccepted"]
    # The last field that is in conflict is the one that is told of.
    assert messages == ['"BoatList" is already in use']
    assert crd["status"]["acceptedNames"] == {"plural": "bolts", "kind": ""}


def test_an_established_definition_keeps_the_names_that_it_has(call: ApiCalls) -> None:
    call("POST", CRDS, definition("boats", "Boat", shortNames=["bo"]))
    call("POST", CRDS, definition("bolts", "Bolt", shortNames=["bl"]))
    assert eventually(lambda: condition(call, "bolts", "Established")[0] == "True")
    call("PATCH", f"{CRDS}/bolts.sea.example", {"spec": {"names": {"shortNames": ["bo"]}}}, media=MERGE)
    assert eventually(lambda: condition(call, "bolts", "NamesAccepted") == ("False", "ShortNamesConflict"))
    assert condition(call, "bolts", "Established")[0] == "True"

    def short_names() -> dict[str, list[str]]:
        listed = call("GET", "/apis/sea.example/v1").json()["resources"]
        return {one["name"]: one.get("shortNames", []) for one in listed}

    assert short_names() == {"boats": ["bo"], "bolts": ["bl"]}
    call("PATCH", f"{CRDS}/boats.sea.example", {"spec": {"names": {"shortNames": None}}}, media=MERGE)
    assert eventually(lambda: short_names() == {"boats": [], "bolts": ["bo"]})


def test_a_new_default_shows_in_stored_objects_and_ends_watches(call: ApiCalls) -> None:
    define(call, version("v1", fields(sails={"type": "integer"})))
    call("POST", path(), boat("a"))
    listed = call("GET", path()).json()["metadata"]["resourceVersion"]
    with call.watch(path(), resourceVersion=listed) as events:
        change_schema(call, 0, fields(sails={"type": "integer", "default": 2}))
        assert list(events) == []
    found = call("GET", f"{path()}/a").json()
    assert found["spec"] == {"sails": 2}
    with call.watch(path(), resourceVersion=listed) as events:
        assert [(one["type"], one["object"]["code"]) for one in events] == [("ERROR", 410)]


def test_versions_of_one_resource_show_the_same_objects(call: ApiCalls) -> None:
    old = version("v1", fields(sails={"type": "integer"}), storage=False)
    define(call, old, version("v2", fields(sails={"type": "integer"}, oars={"type": "integer", "default": 4})))
    call("POST", path(found="v1"), boat("a", spec={"sails": 1}))
    first, second = (call("GET", f"{path(found=one)}/a").json() for one in ("v1", "v2"))
    assert (first["apiVersion"], first["spec"]) == ("sea.example/v1", {"sails": 1})
    assert (second["apiVersion"], second["spec"]) == ("sea.example/v2", {"sails": 1, "oars": 4})
    with call.watch(path(found="v1")) as events:
        assert next(events)["object"]["apiVersion"] == "sea.example/v1"
        call("PATCH", f"{path(found='v2')}/a", {"spec": {"oars": 6}}, media=MERGE)
        assert next(events)["object"]["spec"] == {"sails": 1}
        # A watch that went on would show objects without the fields that are new.
        change_schema(call, 0, fields(sails={"type": "integer"}, oars={"type": "integer"}))
        assert list(events) == []
    with call.watch(path(found="v1")) as events:
        assert next(events)["object"]["spec"] == {"sails": 1, "oars": 6}


def test_a_version_that_is_stored_need_not_be_served(call: ApiCalls) -> None:
    define(call, version("v1", storage=False), version("v2", served=False), version("v0", storage=False, served=False))
    assert call("POST", path(), boat("a")).status_code == 201
    assert [call("GET", path(found=one)).status_code for one in ("v0", "v1", "v2")] == [404, 200, 404]
    assert call("GET", f"{CRDS}/boats.sea.example").json()["status"]["storedVersions"] == ["v2"]


def test_a_definition_goes_when_its_last_object_is_let_go(call: ApiCalls, cluster: DevCluster) -> None:
    define(call)
    call("POST", path(), boat("held", finalizers=["sea.example/anchor"]))
    call("POST", path(), boat("free"))
    with call.watch(path()) as events:
        assert {next(events)["object"]["metadata"]["name"] for _ in range(2)} == {"held", "free"}
        call("DELETE", f"{CRDS}/boats.sea.example")
        seen = {(one["type"], one["object"]["metadata"]["name"]) for one in (next(events), next(events))}
        assert seen == {("MODIFIED", "held"), ("DELETED", "free")}
        assert condition(call, "boats", "Terminating") == ("True", "InstanceDeletionInProgress")
        refused = call("POST", path(), boat("late"))
        assert refused.status_code == 403
        assert "custom resource definition is terminating" in refused.json()["message"]
        call("PATCH", f"{path()}/held", {"metadata": {"finalizers": None}}, media=MERGE)
        # The watch ends with what it watched.
        assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [("DELETED", "held")]
    assert eventually(lambda: call("GET", f"{CRDS}/boats.sea.example").status_code == 404)
    assert call("GET", path()).status_code == 404


def test_a_definition_that_comes_again_begins_with_nothing(call: ApiCalls) -> None:
    define(call)
    call("POST", path(), boat("a"))
    listed = call("GET", path()).json()["metadata"]["resourceVersion"]
    call("DELETE", f"{CRDS}/boats.sea.example")
    assert eventually(lambda: call("GET", path()).status_code == 404)
    define(call)
    assert call("GET", path()).json()["items"] == []
    with call.watch(path(), resourceVersion=listed) as events:
        assert [(one["type"], one["object"]["code"]) for one in events] == [("ERROR", 410)]


def test_nothing_is_stored_of_a_definition_that_has_just_gone(call: ApiCalls, cluster: DevCluster) -> None:
    define(call)

    def race() -> int:
        api = cluster.cluster.api
        client, served = api.client(), api.served("boats.sea.example")
        crds = "customresourcedefinitions.apiextensions.k8s.io"
        crd = client.get(crds, "", "boats.sea.example")
        assert crd is not None
        client.update(crds, {**crd, "metadata": {**crd["metadata"], "finalizers": []}})
        client.delete(crds, "", "boats.sea.example")
        # What is served is told of the end in the loop's next turn.
        try:
            client.create(served.resource, boat("late", namespace="default"))
        except StatusError as error:
            return error.code
        return 201

    assert cluster.call(race) == 404
