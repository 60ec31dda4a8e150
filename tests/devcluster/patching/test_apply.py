"""Server-side apply: merging, conflicts, withdrawing, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_devcluster.patching.apply import apply
from adapter_devcluster.patching.field_sets import field_set
from adapter_devcluster.patching.ownership import update_managers
from adapter_devcluster.patching.shapes import DEDUCED, shape_of_crd
from adapter_devcluster.statuses import StatusError
from adapter_testing.applied_things import (
    DEPLOYMENT,
    ITEMS,
    NOW,
    SHAPE,
    applied,
    managers_of,
    refused,
    specs,
    thing,
    updated,
)

pytestmark = pytest.mark.unit


def test_what_is_applied_is_owned() -> None:
    spec = {
        "mode": "fast",
        "labels": {"x": "1"},
        "unit": {"a": "b"},
        "args": ["a"],
        "tags": ["t"],
        "items": [{"name": "n", "value": "v"}],
        "nested": {"x": "1"},
        "open": {"deep": {"er": [1]}, "none": {}},
    }
    result = applied(None, thing(spec))
    assert result["spec"] == spec
    (entry,) = result["metadata"]["managedFields"]
    assert entry == {
        "manager": "one",
        "operation": "Apply",
        "apiVersion": "x.dev/v1",
        "time": NOW,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:spec": {
                "f:args": {},
                "f:items": {'k:{"name":"n","port":80}': {".": {}, "f:name": {}, "f:value": {}}},
                "f:labels": {"f:x": {}},
                "f:mode": {},
                "f:nested": {"f:x": {}},
                "f:open": {"f:deep": {".": {}, "f:er": {}}, "f:none": {}},
                "f:tags": {'v:"t"': {}},
                "f:unit": {},
            }
        },
    }


def test_what_is_empty_or_null_is_owned_but_for_lists_of_items() -> None:
    spec = {"mode": None, "labels": {}, "tags": [], "items": [], "args": [], "nested": None}
    result = applied(None, thing(spec))
    assert managers_of(result) == {
        "one Apply": {"f:spec": {"f:args": {}, "f:labels": {}, "f:mode": {}, "f:nested": {}}}
    }
    # A struct with nothing but such lists in it has no owner either.
    assert managers_of(applied(None, thing({"tags": []}))) == {}


def test_to_apply_the_same_again_changes_nothing() -> None:
    obj = thing({"mode": "fast", "items": [{"name": "n"}]})
    first = applied(None, obj, now="2026-01-01T00:00:00Z")
    assert applied(first, obj) == first


def test_another_manager_adds_fields_and_may_set_the_same() -> None:
    live = applied(None, thing({"mode": "fast", "labels": {"x": "1"}}), now="2026-01-01T00:00:00Z")
    live = applied(live, thing({"mode": "fast", "labels": {"y": "2"}}), "two")
    assert live["spec"] == {"mode": "fast", "labels": {"x": "1", "y": "2"}}
    assert managers_of(live) == {
        "one Apply": {"f:spec": {"f:labels": {"f:x": {}}, "f:mode": {}}},
        "two Apply": {"f:spec": {"f:labels": {"f:y": {}}, "f:mode": {}}},
    }
    # As upstream, who only comes to own what is there already has no time.
    shared = applied(live, thing({"mode": "fast"}), "three")
    assert "time" not in next(one for one in shared["metadata"]["managedFields"] if one["manager"] == "three")


def test_conflicts() -> None:
    live = applied(None, thing({"mode": "fast", "size": 1, "items": [{"name": "n", "value": "v"}]}))
    error = refused(live, thing({"mode": "slow"}), manager="two")
    assert error.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "one": .spec.mode',
        "reason": "Conflict",
        "code": 409,
        "details": {
            "causes": [
                {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.mode"},
            ]
        },
    }
    live = updated(live, {**live, "spec": {**live["spec"], "size": 2}})
    live = updated(live, {**live, "status": {"phase": "A"}}, "s", "status")
    wanted = thing({"mode": "slow", "size": 3, "items": [{"name": "n", "value": "w"}]}, status={"phase": "B"})
    error = refused(live, wanted, manager="two")
    assert str(error) == (
        "Apply failed with 4 conflicts: "
        'conflicts with "one":\n- .spec.mode\n- .spec.items[name="n",port=80].value\n'
        'conflicts with "s" with subresource "status" using x.dev/v1:\n- .status.phase\n'
        'conflicts with "u" using x.dev/v1:\n- .spec.size'
    )
    assert [one["field"] for one in error.status["details"]["causes"]] == [
        ".spec.mode",
        '.spec.items[name="n",port=80].value',
        ".status.phase",
        ".spec.size",
    ]


def test_force_takes_fields_over() -> None:
    live = applied(None, thing({"mode": "fast", "labels": {"x": "1"}}))
    live = applied(live, thing({"mode": "slow"}), "two", force=True)
    assert live["spec"] == {"mode": "slow", "labels": {"x": "1"}}
    assert managers_of(live) == {
        "one Apply": {"f:spec": {"f:labels": {"f:x": {}}}},
        "two Apply": {"f:spec": {"f:mode": {}}},
    }
    # Who has nothing left has no entry.
    live = applied(live, thing({"labels": {"x": "2"}}), "three", force=True)
    assert sorted(managers_of(live)) == ["three Apply", "two Apply"]


def test_a_manager_changes_its_own_fields_freely() -> None:
    assert specs(("one", {"mode": "a", "unit": {"x": "1", "y": "1"}}), ("one", {"mode": "b", "unit": {"y": "2"}})) == {
        "mode": "b",
        "unit": {"y": "2"},
    }


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ({"mode": "a", "size": 1}, {"size": 1}, {"size": 1}),
        ({"labels": {"x": "1"}, "mode": "a"}, {"mode": "a"}, {"mode": "a"}),
        ({"labels": {"x": "1", "y": "2"}}, {"labels": {"y": "2"}}, {"labels": {"y": "2"}}),
        ({"nested": {"x": "1"}, "mode": "a"}, {"mode": "a"}, {"mode": "a"}),
        ({"tags": ["a", "b"]}, {"tags": ["b"]}, {"tags": ["b"]}),
        ({"items": [{"name": "a"}, {"name": "b"}]}, {"items": [{"name": "b"}]}, {"items": [{"name": "b"}]}),
        ({"items": [{"name": "a", "value": "v"}]}, {"items": [{"name": "a"}]}, {"items": [{"name": "a"}]}),
        ({"items": [{"name": "a"}], "mode": "a"}, {"mode": "a"}, {"mode": "a"}),
        ({"args": ["a"], "mode": "a"}, {"mode": "a"}, {"mode": "a"}),
        ({"unit": {"a": "b"}, "mode": "a"}, {"mode": "a"}, {"mode": "a"}),
        ({"open": {"a": {"b": 1}, "c": 2}}, {"open": {"c": 2}}, {"open": {"c": 2}}),
        ({"labels": {"x": "1"}, "mode": "a"}, {"labels": {}, "mode": "a"}, {"labels": None, "mode": "a"}),
    ],
)
def test_what_is_no_longer_applied_goes(first: Object, second: Object, result: Object) -> None:
    assert specs(("one", first), ("one", second)) == result


def test_what_another_owns_stays() -> None:
    steps = [
        ("one", {"mode": "a", "labels": {"x": "1", "y": "1"}, "items": [{"name": "a", "value": "v", "other": "o"}]}),
        ("two", {"mode": "a", "labels": {"y": "1"}, "items": [{"name": "a", "value": "v"}]}),
    ]
    assert specs(*steps, ("one", {"size": 1})) == {
        "mode": "a",
        "labels": {"y": "1"},
        "items": [{"name": "a", "value": "v"}],
        "size": 1,
    }


def test_what_was_set_by_an_update_or_is_nobodys_stays() -> None:
    live = applied(None, thing({"mode": "a", "labels": {"x": "1"}, "items": [{"name": "a"}]}))
    changed = {**live["spec"], "labels": {"x": "1", "u": "1"}, "items": [{"name": "a", "port": 80, "value": "v"}]}
    live = updated(live, {**live, "spec": changed})
    # Defaults that the server has put in have no owner.
    live["spec"]["size"] = 7
    assert applied(live, thing({"mode": "a"}))["spec"] == {
        "mode": "a",
        "labels": {"u": "1"},
        # An item goes with who applied it, even if another has set fields of it.
        "items": None,
        "size": 7,
    }


def test_a_struct_that_another_owns_is_null_without_its_fields() -> None:
    live = updated(thing(), thing({"nested": {}}))
    live["metadata"]["managedFields"] = update_managers(
        None, live, manager="u", api_version="x.dev/v1", subresource="", shape=SHAPE, now=NOW
    )
    live = applied(live, thing({"nested": {"x": "1"}}))
    assert applied(live, thing({}))["spec"] == {"nested": None}


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        (["a"], ["a"], ["a"]),
        (["a", "b"], ["b", "c"], ["a", "b", "c"]),
        (["b"], ["a", "b", "c"], ["a", "b", "c"]),
        (["a", "b", "c"], ["c", "b"], ["a", "c", "b"]),
        (["a", "b", "c"], ["c", "a"], ["b", "c", "a"]),
        (["a", "b", "c", "d"], ["d", "x", "b"], ["a", "c", "d", "x", "b"]),
        (["a", "b"], ["x", "a"], ["x", "a", "b"]),
        (["a", "b"], [], ["a", "b"]),
        (["a", "b"], None, ["a", "b"]),
        ([], ["a"], ["a"]),
        (None, ["a"], ["a"]),
        (["a", "b", "c"], ["b", "x"], ["a", "b", "c", "x"]),
        (["a", "b", "a", "c"], ["c", "a"], ["b", "c", "a"]),
    ],
)
def test_the_order_of_items(old: list[str] | None, new: list[str] | None, merged: list[str]) -> None:
    live = updated(thing(), thing({"tags": old}))
    assert applied(live, thing({"tags": new}), force=True)["spec"]["tags"] == merged
    items = updated(thing(), thing({"items": [{"name": one} for one in old] if old is not None else None}))
    wanted = thing({"items": [{"name": one} for one in new] if new is not None else None})
    assert [one["name"] for one in applied(items, wanted, force=True)["spec"]["items"]] == merged


def test_duplicates_of_the_live_list_are_replaced_by_the_applied_item() -> None:
    twice = [{"name": "a", "value": "1", "other": "x"}, {"name": "b"}, {"name": "a", "port": 80, "value": "2"}]
    live = updated(thing(), thing({"items": twice}))
    assert applied(live, thing({"items": [{"name": "c"}]}))["spec"]["items"] == [*twice, {"name": "c"}]
    result = applied(live, thing({"items": [{"name": "a", "value": "3"}]}), force=True)
    assert result["spec"]["items"] == [{"name": "a", "value": "3"}, {"name": "b"}]


def test_kinds_of_values_that_meet_in_open_content() -> None:
    for old, new in (({"a": 1}, "text"), ("text", {"a": 1}), ([1], {"a": 1}), ({"a": 1}, [1]), (1, None)):
        assert specs(("one", {"open": old}), ("one", {"open": new})) == {"open": new}
    assert specs(("one", {"open": {"a": 1}}), ("two", {"open": {"b": 1}})) == {"open": {"a": 1, "b": 1}}
    # null says nothing about what is in a map.
    assert specs(("one", {"open": {"a": 1}}), ("two", {"open": None})) == {"open": {"a": 1}}


def test_parts_of_what_has_become_one_unit_go_as_a_whole() -> None:
    live = thing({"unit": {"a": "1"}, "mode": "a"})
    (entry,) = applied(None, live)["metadata"]["managedFields"]
    # As an older schema had it, in which the map was merged by keys.
    live["metadata"]["managedFields"] = [{**entry, "fieldsV1": {"f:spec": {"f:mode": {}, "f:unit": {"f:a": {}}}}}]
    assert applied(live, thing({"mode": "a"}))["spec"] == {"mode": "a"}
    # What is below a unit is no reason to take the unit from a map of which nothing is declared.
    live = {**live, "open": {"a": [1]}}
    live["metadata"]["managedFields"] = [{**entry, "fieldsV1": {"f:open": {"f:a": {"f:x": {}}}}}]
    assert applied(live, thing(), shape=DEDUCED)["open"] == {"a": [1]}


def test_metadata_may_be_null() -> None:
    assert list(applied(None, {**thing(), "metadata": None})["metadata"]) == ["managedFields"]


def test_an_untracked_object_belongs_to_a_manager_of_its_own() -> None:
    live = thing({"mode": "fast", "size": 1})
    assert str(refused(live, thing({"mode": "slow"}))) == (
        'Apply failed with 1 conflict: conflict with "before-first-apply" using x.dev/v1: .spec.mode'
    )
    result = applied(live, thing({"mode": "fast"}))
    assert managers_of(result) == {
        "before-first-apply Update": {"f:spec": {".": {}, "f:mode": {}, "f:size": {}}},
        "one Apply": {"f:spec": {"f:mode": {}}},
    }


def test_an_entry_of_a_manager_that_applies_outlives_versions() -> None:
    live = applied(None, thing({"mode": "a", "size": 1}))
    live = {**live, "apiVersion": "x.dev/v2"}
    wanted = {**thing({"mode": "b"}), "apiVersion": "x.dev/v2"}
    result = applied(live, wanted)
    assert result["spec"] == {"mode": "b"}
    assert [(one["manager"], one["apiVersion"]) for one in result["metadata"]["managedFields"]] == [("one", "x.dev/v2")]


def test_reset_fields_are_not_owned_and_do_not_conflict() -> None:
    live = applied(None, thing({"mode": "a"}))
    live = applied(live, thing(status={"phase": "A"}), "two", subresource="status", ignore=field_set(("spec",)))
    assert managers_of(live)["two Apply"] == {"f:status": {"f:phase": {}}}
    again = applied(live, thing({"mode": "a"}, status={"phase": "B"}), ignore=field_set(("status",)))
    assert managers_of(again) == managers_of(live)


def test_metadata_of_a_custom_resource() -> None:
    def owner(uid: str) -> Object:
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid}

    first = thing()
    first["metadata"] |= {"labels": {"a": "1"}, "finalizers": ["x/a"], "ownerReferences": [owner("1")]}
    second = thing()
    second["metadata"] |= {"labels": {"b": "1"}, "finalizers": ["x/b"], "ownerReferences": [owner("2")]}
    live = applied(applied(None, first), second, "two")
    assert live["metadata"]["labels"] == {"a": "1", "b": "1"}
    assert live["metadata"]["finalizers"] == ["x/a", "x/b"]
    assert [one["uid"] for one in live["metadata"]["ownerReferences"]] == ["1", "2"]
    live = applied(live, thing(), "two")
    assert live["metadata"]["labels"] == {"a": "1"}
    assert live["metadata"]["finalizers"] == ["x/a"]


def test_a_built_in_type() -> None:
    def deployment(**container: Any) -> Object:
        pod = {"containers": [{"name": "main", **container}]}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {"template": {"spec": pod}},
        }

    live = applied(None, deployment(ports=[{"containerPort": 80}], image="a"), shape=DEPLOYMENT)
    live = applied(live, deployment(ports=[{"containerPort": 80, "name": "http"}]), "two", shape=DEPLOYMENT)
    live = applied(live, deployment(ports=[{"containerPort": 80, "protocol": "UDP"}]), "three", shape=DEPLOYMENT)
    (container,) = live["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"containerPort": 80, "name": "http"}, {"containerPort": 80, "protocol": "UDP"}]
    live = applied(live, deployment(), "one", shape=DEPLOYMENT)
    (container,) = live["spec"]["template"]["spec"]["containers"]
    assert container == {
        "name": "main",
        "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 80, "protocol": "UDP"}],
    }


def test_objects_without_a_schema() -> None:
    first, second = thing({"items": [{"name": "a"}], "x": 1}), thing({"items": [{"name": "b"}]})
    live = applied(None, first, shape=DEDUCED)
    assert refused(live, second, manager="two", shape=DEDUCED).status["details"]["causes"][0]["field"] == ".spec.items"
    assert applied(live, second, "two", shape=DEDUCED, force=True)["spec"] == {"items": [{"name": "b"}], "x": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"apiVersion": "x.dev/v2"}, "invalid object type: x.dev/v2, Kind=Thing"),
        ({"apiVersion": None}, "invalid object type: /, Kind=Thing"),
        ({"kind": "Other"}, "invalid object type: x.dev/v1, Kind=Other"),
        ({"kind": ""}, "invalid object type: x.dev/v1, Kind="),
        ({"metadata": {"managedFields": []}}, "metadata.managedFields must be nil"),
    ],
)
def test_what_may_not_be_applied(change: Object, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        apply(
            thing(),
            {**thing(), **change},
            manager="m",
            force=True,
            api_version="x.dev/v1",
            subresource="",
            shape=SHAPE,
            now=NOW,
        )
    assert (caught.value.code, str(caught.value)) == (400, message)


OMITS = (
    'associative list with keys has an element that omits all key fields ["name" "port"] '
    "(and doesn't have default values for any key fields)"
)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"oops": 1}, ".spec.oops: field not declared in schema"),
        ({"mode": 80}, ".spec.mode: expected string, got &value.valueUnstructured{Value:80}"),
        ({"mode": {"a": [None, "x"]}}, ".spec.mode: expected string, got &value.valueUnstructured{Value:"
         'map[string]interface {}{"a":[]interface {}{interface {}(nil), "x"}}}'),
        ({"size": "1"}, ".spec.size: expected numeric (int or float), got string"),
        ({"size": True}, ".spec.size: expected numeric (int or float), got bool"),
        ({"on": 1}, ".spec.on: expected boolean, got &{1}"),
        ({"labels": ["a"]}, ".spec.labels: expected map, got &{[a]}"),
        ({"labels": {"a": 1}}, ".spec.labels.a: expected string, got &value.valueUnstructured{Value:1}"),
        ({"tags": {"a": None}}, ".spec.tags: expected list, got &{map[a:<nil>]}"),
        ({"args": [1]}, ".spec.args[0]: expected string, got &value.valueUnstructured{Value:1}"),
        ({"tags": ["a", "a"]}, '.spec.tags: duplicate entries for key [="a"]'),
        ({"tags": [None]},
         ".spec.tags: element 0: associative list without keys has an element that's an explicit null"),
        ({"tags": [{}]}, ".spec.tags: element 0: associative list without keys has an element that's a map type"),
        ({"tags": [[]]}, ".spec.tags: element 0: not supported: associative list with lists as elements"),
        ({"items": ["a"]}, ".spec.items: element 0: associative list with keys may not have non-map elements"),
        ({"items": [None]}, ".spec.items: element 0: associative list with keys may not have a null element"),
        ({"items": [{"name": "a"}, {"name": "a", "port": 80}]},
         '.spec.items: duplicate entries for key [name="a",port=80]'),
        ({"items": [{"name": "a", "oops": 1}]}, '.spec.items[name="a",port=80].oops: field not declared in schema'),
        ({"mode": 1, "size": "x"}, "errors:\n  .spec.mode: expected string, got &value.valueUnstructured{Value:1}\n"
         "  .spec.size: expected numeric (int or float), got string"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_schema(spec: Object, problem: str) -> None:
    error = refused(None, thing(spec))
    assert error.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"failed to create typed patch object (/a; x.dev/v1, Kind=Thing): {problem}",
        "code": 500,
    }
    live = thing(spec)
    live["metadata"]["namespace"] = "n"
    if "duplicate" not in problem:
        assert str(refused(live, thing())).startswith(
            "failed to create typed live object (n/a; x.dev/v1, Kind=Thing): "
        )


def test_items_without_any_key() -> None:
    keyed: Object = {**ITEMS, "x-kubernetes-list-map-keys": ["name", "other"]}
    shape = shape_of_crd({"type": "object", "properties": {"items": keyed}})
    obj = {**thing(), "items": [{"value": "v"}]}
    del obj["spec"]
    message = f".items: element 0: {OMITS}".replace("port", "other")
    assert str(refused(None, obj, shape=shape)).endswith(message)
    # One of the keys is enough.
    obj["items"] = [{"other": "o"}, {"name": "n"}]
    assert managers_of(applied(None, obj, shape=shape))["one Apply"] == {
        "f:items": {
            'k:{"name":"n"}': {".": {}, "f:name": {}},
            'k:{"other":"o"}': {".": {}, "f:other": {}},
        }
    }
