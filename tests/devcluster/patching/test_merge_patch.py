"""JSON merge patches: the examples of RFC 7386, and laws."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.objects import Object, copy
from adapter_devcluster.patching.merge import merge_patch

pytestmark = pytest.mark.unit

NAMES = st.sampled_from("abc")
SCALARS = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["x", "y"])
# No objects in lists: of these the server drops nulls or not, by what the list replaces.
LISTS = st.lists(SCALARS, max_size=2)
VALUES = st.recursive(SCALARS | LISTS, lambda inside: st.dictionaries(NAMES, inside, max_size=3))
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": {"b": 1}}, {"a": [{"c": None}]}, {"a": [{"c": None}]}),
        # The server's own: nulls go from objects in lists too.
        ({"a": [1]}, {"a": [{"c": None, "d": [None]}]}, {"a": [{"d": [None]}]}),
    ],
)
def test_examples(target: Object, patch: Object, result: Object) -> None:
    assert merge_patch(target, patch) == result


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@given(OBJECTS, OBJECTS)
def test_laws(target: Object, patch: Object) -> None:
    before = copy(target), copy(patch)
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert merge_patch(target, {}) == target
    assert merge_patch({}, patch) == without_nulls(patch)
    assert (target, patch) == before


def diff(old: Object, new: Object) -> Object:
    patch: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            patch[name] = diff(old[name], value)
        elif old.get(name) != value or type(old.get(name)) is not type(value):
            patch[name] = value
    return patch


@given(OBJECTS.map(without_nulls), OBJECTS.map(without_nulls))
def test_a_difference_leads_from_one_to_the_other(old: Object, new: Object) -> None:
    assert merge_patch(old, diff(old, new)) == new
