"""Laws that hold for any schema and any object, and that nothing raises but what is documented."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_devcluster.apiextensions import (
    Admitted,
    Columns,
    Refused,
    Resource,
    Schema,
    SchemaError,
    check_crd,
    check_openapi_schema,
    compile_schema,
)
from adapter_devcluster.apiextensions.defaulting import apply_defaults
from adapter_devcluster.apiextensions.pruning import prune

pytestmark = pytest.mark.unit

Case = tuple[dict[str, Any], list[dict[str, Any]]]

RESOURCE = Resource("example.dev", "v1", "Thing")
NAMES = st.sampled_from(["a", "b", "c", "kind", "x-y", "namespace"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "bb", "2024-01-01T00:00:00Z", "\u00e9", "10%"]),
    st.text(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)

LEAVES: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": "string", "default": "d", "maxLength": 3},
    {"type": "string", "nullable": True, "pattern": "^[a-z]*$"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "enum": ["a", "bb"], "x-kubernetes-validations": [{"rule": "self != 'a'"}]},
    {"type": "integer", "default": 1, "minimum": 0},
    {"type": "integer", "format": "int32", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]},
    {"type": "number", "nullable": True, "default": 0.5, "maximum": 1.5},
    {"type": "boolean", "default": False},
    {"x-kubernetes-int-or-string": True, "default": "10%"},
    {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "default": ["a"]},
]

# An old value can be missing for what is in these.
UNCORRELATED: list[dict[str, Any]] = [
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["a"],
            "properties": {"a": {"type": "string"}, "b": {"type": "integer", "default": 2}},
        },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["a"],
    },
    {"x-kubernetes-preserve-unknown-fields": True},
    {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "integer"}}},
    {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"a": {"type": "string"}}},
]


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """An object schema; its rule and its default use what is there."""
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if properties.get("a") in LEAVES[:3]:
        made["x-kubernetes-validations"] = [{"rule": "!has(self.a) || size(self.a) < 3"}]
    if properties and "b" not in properties:
        made["default"] = {}
    return made


def _list(items: dict[str, Any]) -> dict[str, Any]:
    """A plain list: no transition rule may be below it."""
    return {"type": "array", "maxItems": 5, "items": _without_transitions(items)}


def _map(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values, "maxProperties": 3, "nullable": True}


def _without_defaults(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _without_defaults(value) for name, value in schema.items() if name != "default"}
    return [_without_defaults(value) for value in schema] if isinstance(schema, list) else schema


def _without_transitions(schema: Any) -> Any:
    if isinstance(schema, dict):
        kept = {name: _without_transitions(value) for name, value in schema.items()}
        if "oldSelf" in str(schema.get("x-kubernetes-validations")):
            del kept["x-kubernetes-validations"]
        return kept
    return [_without_transitions(value) for value in schema] if isinstance(schema, list) else schema


def specs(leaves: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Structural schemas of these leaves."""
    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.one_of(
            st.dictionaries(NAMES, inner, max_size=4).map(_object), inner.map(_list), inner.map(_map)
        ),
        max_leaves=8,
    ).map(copy.deepcopy)


SPECS, CORRELATED_SPECS = specs(LEAVES + UNCORRELATED), specs(LEAVES)


def root_of(spec: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": spec}}


def compiled(spec: dict[str, Any]) -> Schema:
    """Compile a drawn schema. One with a default that its own rules refuse does without defaults."""
    try:
        return Schema.compile(root_of(spec), RESOURCE)
    except SchemaError:
        return Schema.compile(root_of(_without_defaults(spec)), RESOURCE)


def value_of(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """Draw a value that mostly fits its schema: one in twelve is anything."""
    if draw(st.integers(0, 11)) == 11:
        return draw(VALUES)
    match schema.get("type"):
        case "object":
            return object_of(draw, schema)
        case "array":
            return [value_of(draw, schema["items"]) for _ in range(draw(st.integers(0, 3)))]
        case name:
            return draw(FITTING.get(name, VALUES))


def object_of(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    made = draw(st.dictionaries(NAMES, SCALARS, max_size=2)) if "properties" in schema and draw(st.booleans()) else {}
    for name, sub in schema.get("properties", {}).items():
        if draw(st.booleans()):
            made[name] = value_of(draw, sub)
    if "additionalProperties" in schema:
        for name in draw(st.lists(NAMES, max_size=3)):
            made[name] = value_of(draw, schema["additionalProperties"])
    return made


FITTING: dict[str | None, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["a", "bb", "abc", "2024-01-01T00:00:00Z"]),
    "integer": st.integers(-2, 5),
    "number": st.sampled_from([0, 0.5, 1.0, 2]),
    "boolean": st.booleans(),
    None: st.sampled_from([1, "10%"]),
}


@st.composite
def cases(draw: st.DrawFn, objects: int = 1, schemas: st.SearchStrategy[dict[str, Any]] = SPECS) -> Case:
    """A schema with objects for it."""
    spec = draw(schemas)
    made = []
    for _ in range(objects):
        thing = {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "x"}}
        made.append({**thing, "spec": value_of(draw, spec)})
    return spec, made


@settings(max_examples=120)
@given(cases())
def test_admitting_what_was_admitted_changes_nothing(case: Case) -> None:
    schema, (sent,) = compiled(case[0]), case[1]
    first = schema.admit_create(sent)
    if not isinstance(first, Admitted):
        return
    again = schema.admit_create(first.object)
    assert again == Admitted(first.object), "an admitted object has no unknown fields and is valid"
    assert schema.load(first.object) == first.object
    updated = schema.admit_update(first.object, first.object)
    assert isinstance(updated, Admitted)
    assert updated.object == first.object


@settings(max_examples=120)
@given(cases(schemas=CORRELATED_SPECS))
def test_an_update_that_changes_nothing_is_let_through(case: Case) -> None:
    """A stored object may be invalid by a newer schema; that must not get in the way of other changes.

    A server insists only where a rule fails to run. (And around places without a schema, and map lists whose
    items lack their keys: those never count as unchanged.)
    """
    schema, (sent,) = compiled(case[0]), case[1]
    stored = schema.load(sent)
    labelled = {**stored, "metadata": {**sent["metadata"], "labels": {"colour": "red"}}}
    answer = schema.admit_update(stored, labelled)
    if isinstance(answer, Refused):
        assert [error for error in answer.errors if " evaluating rule: " not in error.message] == []


@settings(max_examples=120)
@given(cases())
def test_pruning_leaves_no_unknown_field(case: Case) -> None:
    schema, (sent,) = compiled(case[0]), case[1]
    before = copy.deepcopy(sent)
    pruned = prune(sent, schema.node)
    assert pruned == sorted(pruned)
    assert bool(pruned) == (sent != before)
    assert prune(sent, schema.node) == []
    assert contained(sent, before)


@settings(max_examples=120)
@given(cases())
def test_defaulting_never_changes_a_set_value(case: Case) -> None:
    schema, (sent,) = compiled(case[0]), case[1]
    prune(sent, schema.node)
    before = copy.deepcopy(sent)
    apply_defaults(sent, schema.node)
    assert contained(before, sent)
    once = copy.deepcopy(sent)
    apply_defaults(sent, schema.node)
    assert sent == once


def contained(part: Any, whole: Any) -> bool:
    """Whether whole only adds fields to part (or puts something in the place of a null)."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and contained(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(contained(one, other) for one, other in zip(part, whole, strict=True))
    return part is None or (type(part) is type(whole) and part == whole)


@settings(max_examples=150)
@given(cases(2), VALUES)
def test_no_object_makes_it_raise(case: Case, anything: Any) -> None:
    schema, (old, new) = compiled(case[0]), case[1]
    printed = [
        {"name": "A", "type": "integer", "jsonPath": ".spec.a"},
        {"name": "B", "type": "date", "jsonPath": ".spec"},
    ]
    columns = Columns.compile({"additionalPrinterColumns": printed})
    for sent in (old, new, anything, {**new, "metadata": anything}):
        for answer in (schema.admit_create(sent), schema.admit_update(old, sent)):
            if isinstance(answer, Refused):
                assert answer.status["code"] == (422 if answer.errors else 400)
            else:
                assert len(columns.cells(answer.object, 0)) == len(columns.definitions())


@settings(max_examples=150)
@given(SPECS, st.data())
def test_no_schema_makes_it_raise_anything_else(spec: dict[str, Any], data: st.DataObject) -> None:
    """A schema with something else somewhere in it is compiled, or refused with SchemaError."""
    root = root_of(spec)
    places = list(all_places(root))
    parent, key = data.draw(st.sampled_from(places))
    parent[key] = data.draw(VALUES | st.sampled_from(LEAVES).map(copy.deepcopy))
    if isinstance(parent, dict) and data.draw(st.booleans()):
        parent[data.draw(st.sampled_from(KEYWORDS))] = data.draw(VALUES)
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}
    names = {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"}
    spec_of_crd = {"group": "example.dev", "scope": "Namespaced", "names": names, "versions": [version]}
    found = check_crd({"metadata": {"name": "things.example.dev"}, "spec": spec_of_crd})
    schema = compiled_or_none(root)
    if schema is None:
        assert found, "what does not compile is refused in a definition too"
    else:
        schema.admit_create({"apiVersion": "example.dev/v1", "kind": "Thing", "spec": data.draw(VALUES)})


def compiled_or_none(root: Any) -> Schema | None:
    try:
        return Schema.compile(root, RESOURCE)
    except SchemaError:
        return None


KEYWORDS = [
    "allOf",
    "anyOf",
    "default",
    "enum",
    "format",
    "items",
    "maximum",
    "not",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
]


def all_places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: list[tuple[Any, Any]] = []
    for key, item in items:
        found.append((value, key))
        found += all_places(item)
    return found


@given(VALUES)
def test_anything_as_a_definition(anything: Any) -> None:
    compiled_or_none(anything)
    for read in (compile_schema, lambda raw: check_openapi_schema(raw, "s")):
        with contextlib.suppress(SchemaError):
            read(anything)
    if isinstance(anything, dict):
        assert check_crd(anything)
        assert check_crd({"metadata": anything, "spec": anything})
