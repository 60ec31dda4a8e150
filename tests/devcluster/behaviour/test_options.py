"""Parameters of lists, watches and deletions: which are refused, and what the others mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import CONFIG_MAPS, ApiCalls, config_map
from adapter_testing.refusals import refusal

pytestmark = pytest.mark.integration

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
FORBIDDEN, UNKNOWN = "FieldValueForbidden", "FieldValueNotSupported"
MATCH = "resourceVersionMatch"


@pytest.fixture(scope="module")
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False, controllers=False) as cluster:
        calls = ApiCalls(cluster)
        for number in range(6):
            labels = {"app": "x", "n": str(number)}
            assert calls("POST", CONFIG_MAPS, config_map(f"x{number}", labels=labels)).status_code == 201
        assert calls("POST", CONFIG_MAPS, config_map("y")).status_code == 201
        yield calls


def names(call: ApiCalls, **params: str) -> tuple[list[str], dict[str, Any]]:
    found = call("GET", CONFIG_MAPS, **params).json()
    return [one["metadata"]["name"] for one in found["items"]], found["metadata"]


@pytest.mark.parametrize(
    ("params", "causes"),
    [
        ({MATCH: "Exact"}, [(MATCH, FORBIDDEN)]),
        ({MATCH: "Never", "resourceVersion": "1"}, [(MATCH, UNKNOWN)]),
        ({MATCH: "Exact", "resourceVersion": "0"}, [(MATCH, FORBIDDEN)]),
        ({MATCH: "Exact", "resourceVersion": "1", "continue": "x"}, [(MATCH, FORBIDDEN)]),
        ({"sendInitialEvents": "true"}, [("sendInitialEvents", FORBIDDEN)]),
        ({"watch": "1", MATCH: "NotOlderThan"}, [(MATCH, FORBIDDEN)]),
        ({"watch": "1", "sendInitialEvents": "true"}, [(MATCH, FORBIDDEN)]),
        ({"watch": "1", "sendInitialEvents": "1", MATCH: "Exact"}, [(MATCH, FORBIDDEN), (MATCH, UNKNOWN)]),
    ],
)
def test_options_that_contradict_each_other(
    call: ApiCalls, params: dict[str, str], causes: list[tuple[str, str]]
) -> None:
    assert refusal(call("GET", CONFIG_MAPS, **params)) == (422, "Invalid", "ListOptions", "", causes)


def test_revisions_that_are_none(call: ApiCalls) -> None:
    assert refusal(call("GET", CONFIG_MAPS, resourceVersion="abc")) == (500, "", "", "", [])
    assert refusal(call("GET", f"{CONFIG_MAPS}/y", resourceVersion="abc")) == (500, "", "", "", [])
    assert refusal(call("GET", CONFIG_MAPS, watch="1", resourceVersion="abc")) == (
        422, "Invalid", "configmaps", "", [("resourceVersion", "FieldValueInvalid")],
    )  # fmt: skip
    for path in (CONFIG_MAPS, f"{CONFIG_MAPS}/y"):
        assert refusal(call("GET", path, resourceVersion="99999999")) == (
            504, "Timeout", "", "", [("", "ResourceVersionTooLarge")],
        )  # fmt: skip


@pytest.mark.parametrize("name", ["limit", "timeoutSeconds"])
def test_numbers_that_are_none(call: ApiCalls, name: str) -> None:
    assert refusal(call("GET", CONFIG_MAPS, **{name: "x"}))[:2] == (400, "BadRequest")


def test_a_full_page_goes_on_where_objects_follow(call: ApiCalls) -> None:
    found, metadata = names(call, labelSelector="n in (0,1)", limit="2")
    assert found == ["x0", "x1"]
    rest, end = names(call, labelSelector="n in (0,1)", limit="2", **{"continue": metadata["continue"]})
    assert (rest, "continue" in end, "remainingItemCount" in metadata) == ([], False, False)
    found, metadata = names(call, limit="5")
    assert (found, metadata["remainingItemCount"]) == (["x0", "x1", "x2", "x3", "x4"], 2)
    assert "continue" not in names(call, limit="7")[1]


def test_a_page_of_a_revision_is_of_just_that_revision(call: ApiCalls) -> None:
    revision = names(call)[1]["resourceVersion"]
    assert call("POST", CONFIG_MAPS, config_map("w")).status_code == 201
    assert names(call, limit="1", resourceVersion=revision)[0] == ["x0"]
    assert names(call, resourceVersion=revision)[0][0] == "w"
    # From the cache at any revision: pages are not made.
    found, metadata = names(call, limit="1", resourceVersion="0")
    assert (len(found), "continue" in metadata) == (8, False)
    assert call("DELETE", f"{CONFIG_MAPS}/w").status_code == 200


def test_truth_is_whatever_is_not_said_to_be_false(call: ApiCalls) -> None:
    for text, kind in (("True", None), ("1", None), ("false", "ConfigMapList"), ("0", "ConfigMapList")):
        answer = call("GET", CONFIG_MAPS, watch=text, timeoutSeconds="1", fieldSelector="metadata.name=y")
        assert answer.json().get("kind") == kind
    initial = {"sendInitialEvents": "True", "allowWatchBookmarks": "True", MATCH: "NotOlderThan"}
    events = call("GET", CONFIG_MAPS, watch="True", timeoutSeconds="1", labelSelector="n=1", **initial).text
    bookmark = json.loads(events.splitlines()[1])["object"]
    assert bookmark["metadata"].keys() == {"resourceVersion", "annotations"}


def test_one_object_is_got_not_watched(call: ApiCalls) -> None:
    assert call("GET", f"{CONFIG_MAPS}/y", watch="1").json()["metadata"]["name"] == "y"


def test_a_watched_table_names_its_columns_once(call: ApiCalls) -> None:
    answer = call("GET", CONFIG_MAPS, accept=TABLE, watch="1", timeoutSeconds="1", labelSelector="app=x")
    tables = [json.loads(line)["object"] for line in answer.text.splitlines()]
    columns = [table["columnDefinitions"] for table in tables]
    assert [one["name"] for one in columns[0]] == ["Name", "Data", "Age"]
    assert columns[1:] == [None] * 5


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"propagationPolicy": "Frob"}, ("propagationPolicy", UNKNOWN)),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, ("propagationPolicy", "FieldValueInvalid")),
        ({"dryRun": ["Some"]}, ("dryRun", UNKNOWN)),
    ],
)
def test_how_not_to_delete(call: ApiCalls, options: dict[str, Any], cause: tuple[str, str]) -> None:
    assert refusal(call("DELETE", f"{CONFIG_MAPS}/y", options)) == (422, "Invalid", "DeleteOptions", "", [cause])


def test_a_deletion_that_is_only_tried(call: ApiCalls) -> None:
    dry = {"dryRun": ["All"]}
    assert call("DELETE", f"{CONFIG_MAPS}/y", dry).json()["status"] == "Success"
    assert call("POST", CONFIG_MAPS, config_map("held", finalizers=["a.test/hold"])).status_code == 201
    found = call("DELETE", f"{CONFIG_MAPS}/held", dry).json()
    assert (found["kind"], "deletionTimestamp" in found["metadata"]) == ("ConfigMap", True)
    assert "deletionTimestamp" not in call("GET", f"{CONFIG_MAPS}/held").json()["metadata"]
    # With a body, what the query says does not count.
    assert call("DELETE", f"{CONFIG_MAPS}/held", {}, dryRun="All").status_code == 200
    assert "deletionTimestamp" in call("GET", f"{CONFIG_MAPS}/held").json()["metadata"]


def test_the_right_to_a_name_is_the_right_to_watch_it(call: ApiCalls) -> None:
    group = "rbac.authorization.k8s.io"
    roles = f"/apis/{group}/v1/namespaces/default"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"], "resourceNames": ["y"]}
    meta = {"apiVersion": f"{group}/v1", "metadata": {"name": "y"}}
    assert call("POST", f"{roles}/roles", {**meta, "kind": "Role", "rules": [rule]}).status_code == 201
    binding = {
        **meta,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "y"},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": group}],
    }
    assert call("POST", f"{roles}/rolebindings", binding).status_code == 201
    ann = {"Impersonate-User": "ann"}
    for selector, code in (("metadata.name=y", 200), ("metadata.name=x1", 403), ("metadata.name!=y", 403)):
        assert call("GET", CONFIG_MAPS, headers=ann, fieldSelector=selector).status_code == code
    assert refusal(call("GET", CONFIG_MAPS, headers=ann, fieldSelector="metadata.name=x1"))[2:4] == ("configmaps", "x1")
