"""Sets of fields, against a plain set of paths."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.patching.field_sets import (
    FieldSet,
    Path,
    difference,
    field_set,
    in_order,
    intersection,
    key_element,
    leaves,
    parse,
    path_text,
    paths,
    union,
    value_element,
    without,
)

pytestmark = pytest.mark.unit

ELEMENTS = ["f:a", "f:b", 'k:{"name":"x"}', 'v:"s"', "i:0"]
PATHS = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=3).map(tuple)
MODELS = st.frozensets(PATHS, max_size=8)


def built(model: frozenset[Path]) -> FieldSet:
    """Build a set as a JSON document, without the functions under test."""
    root: dict[str, Any] = {}
    for path in model:
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return {element: tidied(node) for element, node in root.items()}


def tidied(node: dict[str, Any]) -> dict[str, Any]:
    children = {element: tidied(inside) for element, inside in node.items() if element != "."}
    return {**({".": {}} if "." in node else {}), **children} if children else {}


def model_of(fields: FieldSet) -> frozenset[Path]:
    return frozenset(paths(fields))


@given(MODELS)
def test_paths_give_back_what_was_built(model: frozenset[Path]) -> None:
    assert model_of(built(model)) == model


@given(MODELS, MODELS)
def test_algebra(a: frozenset[Path], b: frozenset[Path]) -> None:
    left, right = built(a), built(b)
    # Equal to what is built from the model, so also in its one canonical form.
    assert union(left, right) == built(a | b)
    assert intersection(left, right) == built(a & b)
    assert difference(left, right) == built(a - b)
    below = frozenset(path for path in a if not any(path[: len(one)] == one for one in b))
    assert without(left, right) == built(below)
    assert (left, right) == (built(a), built(b))


@given(MODELS)
def test_leaves_are_the_members_without_members_below(model: frozenset[Path]) -> None:
    wanted = frozenset(one for one in model if not any(one == other[: len(one)] for other in model - {one}))
    assert leaves(built(model)) == built(wanted)


@given(MODELS)
def test_json_round_trip(model: frozenset[Path]) -> None:
    fields = built(model)
    assert parse(fields) == fields
    assert in_order(fields) == fields
    assert difference(fields, {}) is fields
    assert union(fields, {}) is fields


def test_what_nothing_is_taken_from_stays_the_same_object() -> None:
    fields = built(frozenset({("f:a", "f:b"), ("f:b",)}))
    assert difference(fields, field_set(("a",), ("c",), ("b", "x"))) is fields


def test_field_set_of_names() -> None:
    assert field_set(("metadata",), ("metadata", "name"), ("status",)) == {
        "f:metadata": {".": {}, "f:name": {}},
        "f:status": {},
    }


def test_elements_are_canonical() -> None:
    assert key_element({"name": 'a"b'}) == r'k:{"name":"a\"b"}'
    assert key_element({"b": 1.0, "a": True}) == 'k:{"a":true,"b":1}'
    assert key_element({"n": 8080}) == 'k:{"n":8080}'
    assert value_element("é") == 'v:"é"'
    assert [value_element(one) for one in (1, 1.5, True, 2.0)] == ["v:1", "v:1.5", "v:true", "v:2"]


def test_parsing_makes_canonical() -> None:
    sent = {
        ".": {},
        "f:a": {".": {}},
        'k:{"b": 1.0, "a": "x"}': {"f:c": {}, "x:unknown": {}},
        'k:{"a":"x","b":1}': {},
        "v: 1.0": {"x:unknown": {}},
        "i:07": {},
    }
    assert parse(sent) == {
        "f:a": {},
        'k:{"a":"x","b":1}': {".": {}, "f:c": {}},
        "v:1": {},
        "i:7": {},
    }


@pytest.mark.parametrize(
    "sent",
    [None, [], "f:a", {"": {}}, {"f": {}}, {"fa": {}}, {"f:a": None}, {"f:a": {"f:b": 1}}, {"i:x": {}}, {"v:{": {}},
     {"k:[]": {}}, {"k:": {}}],
)  # fmt: skip
def test_parsing_refuses(sent: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        parse(sent)


def test_paths_are_written_as_in_messages() -> None:
    path = ("f:spec", 'k:{"b":1.5,"name":"x\\"y"}', "f:a", 'v:"s"', "v:null", "v:true", "v:3", "i:4", 'v:{"a":1}')
    assert path_text(path) == '.spec[b=1.5,name="x\\"y"].a[="s"][=null][=true][=3][4][={"a":1}]'


def test_paths_come_parents_first() -> None:
    fields: FieldSet = {"f:b": {".": {}, "f:x": {}}, "f:a": {"f:y": {}, "f:x": {}}}
    assert list(paths(fields)) == [("f:b",), ("f:a", "f:x"), ("f:a", "f:y"), ("f:b", "f:x")]
