"""Values against schemas: one row for each keyword, with the server's words."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import Reason
from adapter_devcluster.apiextensions.list_types import check_lists
from adapter_devcluster.apiextensions.tree import read_schema
from adapter_devcluster.apiextensions.validation import validate

pytestmark = pytest.mark.unit

ANY_INT_OR_STRING = {"x-kubernetes-int-or-string": True}
JUNCTOR = '<nil>: Invalid value: "": "f" must '


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    """Errors of `value` as the field `f` of an object."""
    node = read_schema({"type": "object", "properties": {"f": schema}})
    return [str(error) for error in validate({"f": value}, node).errors]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 1, 'Invalid value: "integer": f in body must be of type string: "integer"'),
        ({"type": "string"}, None, 'Invalid value: "null": f in body must be of type string: "null"'),
        ({"type": "object"}, [], 'Invalid value: "array": f in body must be of type object: "array"'),
        ({"type": "array", "items": {}}, {}, 'Invalid value: "object": f in body must be of type array: "object"'),
        ({"type": "boolean"}, "x", 'Invalid value: "string": f in body must be of type boolean: "string"'),
        ({"type": "number"}, True, 'Invalid value: "boolean": f in body must be of type number: "boolean"'),
        (ANY_INT_OR_STRING, True, 'Invalid value: "boolean": f in body must be of type integer,string: "boolean"'),
        ({"type": "string", "format": "date"}, True, 'Invalid value: "": f in body must be of type date: ""'),
        ({"type": "string", "format": "date"}, 5, 'Invalid value: "int64": f in body must be of type date: "int64"'),
        ({"type": "string", "format": "date"}, "x", 'Invalid value: "x": f in body must be of type date: "x"'),
        ({"type": "string", "maxLength": 2}, "éàè", "Too long: may not be more than 2 bytes"),
        ({"type": "string", "maxLength": 1}, "ab", "Too long: may not be more than 1 byte"),
        ({"type": "string", "minLength": 3}, "éà", 'Invalid value: "éà": f in body should be at least 3 chars long'),
        ({"type": "string", "pattern": "^a$"}, "a\n", "Invalid value: \"a\\n\": f in body should match '^a$'"),
        ({"type": "string", "enum": ["a", "b"]}, "c", 'Unsupported value: "c": supported values: "a", "b"'),
        ({"type": "integer", "enum": [1, 2]}, 3, 'Unsupported value: 3: supported values: "1", "2"'),
        ({"type": "string", "nullable": True, "enum": ["a"]}, None, 'Unsupported value: null: supported values: "a"'),
        ({"type": "integer", "maximum": 10}, 11, "Invalid value: 11: f in body should be less than or equal to 10"),
        ({"type": "number", "maximum": 1.5}, 2, "Invalid value: 2: f in body should be less than or equal to 1"),
        (
            {"type": "number", "maximum": 1.5},
            1.75,
            "Invalid value: 1.75: f in body should be less than or equal to 1.5",
        ),
        (
            {"type": "integer", "maximum": 10, "exclusiveMaximum": True},
            10,
            "Invalid value: 10: f in body should be less than 10",
        ),
        ({"type": "integer", "minimum": 1}, 0, "Invalid value: 0: f in body should be greater than or equal to 1"),
        (
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
            1,
            "Invalid value: 1: f in body should be greater than 1",
        ),
        ({"type": "integer", "multipleOf": 5}, 7, "Invalid value: 7: f in body should be a multiple of 5"),
        ({"type": "number", "multipleOf": 0.5}, 0.7, "Invalid value: 0.7: f in body should be a multiple of 0.5"),
        (
            {"type": "number", "multipleOf": -1},
            0.7,
            "Invalid value: -1: factor MultipleOf declared for f must be positive: -1",
        ),
        ({"type": "array", "items": {}, "maxItems": 1}, [1, 2], "Too many: 2: must have at most 1 item"),
        ({"type": "array", "items": {}, "minItems": 1}, [], "Invalid value: 0: f in body should have at least 1 items"),
        ({"type": "object", "maxProperties": 0}, {"a": 1}, "Too many: 1: must have at most 0 items"),
        ({"type": "object", "minProperties": 1}, {}, "Invalid value: 0: f in body should have at least 1 properties"),
        (
            {"type": "object", "additionalProperties": False},
            {"a": 1},
            'Invalid value: "a": f.a in body is a forbidden property',
        ),
    ],
)
def test_one_error(schema: dict[str, Any], value: Any, expected: str) -> None:
    assert problems(schema, value) == [f"f: {expected}"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "nullable": True}, None),
        ({"type": "integer"}, 1.0),
        ({"type": "number"}, 1),
        ({"type": "number", "multipleOf": 0.1}, 0.3),
        ({"type": "integer", "enum": [1.0]}, 1),
        ({"type": "string", "maxLength": 3}, "éàè"),
        ({"type": "string", "format": "nope"}, "x"),
        ({"type": "object", "format": "date"}, {}),
        ({"type": "string", "format": "date"}, []),  # the server takes a list for any formatted string
        (ANY_INT_OR_STRING, 5),
        (ANY_INT_OR_STRING, "50%"),
        ({"type": "object", "additionalProperties": True}, {"a": [1]}),
        ({"x-kubernetes-preserve-unknown-fields": True}, [1, {"a": None}]),
        ({}, {"a": 1}),
        ({"type": "integer", "format": "int64"}, 2**63 - 1),
    ],
)
def test_no_error(schema: dict[str, Any], value: Any) -> None:
    assert problems(schema, value) == []


def test_ranges_of_numeric_formats() -> None:
    """These have no path of their own in the server's answers."""
    detail = "value must be of type integer with format int32 in f"
    assert problems({"type": "integer", "format": "int32"}, 2**31) == [f'<nil>: Invalid value: "": Checked {detail}']
    assert problems({"type": "number", "format": "float"}, 1e39) == [
        '<nil>: Invalid value: "": Checked value must be of type number with format float in f'
    ]
    assert problems({"type": "integer"}, 1.5) == [
        'f: Invalid value: "number": f in body must be of type integer: "number"',
        '<nil>: Invalid value: "": Checked value must be of type integer (default format) in f',
    ]
    # A bound that is no integer itself makes every value wrong.
    assert problems({"type": "integer", "maximum": 1.5}, 0) == [
        '<nil>: Invalid value: "": Maximum boundary value must be of type integer (default format) in f'
    ]


def test_paths_and_order() -> None:
    schema = {
        "type": "object",
        "required": ["gone", "name"],
        "properties": {
            "name": {"type": "string"},
            "list": {"type": "array", "maxItems": 1, "items": {"type": "object", "required": ["k"]}},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
    }
    value = {"map": {"a.b": "x"}, "list": [{}, 5]}
    assert problems(schema, value) == [
        "f.list[0].k: Required value",
        'f.list[1]: Invalid value: "integer": f.list[1] in body must be of type object: "integer"',
        "f.list: Too many: 2: must have at most 1 items".replace("items", "item"),
        'f.map.a.b: Invalid value: "string": f.map.a.b in body must be of type integer: "string"',
        "f.gone: Required value",
        "f.name: Required value",
    ]


def test_a_prefix_is_not_part_of_the_name() -> None:
    node = read_schema({"type": "object", "properties": {"phase": {"type": "string"}}})
    (error,) = validate({"phase": 1}, node, "status").errors
    assert (error.field, error.reason) == ("status.phase", Reason.TYPE_INVALID)
    assert error.message == 'Invalid value: "integer": phase in body must be of type string: "integer"'
    (error,) = validate(1, node, "status").errors
    assert str(error) == 'status: Invalid value: "integer":  in body must be of type object: "integer"'


def test_junctors() -> None:
    short, digits = {"maxLength": 2}, {"pattern": "^[0-9]+$"}
    text = {"type": "string"}
    assert problems({**text, "anyOf": [short, digits]}, "12345") == []
    assert problems({**text, "anyOf": [short, digits]}, "abc") == [
        f"{JUNCTOR}validate at least one schema (anyOf)",
        "f: Too long: may not be more than 2 bytes",
    ]
    assert problems({**text, "oneOf": [short, digits]}, "abc") == [
        f"{JUNCTOR}validate one and only one schema (oneOf). Found none valid",
        "f: Too long: may not be more than 2 bytes",
    ]
    assert problems({**text, "oneOf": [short, digits]}, "12") == [
        f"{JUNCTOR}validate one and only one schema (oneOf). Found 2 valid alternatives"
    ]
    assert problems({**text, "oneOf": [short, digits]}, "123") == []
    assert problems({**text, "allOf": [short, digits]}, "12") == []
    assert problems({**text, "allOf": [short, digits]}, "123") == [
        "f: Too long: may not be more than 2 bytes",
        f"{JUNCTOR}validate all the schemas (allOf)",
    ]
    assert problems({**text, "allOf": [short, digits]}, "abc")[-1].endswith("(allOf). None validated")
    assert problems({**text, "not": short}, "a") == [f"{JUNCTOR}not validate the schema (not)"]
    assert problems({**text, "not": short}, "abc") == []


def test_the_alternative_that_came_furthest_is_shown() -> None:
    alternatives = [
        {"properties": {"a": {"enum": ["x"]}}},
        {"properties": {"a": {"minLength": 1}, "b": {"enum": [1]}}},
    ]
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "anyOf": alternatives,
    }
    assert problems(schema, {"a": "y", "b": 2})[-1] == 'f.b: Unsupported value: 2: supported values: "1"'


def duplicates(schema: dict[str, Any], value: Any) -> list[str]:
    node = read_schema({"type": "object", "properties": {"f": schema}})
    return [str(error) for error in check_lists({"f": value}, node)]


def test_sets() -> None:
    schema = {"type": "array", "x-kubernetes-list-type": "set", "items": {"x-kubernetes-int-or-string": True}}
    assert duplicates(schema, ["a", "b", 1, "1", 1.0, True, None]) == []
    assert duplicates(schema, ["a", "b", "a", "a", 1, 1]) == [
        'f[2]: Duplicate value: "a"',
        "f[5]: Duplicate value: 1",
    ]
    assert duplicates(schema, [{"a": [1]}, {"a": [1]}]) == ['f[1]: Duplicate value: {"a":[1]}']


def test_map_lists() -> None:
    item = {"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer"}}}
    one = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item}
    two = {**one, "x-kubernetes-list-map-keys": ["k", "n"]}
    assert duplicates(one, [{"k": "a", "n": 1}, {"k": "a", "n": 2}]) == ['f[1]: Duplicate value: {"k":"a"}']
    assert duplicates(two, [{"k": "a", "n": 1}, {"k": "a", "n": 2}]) == []
    assert duplicates(two, [{"n": 1, "k": "a"}, {"k": "a", "n": 1}]) == ['f[1]: Duplicate value: {"k":"a","n":1}']
    assert duplicates(one, [{}, {}]) == ["f[1]: Duplicate value: {}"]
    assert duplicates(one, ["a", {"k": "a"}]) == [
        'f[0]: Invalid value: "a": must be an object for an array of list-type map'
    ]


def test_lists_are_found_below_lists_and_maps() -> None:
    inner = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    in_map = {"type": "object", "additionalProperties": inner}
    assert duplicates({"type": "array", "items": in_map}, [{"x": ["a", "a"]}]) == ['f[0][x][1]: Duplicate value: "a"']
