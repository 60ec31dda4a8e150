"""Whole definitions: forbidden keywords, list types, defaults, rules and their cost, columns, names."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapter_devcluster.apiextensions import check_crd, check_openapi_schema

pytestmark = pytest.mark.unit

ROOT = "schema"
LIST = "x-kubernetes-list-type"
KEYS = "x-kubernetes-list-map-keys"
RULES = "x-kubernetes-validations"
NAMED = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


def spec(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": schema}}


def problems(schema: Any, *, status: bool = False) -> list[str]:
    report = check_openapi_schema(schema, ROOT, status_subresource=status).report
    return [str(error).removeprefix(f"{ROOT}.").removeprefix("properties[spec].") for error in report.errors]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": "#/x", "type": "object"}, "$ref: Forbidden: $ref is not supported"),
        ({"type": "object", "definitions": {}}, "definitions: Forbidden: definitions is not supported"),
        ({"type": "object", "dependencies": {}}, "dependencies: Forbidden: dependencies is not supported"),
        ({"type": "object", "id": "x"}, "id: Forbidden: id is not supported"),
        (
            {"type": "object", "patternProperties": {"a": {}}},
            "patternProperties: Forbidden: patternProperties is not supported",
        ),
        (
            {"type": "array", "items": [{"type": "string"}]},
            "items: Forbidden: items must be a schema object and not an array",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
            "uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        ({"type": "null"}, "type: Forbidden: type cannot be set to null, use nullable as an alternative"),
        (
            {"type": "text"},
            'type: Unsupported value: "text": '
            'supported values: "array", "boolean", "integer", "number", "object", "string"',
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            "additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": False},
            "x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        (
            {"type": "string", "x-kubernetes-map-type": "atomic"},
            'type: Invalid value: "string": must be object if x-kubernetes-map-type is specified',
        ),
        (
            {"type": "object", "x-kubernetes-map-type": "loose"},
            'x-kubernetes-map-type: Unsupported value: "loose": supported values: "atomic", "granular"',
        ),
        (
            {"type": "string", LIST: "set"},
            f'type: Invalid value: "string": must be array if {LIST} is specified',
        ),
        (
            {"type": "array", LIST: "bag", "items": {"type": "string"}},
            f'{LIST}: Unsupported value: "bag": supported values: "atomic", "set", "map"',
        ),
        (
            {"type": "array", LIST: "set", "items": NAMED},
            f"items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with {LIST}=set",
        ),
        (
            {"type": "array", LIST: "set", "items": {"type": "string", "nullable": True}},
            f"items.nullable: Forbidden: cannot be nullable when {LIST} is set",
        ),
        (
            {"type": "array", KEYS: ["name"], "items": NAMED},
            f"{LIST}: Required value: must be map if {KEYS} is non-empty",
        ),
        ({"type": "array", LIST: "map", "items": NAMED}, f"{KEYS}: Required value: must not be empty if {LIST} is map"),
        (
            {"type": "array", LIST: "map", KEYS: ["a"], "items": {"type": "string"}},
            f'items.type: Invalid value: "string": must be object if parent array\'s {LIST} is map',
        ),
        (
            {"type": "array", LIST: "map", KEYS: ["nope"], "items": NAMED},
            f'{KEYS}: Invalid value: ["nope"]: entries must all be names of item properties',
        ),
        (
            {"type": "array", LIST: "map", KEYS: ["name", "name"], "items": NAMED},
            f'{KEYS}: Invalid value: ["name","name"]: must not contain duplicate entries',
        ),
        (
            {"type": "array", LIST: "map", KEYS: ["name"], "items": {**NAMED, "required": []}},
            f"items.properties[name].default: Required value: this property is in {KEYS}, "
            "so it must have a default or be a required property",
        ),
        # A default is checked under no name of its own, so the message begins with a blank.
        (
            {"type": "string", "default": 5},
            'default: Invalid value: "integer":  in body must be of type string: "integer"',
        ),
        ({"type": "object", "default": {"x": 1}}, 'default: Invalid value: {"x":1}: must not have unknown fields'),
        ({"type": "string", "enum": ["a"], "default": "b"}, 'default: Unsupported value: "b": supported values: "a"'),
    ],
)
def test_what_a_server_refuses(schema: dict[str, Any], expected: str) -> None:
    assert expected in problems(spec(schema))


def test_map_keys_may_have_defaults_and_must_be_scalars() -> None:
    keyed = {"type": "array", LIST: "map", KEYS: ["name"]}
    with_default = {"type": "object", "properties": {"name": {"type": "string", "default": "x"}}}
    assert problems(spec({**keyed, "items": with_default})) == []
    nested = {"type": "object", "required": ["name"], "properties": {"name": {"type": "object", "nullable": True}}}
    assert problems(spec({**keyed, "items": nested})) == [
        f'items.properties[name].type: Invalid value: "object": must be a scalar type if parent array\'s {LIST} is map',
        f"items.properties[name].nullable: Forbidden: this property is in {KEYS}, so it cannot be nullable",
    ]


def test_the_root_has_rules_of_its_own() -> None:
    assert problems({"type": "object", "nullable": True}) == [
        "nullable: Forbidden: nullable cannot be true at the root"
    ]
    assert problems({"type": "object", "maxProperties": 3}) == []
    assert "fields are allowed at the root of the schema if the status subresource is enabled" in str(
        problems({"type": "object", "maxProperties": 3}, status=True)
    )
    assert 'only "object" is allowed as the type at the root' in str(problems({"type": "string"}, status=True))
    meta = {"type": "object", "properties": {"metadata": {"type": "object", "default": {}}}}
    assert problems(meta) == ["properties[metadata].default: Forbidden: must not be set in top-level metadata"]


def test_defaults_keep_their_own_rules_without_nested_defaults() -> None:
    """Nested defaults are not there yet when a default is checked, so its rules must not need them."""
    depth = {"depth": {"type": "integer", "default": 7}}
    unguarded = {"type": "object", "default": {}, "properties": depth, RULES: [{"rule": "self.depth > 1"}]}
    assert problems(spec(unguarded)) == [
        'default: Invalid value: "object": no such key: depth evaluating rule: self.depth > 1'
    ]
    guarded = {**unguarded, RULES: [{"rule": "!has(self.depth) || self.depth > 1"}]}
    assert problems(spec(guarded)) == []
    spelled_out = {**unguarded, "default": {"depth": 7}}
    assert problems(spec(spelled_out)) == []


def test_defaults_of_embedded_resources() -> None:
    embedded = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    }
    fine = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}}
    assert problems(spec({**embedded, "default": fine})) == []
    assert problems(spec({**embedded, "default": {**fine, "kind": "no kind"}}))[0].startswith(
        'default.kind: Invalid value: "no kind": may have mixed case, but should otherwise match: a DNS-1035 label'
    )
    bad = {**fine, "metadata": {"labels": 1}}
    assert "cannot unmarshal number" in problems(spec({**embedded, "default": bad}))[0]


RULE_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"rule": " "}, "rule: Required value: rule is not specified"),
    ({"rule": "true", "message": " "}, 'message: Invalid value: " ": must be non-empty if specified'),
    ({"rule": "true", "message": "a\nb"}, 'message: Invalid value: "a\\nb": must not contain line breaks'),
    ({"rule": "true\n&& true"}, "message: Required value: message must be specified if rule contains line breaks"),
    (
        {"rule": "true", "messageExpression": " "},
        "messageExpression: Required value: messageExpression must be non-empty",
    ),
    (
        {"rule": "true", "reason": "Because"},
        'reason: Unsupported value: "Because": supported values: "FieldValueDuplicate"',
    ),
    ({"rule": "true", "fieldPath": ".nope"}, 'fieldPath: Invalid value: ".nope": must be a valid path'),
    ({"rule": "true", "fieldPath": "\n"}, 'fieldPath: Invalid value: "\\n": must be non-empty if specified'),
    ({"rule": "self.a =="}, "rule: Invalid value: {"),
    ({"rule": "self.a"}, "cel expression must evaluate to a bool"),
    ({"rule": "self.nope == 1"}, "undefined field 'nope'"),
    ({"rule": "self.a == 1"}, "found no matching overload for '_==_' applied to '(string, int)'"),
    ({"rule": "true", "messageExpression": "self.nope"}, "messageExpression compilation failed: ERROR: <input>:1:5"),
    ({"rule": "true", "messageExpression": "1"}, "messageExpression must evaluate to a string"),
    (
        {"rule": "true", "optionalOldSelf": True},
        "optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used",
    ),
    ({"rule": "quantity(self.a).isInteger()"}, "'quantity' belongs to a Kubernetes library that is not provided here"),
]


@pytest.mark.parametrize(("rule", "expected"), RULE_FORMS)
def test_rules_that_are_refused(rule: dict[str, Any], expected: str) -> None:
    found = problems(spec({"type": "object", "properties": {"a": {"type": "string"}}, RULES: [rule]}))
    assert any(error.startswith(f"{RULES}[0].") and expected in error for error in found), found


def test_transition_rules_need_correlated_values() -> None:
    rule = [{"rule": "self == oldSelf"}]
    items = {"type": "string", RULES: rule, "maxLength": 5}
    assert problems(spec({"type": "array", "maxItems": 5, "items": items})) == [
        f'items.{RULES}[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable '
        "portion of the schema within schema.properties[spec]"
    ]
    keyed = {**NAMED, RULES: rule}
    assert problems(spec({"type": "array", "maxItems": 5, LIST: "map", KEYS: ["name"], "items": keyed})) == []
    assert problems(spec({"type": "object", "maxProperties": 5, "additionalProperties": items})) == []


def test_rules_are_not_compiled_where_the_schema_is_wrong() -> None:
    schema = spec({"type": "object", RULES: [{"rule": "nope"}], "properties": {"a": {"type": "text"}}})
    assert len(problems(schema)) == 1


def test_expensive_rules_are_refused() -> None:
    heavy = {"type": "array", "items": {"type": "string"}, RULES: [{"rule": "self.all(x, self.all(y, x == y))"}]}
    found = problems(spec(heavy))
    assert found[0].startswith(
        f"{RULES}[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying"
    )
    assert found[1] == (
        f"{RULES}[0].rule: Forbidden: contributed to estimated rule cost total exceeding cost limit "
        "for entire OpenAPIv3 schema"
    )
    assert found[2].startswith("schema: Forbidden: x-kubernetes-validations estimated rule cost total")
    bounded = {**heavy, "maxItems": 16, "items": {"type": "string", "maxLength": 63}}
    assert problems(spec(bounded)) == []


def test_the_cost_counts_what_is_around() -> None:
    """A rule below a list runs once an item; below an unbounded one, as often as fits into a request."""
    leaf = {"type": "string", "maxLength": 1000, RULES: [{"rule": "self.contains('abc')"}]}

    def total(limit: dict[str, Any]) -> int:
        report = check_openapi_schema(spec({"type": "array", "items": leaf, **limit}), ROOT).report
        return report.costs[0].total // report.costs[0].cost

    assert total({"maxItems": 7}) == 7
    assert total({}) == 3 * 1024 * 1024 // 3


def test_what_servers_ignore_is_a_warning() -> None:
    checked = check_openapi_schema(spec({"type": "string", "const": 1, "format": "shiny", "example": 1}), ROOT)
    assert checked.report.errors == []
    assert checked.warnings == ('unknown field "schema.properties[spec].const"', 'unrecognized format "shiny"')


def test_a_schema_that_is_none() -> None:
    assert problems({"type": 5}) == ['type: Invalid value: "integer": must be of type string']
    assert problems(spec({"type": "object", "default": {1: 2}})) == [
        'schema: Invalid value: "": object: the key 1 is not a string'
    ]


def test_the_recorded_definition_is_fine(gadget_crd: dict[str, Any]) -> None:
    assert check_crd(gadget_crd) == []


def broken(crd: dict[str, Any], path: str, value: Any) -> list[str]:
    changed = copy.deepcopy(crd)
    place: Any = changed
    *steps, last = path.split(".")
    for step in steps:
        place = place[int(step)] if step.isdigit() else place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return [str(error) for error in check_crd(changed)]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metadata.name", "x.y.z", 'metadata.name: Invalid value: "x.y.z": must be spec.names.plural+"."+spec.group'),
        ("metadata.name", None, "metadata.name: Required value: name or generateName is required"),
        ("spec.scope", None, "spec.scope: Required value"),
        ("spec.scope", "Galaxy", 'spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"'),
        ("spec.group", "nodots", 'spec.group: Invalid value: "nodots": should be a domain with at least one dot'),
        ("spec.group", None, "spec.group: Required value"),
        ("spec.group", "A.b", 'spec.group: Invalid value: "A.b": a lowercase RFC 1123 subdomain'),
        ("spec.names.singular", None, "spec.names.singular: Required value"),
        (
            "spec.names.kind",
            "1x",
            'spec.names.kind: Invalid value: "1x": may have mixed case, but should otherwise match',
        ),
        ("spec.names.listKind", "Gadget", "spec.names.listKind: Invalid value"),
        ("spec.names.shortNames", ["A"], 'spec.names.shortNames[0]: Invalid value: "A": a DNS-1035 label'),
        ("spec.preserveUnknownFields", True, "spec.preserveUnknownFields: Invalid value: true: cannot set to true"),
        ("spec.versions.0.storage", False, "must have exactly one version marked as storage version"),
        ("spec.versions.0.name", "V1", 'spec.versions[0].name: Invalid value: "V1": a DNS-1035 label'),
        ("spec.versions.0.schema", None, "spec.versions[0].schema.openAPIV3Schema: Required value"),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.type",
            None,
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Required value: "
            "must not be empty for specified object fields",
        ),
        (
            "spec.versions.0.subresources.scale.specReplicasPath",
            ".status.replicas",
            'spec.versions[0].subresources.scale.specReplicasPath: Invalid value: ".status.replicas": '
            "should be a json path under .spec",
        ),
        (
            "spec.versions.0.subresources.scale.statusReplicasPath",
            None,
            "spec.versions[0].subresources.scale.statusReplicasPath: Required value",
        ),
        (
            "spec.versions.0.subresources.scale.statusReplicasPath",
            "status",
            "must be a simple json path starting with .",
        ),
        ("spec.versions.0.subresources.scale.labelSelectorPath", ".x", "under either .spec or .status"),
        ("spec.versions.0.subresources.scale.labelSelectorPath", "x", "must be a simple json path starting with ."),
        ("spec.versions.0.additionalPrinterColumns.0.name", None, "additionalPrinterColumns[0].name: Required value"),
        ("spec.versions.0.additionalPrinterColumns.0.type", "x", "must be one of boolean,date,integer,number,string"),
        ("spec.versions.0.additionalPrinterColumns.0.format", "x", "must be one of byte,date,date-time"),
        ("spec.versions.0.additionalPrinterColumns.0.jsonPath", None, "additionalPrinterColumns[0].JSONPath: Required"),
        ("spec.versions.0.additionalPrinterColumns.0.jsonPath", "x", "must be a simple json path starting with ."),
    ],
)
def test_definitions_that_are_refused(gadget_crd: dict[str, Any], path: str, value: Any, expected: str) -> None:
    assert any(expected in error for error in broken(gadget_crd, path, value))


def test_version_names_are_unique(gadget_crd: dict[str, Any]) -> None:
    version = gadget_crd["spec"]["versions"][0]
    found = broken(gadget_crd, "spec.versions", [version, {**version, "storage": False}])
    assert len(found) == 1
    assert found[0].endswith("must contain unique version names")
