"""Strategic merge patches of built-in types, and of a type made for what those do not have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.builtin.definitions import definition
from adapter_devcluster.objects import Object, copy
from adapter_devcluster.patching.shapes import shape_of
from adapter_devcluster.patching.strategic import strategic_patch
from adapter_devcluster.statuses import StatusError

pytestmark = pytest.mark.unit

DEPLOYMENT = shape_of(definition("io.k8s.api.apps.v1.Deployment"), definition)
POD = shape_of(definition("io.k8s.api.core.v1.Pod"), definition)
BUDGET = shape_of(definition("io.k8s.api.policy.v1.PodDisruptionBudget"), definition)

TEXT: Object = {"type": ["string", "null"]}
ITEMS: Object = {"type": "array", "items": {"$ref": "#/$defs/Item"}}
MERGED: Object = {"x-kubernetes-patch-strategy": "merge"}
TYPES: dict[str, Object] = {
    "Item": {
        "type": "object",
        "properties": {
            "name": TEXT,
            "value": TEXT,
            "items": {**ITEMS, **MERGED, "x-kubernetes-patch-merge-key": "name"},
            "keyless": {**ITEMS, **MERGED},
            "replaced": ITEMS,
            "numbers": {"type": "array", "items": {"type": "integer"}, **MERGED},
            "map": {"type": "object", "additionalProperties": TEXT},
            "nested": {"$ref": "#/$defs/Item"},
        },
    }
}
ITEM = shape_of({"$ref": "#/$defs/Item"}, TYPES.__getitem__)


def patched(target: Object, patch: Object) -> Object:
    before = copy(target), copy(patch)
    result = strategic_patch(target, patch, ITEM)
    assert (target, patch) == before
    return result


def named(*names: str) -> list[Object]:
    return [{"name": name} for name in names]


def refused(target: Object, patch: Object) -> tuple[int, str]:
    with pytest.raises(StatusError) as caught:
        strategic_patch(target, patch, ITEM)
    assert ("reason" in caught.value.status) is (caught.value.code != 500)
    return caught.value.code, str(caught.value)


def deployment(*containers: Object) -> Object:
    return {
        "kind": "Deployment",
        "spec": {
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            "template": {"spec": {"containers": list(containers)}},
        },
    }


def containers_of(obj: Object) -> Any:
    return obj["spec"]["template"]["spec"]["containers"]


def test_containers_are_merged_by_name_and_deleted_by_directive() -> None:
    main, side = {"name": "main", "image": "a:1", "command": ["run"]}, {"name": "side", "image": "s:1"}
    target = deployment(main, side)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:2"}]}}}}
    result = strategic_patch(target, patch, DEPLOYMENT)
    # New items come first, and the others stay in their order.
    assert containers_of(result) == [main, {"name": "side", "image": "s:2"}]
    only = {"name": "only", "image": "o:1"}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "$patch": "delete"}, only]}}}}
    assert containers_of(strategic_patch(deployment(main), patch, DEPLOYMENT)) == [only]
    assert containers_of(target) == [main, side]


def test_retained_keys_clear_the_others() -> None:
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    result = strategic_patch(deployment(), patch, DEPLOYMENT)
    assert result["spec"]["strategy"] == {"type": "Recreate"}
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}]}
    change = {"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]}
    assert strategic_patch({"spec": volumes}, {"spec": change}, POD) == {
        "spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}
    }


def test_finalizers_are_a_merged_list_and_a_selector_is_replaced() -> None:
    target = {"metadata": {"finalizers": ["a", "b"]}, "spec": {"selector": {"matchLabels": {"x": "1"}}}}
    patch = {"metadata": {"finalizers": ["c", "a"]}, "spec": {"selector": {"matchLabels": {"y": "2"}}}}
    assert strategic_patch(target, patch, BUDGET) == {
        "metadata": {"finalizers": ["c", "a", "b"]},
        "spec": {"selector": {"matchLabels": {"y": "2"}}},
    }


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"value": "1"}, {"value": None, "map": None}, {}),
        ({"map": {"a": "1", "b": "2"}}, {"map": {"a": None, "c": "3"}}, {"map": {"b": "2", "c": "3"}}),
        ({"map": {"a": "1"}}, {"map": {"$patch": "replace", "b": "2"}}, {"map": {"b": "2"}}),
        ({"map": {"a": "1"}}, {"map": {"$patch": "delete", "b": "2"}}, {"map": {}}),
        ({"value": "1"}, {"$patch": "replace", "name": "n"}, {"name": "n"}),
        # What is new or of another kind is taken without nulls and without what is only a directive.
        ({}, {"map": {"a": None, "b": "2"}, "nested": {"map": {"$patch": "delete"}, "value": "v"}},
         {"map": {"b": "2"}, "nested": {"value": "v"}}),
        ({}, {"nested": {"$patch": "delete"}}, {}),
        ({"nested": "odd"}, {"nested": {"items": [{"name": "a", "$patch": "delete"}, {"name": "b"}]}},
         {"nested": {"items": named("b")}}),
        ({"replaced": named("a")}, {"replaced": named("b")}, {"replaced": named("b")}),
        ({"numbers": [1, 2]}, {"numbers": [3, 2, 3]}, {"numbers": [3, 1, 2]}),
        ({"numbers": []}, {"numbers": []}, {"numbers": []}),
        ({"numbers": [1, 2, 3]}, {"$deleteFromPrimitiveList/numbers": [1, 3, 4]}, {"numbers": [2]}),
        ({}, {"$deleteFromPrimitiveList/numbers": [1]}, {}),
        ({"numbers": [1]}, {"$deleteFromPrimitiveList/numbers": None}, {}),
        ({"numbers": [1, 2]}, {"$setElementOrder/numbers": [3, 2, 1], "numbers": [3]}, {"numbers": [3, 2, 1]}),
        ({"items": named("a", "b")}, {"items": [{"$patch": "replace"}, {"name": "c"}]}, {"items": named("c")}),
        ({"items": named("a", "b", "a")}, {"items": [{"$patch": "delete", "name": "a"}]}, {"items": named("b")}),
        ({"items": named("a", "b")}, {"items": [{"name": "b", "value": "1"}, {"name": "c"}]},
         {"items": [{"name": "a"}, {"name": "b", "value": "1"}, {"name": "c"}]}),
        ({"items": [{"name": "a", "items": named("x")}]}, {"items": [{"name": "a", "items": named("y")}]},
         {"items": [{"name": "a", "items": named("y", "x")}]}),
        ({"items": named("a", "b")}, {"$setElementOrder/items": named("b", "a")}, {"items": named("b", "a")}),
        ({}, {"$setElementOrder/items": named("b", "a"), "items": named("b", "a")}, {"items": named("b", "a")}),
        ({}, {"$setElementOrder/items": named("a")}, {}),
        # Items of others keep their places among those that are ordered.
        ({"items": named("x", "a", "y", "b", "z")},
         {"$setElementOrder/items": named("b", "c", "a"), "items": named("c")},
         {"items": named("x", "y", "b", "c", "a", "z")}),
    ],
)  # fmt: skip
def test_rules(target: Object, patch: Object, result: Object) -> None:
    assert patched(target, patch) == result


@pytest.mark.parametrize(
    ("target", "patch", "code", "message"),
    [
        ({"items": named("a")}, {"items": [{"value": "v"}]}, 500,
         "map: map[value:v] does not contain declared merge key: name"),
        ({"items": [{"value": "v"}]}, {"items": named("a")}, 500,
         "map: map[value:v] does not contain declared merge key: name"),
        ({"items": named("a")}, {"items": [{"$patch": "delete"}]}, 500,
         "map: map[$patch:delete] does not contain declared merge key: name"),
        ({"items": named("a")}, {"items": [{"$patch": "merge", "name": "a"}]}, 500,
         "merging lists cannot yet be specified in the patch"),
        ({"items": named("a")}, {"items": [{"$patch": "odd", "name": "a"}]}, 500,
         "unknown patch type: odd in map: map[$patch:odd name:a]"),
        ({}, {"$patch": "odd"}, 500, "unknown patch type: odd in map: map[$patch:odd]"),
        ({"keyless": named("a")}, {"keyless": named("b")}, 500, "cannot merge lists without merge key for struct"),
        ({"numbers": [1]}, {"numbers": ["a"]}, 500, "list element types are not identical: [[1] [a]]"),
        ({"numbers": []}, {"numbers": [[1]]}, 422, "the server rejected our request due to an error in our request"),
        ({"items": named("a")}, {"$deleteFromPrimitiveList/items": named("a")}, 500,
         "cannot delete maps with a list of primitives"),
        ({}, {"$deleteFromPrimitiveList": [1]}, 400, "invalid patch format of primitive list"),
        ({}, {"$deleteFromPrimitiveListX/numbers": [1]}, 400, "invalid patch format of primitive list"),
        ({}, {"$setElementOrder": [1]}, 400, "invalid patch format of setElementOrder list"),
        ({}, {"$setElementOrder/odd": [1]}, 500, 'unable to find api field "odd"'),
        ({}, {"$setElementOrder/items": 1}, 500, "expected a []interface {}, but received a int64"),
        ({"items": "odd"}, {"$setElementOrder/items": []}, 500,
         "expected a []interface {}, but received a string"),
        ({}, {"$setElementOrder/items": named("a"), "items": ["a"]}, 500,
         "expected a map[string]interface {}, but received a string"),
        ({}, {"$setElementOrder/items": named("a", "b"), "items": named("b", "a")}, 500,
         "The order in patch list:\n[map[name:b] map[name:a]]\n doesn't match $setElementOrder list:\n"
         "[map[name:a] map[name:b]]\n"),
        ({}, {"$setElementOrder/items": [{"value": "a"}], "items": named("a")}, 500,
         "map: map[value:a] does not contain declared merge key: name"),
        ({"items": named("a")}, {"$setElementOrder/items": [{"value": "a"}]}, 500,
         "map: map[value:a] does not contain declared merge key: name"),
        ({"map": {}}, {"map": {"$retainKeys": ["a"], "b": "c"}}, 400, "invalid patch format of retainKeys"),
        ({"map": {}}, {"map": {"$retainKeys": "a"}}, 400, "invalid patch format of retainKeys"),
    ],
)  # fmt: skip
def test_refusals(target: Object, patch: Object, code: int, message: str) -> None:
    assert refused(target, patch) == (code, message)


def test_as_upstream_new_items_take_the_places_of_deleted_ones() -> None:
    order = {"$setElementOrder/items": named("b", "c")}
    delete_and_add = {**order, "items": [{"name": "c"}, {"name": "a", "$patch": "delete"}]}
    assert patched({"items": named("a", "b", "d")}, delete_and_add) == {"items": named("b", "d", "c")}
    assert patched({"items": named("b", "d")}, {**order, "items": named("c")}) == {"items": named("b", "c", "d")}


KEYS = st.sampled_from("abcd")
LEAF = st.fixed_dictionaries({}, optional={"value": st.sampled_from("xyz"), "map": st.dictionaries(KEYS, KEYS)})
NUMBERS = st.lists(st.integers(0, 4), unique=True, min_size=1)
LISTS = st.dictionaries(KEYS, LEAF, min_size=1).map(lambda found: [{"name": key, **one} for key, one in found.items()])
OBJECTS = st.fixed_dictionaries({}, optional={"items": LISTS, "numbers": NUMBERS, "map": st.dictionaries(KEYS, KEYS)})


def diff(old: Object, new: Object) -> Object:
    """Make a patch as kubectl does, by the rules of a client."""
    patch: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name not in old:
            patch[name] = value
        elif name in ("items", "numbers"):
            patch.update(list_diff(name, old[name], value))
        elif isinstance(value, dict):
            patch[name] = diff(old[name], value)
        elif value != old[name]:
            patch[name] = value
    return patch


def list_diff(name: str, old: list[Any], new: list[Any]) -> Object:
    if name == "numbers":
        added, removed = [one for one in new if one not in old], [one for one in old if one not in new]
        return {f"$setElementOrder/{name}": new, name: added, f"$deleteFromPrimitiveList/{name}": removed}
    before = {one["name"]: one for one in old}
    changed = [{**diff(before.get(one["name"], {}), one), "name": one["name"]} for one in new]
    kept = {one["name"] for one in new}
    deleted = [{"name": one["name"], "$patch": "delete"} for one in old if one["name"] not in kept]
    return {f"$setElementOrder/{name}": [{"name": one["name"]} for one in new], name: changed + deleted}


@given(OBJECTS, OBJECTS)
def test_a_difference_leads_from_one_to_the_other(old: Object, new: Object) -> None:
    assert patched(old, diff(old, new)) == new


VALUES = st.recursive(
    st.none() | st.integers(0, 1) | st.sampled_from(["a", "delete", "replace"]),
    lambda inside: st.lists(inside, max_size=2)
    | st.dictionaries(
        st.sampled_from(["name", "items", "numbers", "map", "$patch", "$retainKeys", "$setElementOrder/items",
                         "$setElementOrder/numbers", "$deleteFromPrimitiveList/numbers", "nested"]),
        inside, max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
ANYTHING = st.dictionaries(
    st.sampled_from(["name", "items", "numbers", "$patch", "$setElementOrder/items", "$retainKeys", "nested"]),
    VALUES,
    max_size=4,
)


@given(ANYTHING, ANYTHING)
def test_whatever_is_sent_is_applied_or_refused(target: Object, patch: Object) -> None:
    try:
        code = 200 if isinstance(strategic_patch(target, patch, ITEM), dict) else 0
    except StatusError as error:
        code = error.code
    assert code in (200, 400, 422, 500)
