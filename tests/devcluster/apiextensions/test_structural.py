"""Which schemas are structural, with the server's paths and words."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import SchemaError, compile_schema
from adapter_devcluster.apiextensions.structural import check_structural
from adapter_devcluster.apiextensions.tree import read_schema

pytestmark = pytest.mark.unit

ROOT = "spec.versions[0].schema.openAPIV3Schema"
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"


def spec(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": schema}}


def problems(schema: dict[str, Any]) -> list[str]:
    return [str(error).removeprefix(f"{ROOT}.") for error in check_structural(read_schema(schema), ROOT)]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, ["type: Required value: must not be empty at the root"]),
        ({"type": "string"}, ['type: Invalid value: "string": must be object at the root']),
        (
            spec({}),
            ["properties[spec].type: Required value: must not be empty for specified object fields"],
        ),
        (
            spec({"type": "array", "items": {}}),
            ["properties[spec].items.type: Required value: must not be empty for specified array items"],
        ),
        (spec({"type": "array"}), ["properties[spec].items: Required value: must be specified"]),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            ["additionalProperties: Forbidden: must not be used at the root"],
        ),
        (
            spec({"type": "object", "additionalProperties": {}}),
            [
                "properties[spec].additionalProperties.type: Required value: "
                "must not be empty for specified object fields"
            ],
        ),
        (
            spec({"x-kubernetes-int-or-string": True, PRESERVE: True}),
            [f"properties[spec].{PRESERVE}: Invalid value: true: must be false if x-kubernetes-int-or-string is true"],
        ),
        (
            spec({EMBEDDED: True, PRESERVE: True}),
            ["properties[spec].type: Required value: must be object if x-kubernetes-embedded-resource is true"],
        ),
        (
            spec({EMBEDDED: True, "type": "object"}),
            [
                "properties[spec].properties: Required value: must not be empty if "
                "x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
            ],
        ),
        (
            spec({EMBEDDED: True, "type": "object", PRESERVE: True, "additionalProperties": True}),
            [
                "properties[spec].additionalProperties: Forbidden: "
                "must not be used if x-kubernetes-embedded-resource is set"
            ],
        ),
        (
            {
                "type": "object",
                "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
            },
            [
                "properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                "but metadata is implicitly specified"
            ],
        ),
        (
            {
                "type": "object",
                "properties": {"kind": {"type": "integer"}, "metadata": {"type": "array", "items": {"type": "string"}}},
            },
            [
                'properties[kind].type: Invalid value: "integer": must be string',
                'properties[metadata].type: Invalid value: "array": must be object',
                "properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                "but metadata is implicitly specified",
            ],
        ),
        (
            spec({"type": "string", "pattern": "(?=a)"}),
            [
                'properties[spec].pattern: Invalid value: "(?=a)": must be a valid regular expression, '
                "but isn't: error parsing regexp: invalid or unsupported Perl syntax: `(?=`"
            ],
        ),
        (
            spec({"type": "string", "anyOf": [{"type": "string"}]}),
            ["properties[spec].anyOf[0].type: Forbidden: must be empty to be structural"],
        ),
    ],
)
def test_what_is_not_structural(schema: dict[str, Any], expected: list[str]) -> None:
    assert problems(schema) == expected


@pytest.mark.parametrize(
    ("key", "value", "detail"),
    [
        ("additionalProperties", True, "must be undefined to be structural"),
        ("default", 1, "must be undefined to be structural"),
        ("title", "x", "must be empty to be structural"),
        ("description", "x", "must be empty to be structural"),
        ("nullable", True, "must be false to be structural"),
        (PRESERVE, True, "must be false to be structural"),
        (EMBEDDED, True, "must be false to be structural"),
        ("x-kubernetes-int-or-string", True, "must be false to be structural"),
        ("x-kubernetes-list-map-keys", ["a"], "must be empty to be structural"),
        ("x-kubernetes-list-type", "set", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "atomic", "must be undefined to be structural"),
        ("x-kubernetes-validations", [{"rule": "true"}], "must be empty to be structural"),
    ],
)
@pytest.mark.parametrize("junctor", ["anyOf[0]", "oneOf[0]", "allOf[0]", "not"])
def test_structure_may_not_stand_under_a_junctor(junctor: str, key: str, value: Any, detail: str) -> None:
    name = junctor.removesuffix("[0]")
    nested: Any = {key: value} if name == "not" else [{key: value}]
    found = problems(spec({"type": "object", name: nested}))
    assert found == [f"properties[spec].{junctor}.{key}: Forbidden: {detail}"]


def test_what_a_junctor_names_must_be_in_the_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object"}},
        "anyOf": [{"properties": {"spec": {"properties": {"x": {}}}, "other": {}}}],
        "not": {"items": {}, "properties": {"metadata": {}}},
    }
    assert problems(schema) == [
        f"items: Required value: because it is defined in {ROOT}.not.items",
        "not.properties[metadata]: Forbidden: must not be specified in a nested context",
        f"properties[metadata]: Required value: because it is defined in {ROOT}.not.properties[metadata]",
        f"properties[other]: Required value: because it is defined in {ROOT}.anyOf[0].properties[other]",
        "properties[spec].properties[x]: Required value: because it is defined in "
        f"{ROOT}.anyOf[0].properties[spec].properties[x]",
    ]


@pytest.mark.parametrize(
    "schema",
    [
        spec({"x-kubernetes-int-or-string": True}),
        spec({"x-kubernetes-int-or-string": True, "anyOf": INT_OR_STRING}),
        spec({"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": INT_OR_STRING}, {"pattern": "^a"}]}),
        spec({PRESERVE: True}),
        spec({"type": "object", EMBEDDED: True, PRESERVE: True}),
        spec({"type": "object", "additionalProperties": True}),
        {
            "type": "object",
            "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}},
        },
        spec({"type": "string", "anyOf": [{"pattern": "a"}, {"enum": ["b"]}], "not": {"minLength": 9}}),
    ],
)
def test_what_is_structural(schema: dict[str, Any]) -> None:
    assert problems(schema) == []
    assert compile_schema(schema).type == "object"


def test_compiling_refuses_what_is_not_structural() -> None:
    with pytest.raises(SchemaError) as refused:
        compile_schema(spec({}), ROOT)
    assert [error.field for error in refused.value.errors] == [f"{ROOT}.properties[spec].type"]
    assert str(refused.value).startswith(f"{ROOT}.properties[spec].type: Required value")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ([], 'Invalid value: "array": must be a schema object'),
        ({"type": 5}, 'type: Invalid value: "integer": must be of type string'),
        ({"nullable": "yes", "maxLength": 1.5}, 'nullable: Invalid value: "string": must be of type boolean'),
        ({"properties": {"a": 1}}, 'properties[a]: Invalid value: "integer": must be a schema object'),
        ({"required": [1]}, 'required[0]: Invalid value: "integer": must be of type string'),
        ({"x-kubernetes-validations": ["a"]}, 'x-kubernetes-validations[0]: Invalid value: "string"'),
        ({"x-kubernetes-validations": [{"rule": 1}]}, "x-kubernetes-validations[0].rule: Invalid value"),
        ({"exclusiveMinimum": 3}, 'exclusiveMinimum: Invalid value: "integer": must be of type boolean'),
        ({"maximum": float("inf")}, 'maximum: Invalid value: "number": must be finite'),
    ],
)
def test_what_is_no_schema(schema: Any, expected: str) -> None:
    with pytest.raises(SchemaError) as refused:
        read_schema(schema, ROOT)
    assert expected in str(refused.value)


def test_nesting_is_bounded() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(100):
        schema = spec(schema)
    with pytest.raises(SchemaError, match="nested deeper"):
        read_schema(schema)
