"""The API's conventions as lints over a generated CRD: each yields a line per violation.

They follow the Kubernetes API conventions (sig-architecture) and kube-api-linter's list, as far as this project
adopts them: see docs/adr/0002-api-conventions.md.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Lint = Callable[[Mapping[str, Any]], Iterator[str]]

# String maps of Kubernetes' own shape; everything else is a named list.
MAPS = {"annotations", "labels", "limits", "matchLabels", "nodeSelector", "requests"}
BOOLEANS = {"spec.suspend"}
# The one place where a value of a resource is a value of the data: Kubernetes' own enums are CamelCase too.
LIST_LIMIT_UNDER_RULES = 64
LINEAR_LIST_LIMIT = 256
LARGEST_SAFE_INTEGER = 2**53 - 1


def root(crd: Mapping[str, Any]) -> Schema:
    """The schema of the only version."""
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(crd: Mapping[str, Any]) -> Iterator[tuple[str, Schema]]:
    """Every schema below spec and status, with its path."""
    for part in ("spec", "status"):
        yield from _nodes(root(crd)["properties"][part], part)


def _nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _nodes(schema["additionalProperties"], f"{path}{{}}")


def fields(crd: Mapping[str, Any]) -> Iterator[tuple[str, str, Schema, bool]]:
    """Every field: path, name, schema, whether it is required."""
    for path, schema in nodes(crd):
        for name, child in schema.get("properties", {}).items():
            yield f"{path}.{name}", name, child, name in schema.get("required", [])


def no_foreign_keywords(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, schema in nodes(crd):
        for keyword in ("$ref", "nullable", "oneOf", "allOf", "not", "title", "const", "patternProperties"):
            if keyword in schema:
                yield f"{path}: uses {keyword}"


def conditions_and_no_phase(crd: Mapping[str, Any]) -> Iterator[str]:
    conditions = root(crd)["properties"]["status"]["properties"].get("conditions", {})
    if conditions.get("x-kubernetes-list-map-keys") != ["type"]:
        yield "status.conditions: is no list map by type"
    wanted = {"type", "status", "reason", "message", "lastTransitionTime"}
    if set(conditions.get("items", {}).get("required", [])) != wanted:
        yield f"status.conditions[]: must require {sorted(wanted)}"
    for path, name, _, _ in fields(crd):
        if name in {"phase", "state"}:
            yield f"{path}: is a phase; say it by a condition"


def enums_instead_of_booleans(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, schema in nodes(crd):
        if schema.get("type") == "boolean" and path not in BOOLEANS:
            yield f"{path}: is a boolean; make it an enum that can grow"


def camel_case_enums(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, schema in nodes(crd):
        for value in schema.get("enum", []):
            if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", value):
                yield f"{path}: the value {value!r} is not CamelCase"


def camel_case_fields(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, name, _, _ in fields(crd):
        if not re.fullmatch(r"[a-z][A-Za-z0-9]*", name):
            yield f"{path}: is not camelCase"


def no_floats(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, schema in nodes(crd):
        if schema.get("type") == "number":
            yield f"{path}: is a float; make it a decimal string with a pattern"


def named_lists_instead_of_maps(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, schema in nodes(crd):
        if "additionalProperties" not in schema:
            continue
        value = schema["additionalProperties"]
        plain = value.get("type") == "string" or value.get("x-kubernetes-int-or-string")
        if path.rpartition(".")[2] not in MAPS or not plain:
            yield f"{path}: is a map; make it a list of named items"


def list_types(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, schema in nodes(crd):
        if schema.get("type") != "array":
            continue
        kind = schema.get("x-kubernetes-list-type")
        if kind is None and schema["items"].get("type") == "object":
            yield f"{path}: a list of objects needs x-kubernetes-list-type"
        if kind == "map":
            required = schema["items"].get("required", [])
            missing = [key for key in schema["x-kubernetes-list-map-keys"] if key not in required]
            if missing:
                yield f"{path}: the keys {missing} must be required"


def defaults_do_not_stick(crd: Mapping[str, Any]) -> Iterator[str]:
    """A default that the server writes has no owner, so no apply takes it away."""
    for path, schema in nodes(crd):
        if "default" in schema and "[]" in path:
            yield f"{path}: a default in a list's item makes GitOps tools see drift; leave it to the models"
        if schema.get("default") and schema.get("x-kubernetes-list-type") in {"map", "set"}:
            yield f"{path}: server-side apply would keep the default's items beside the user's; make it atomic"
        for member in re.findall(r"!has\(self\.(\w+)\) \|\| self\.type ==", _rules_of(schema)):
            if schema["properties"][member].get("x-kubernetes-map-type") != "atomic":
                yield f"{path}.{member}: a union's member must be atomic, or its defaults outlive it"


def _rules_of(schema: Schema) -> str:
    return " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", []))


def everything_bounded(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, schema in nodes(crd):
        bounded_string = "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
        if (schema.get("type") == "string" or schema.get("x-kubernetes-int-or-string")) and not bounded_string:
            yield f"{path}: needs maxLength"
        if schema.get("type") == "array" and "maxItems" not in schema:
            yield f"{path}: needs maxItems"
        if "additionalProperties" in schema and "maxProperties" not in schema:
            yield f"{path}: needs maxProperties"
        if schema.get("type") == "integer":
            if not {"minimum", "maximum", "format"} <= schema.keys():
                yield f"{path}: needs minimum, maximum and format"
            elif schema["maximum"] > LARGEST_SAFE_INTEGER:
                yield f"{path}: is over 2^53, where JSON readers lose digits"


def unions_have_one_member(crd: Mapping[str, Any]) -> Iterator[str]:
    """An object with `type` and members named after its values rules each of them; a `source` rules by count."""
    for path, schema in nodes(crd):
        properties = schema.get("properties", {})
        rules = _rules_of(schema)
        for value in properties.get("type", {}).get("enum", []):
            member = next((name for name in properties if name.lower() == value.lower()), None)
            if member and f"has(self.{member})" not in rules:
                yield f"{path}: no rule ties {member} to type {value}"
        if path.endswith((".source", ".holdout")) and properties and "== 1" not in rules:
            yield f"{path}: no rule lets exactly one member be set"


def described(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, name, schema, required in fields(crd):
        text = schema.get("description", "")
        if len(text) < 8 or not text.endswith("."):
            yield f"{path}: needs a description that is a sentence"
        shown = re.search(r"Default( by \w+)?:", text) is not None or isinstance(schema.get("default"), dict)
        parent = _parent_text(crd, path)
        shown = shown or "exactly one of" in parent or f"{name} must be set if and only if" in parent
        if path.startswith("spec.") and not required and not shown:
            yield f"{path}: must have a default, or its description must say what is meant without it"


def _parent_text(crd: Mapping[str, Any], path: str) -> str:
    parent = path.rpartition(".")[0]
    schema = dict(nodes(crd))[parent]
    messages = [rule["message"] for rule in schema.get("x-kubernetes-validations", [])]
    return " ".join([schema.get("description", ""), *messages])


def units_in_names(crd: Mapping[str, Any]) -> Iterator[str]:
    for path, name, schema, _ in fields(crd):
        text = schema.get("description", "").lower()
        if schema.get("type") == "integer" and "seconds" in text and "per" not in text and "econds" not in name:
            yield f"{path}: a duration's name ends with Seconds"
        if schema.get("type") == "integer" and "in bytes" in text and not name.endswith("Bytes"):
            yield f"{path}: a size's name ends with Bytes"
        if schema.get("format") == "date-time" and not name.lower().endswith("time") and name != "since":
            yield f"{path}: a time's name ends with Time"


def optional_status(crd: Mapping[str, Any]) -> Iterator[str]:
    if "required" in root(crd)["properties"]["status"]:
        yield "status: no field may be required, a status grows"


def names_fit_children(crd: Mapping[str, Any]) -> Iterator[str]:
    name = root(crd)["properties"]["metadata"]["properties"]["name"]
    if name.get("pattern") != "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$":
        yield "metadata.name: must match ^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$, children and labels must fit 63 characters"


def subresources_and_columns(crd: Mapping[str, Any]) -> Iterator[str]:
    version = crd["spec"]["versions"][0]
    if "status" not in version["subresources"]:
        yield "no status subresource"
    headings = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    if headings[:2] != ["Ready", "Reason"] or "Age" not in headings:
        yield f"columns are {headings}: they begin with Ready and Reason and have Age"
    if crd["spec"]["names"]["categories"] != ["adapters"]:
        yield "category is not adapters"


def lists_under_rules_are_short(crd: Mapping[str, Any]) -> Iterator[str]:
    """A rule that iterates a list sees at most 64 items, or 256 where it runs through it once."""
    for path, schema in nodes(crd):
        for rule in schema.get("x-kubernetes-validations", []):
            text = rule["rule"]
            iterated = re.findall(r"self((?:\.\w+)+)\.(?:all|exists|exists_one|filter|map)\(", text)
            limit = LINEAR_LIST_LIMIT if len(iterated) == 1 and "in self" not in text else LIST_LIMIT_UNDER_RULES
            for dotted in iterated:
                length = _bound(schema, dotted.strip(".").split("."))
                if length > limit:
                    yield f"{path}{dotted}: {length} items under a rule, at most {limit}"


def _bound(schema: Schema, names: list[str]) -> int:
    for name in names:
        schema = schema["properties"][name]
    bound: int = schema.get("maxItems", schema.get("maxProperties", 1 << 30))
    return bound


def transition_rules_guard_optional_fields(crd: Mapping[str, Any]) -> Iterator[str]:
    """A rule with oldSelf on an optional field must see it come and go: `has(self.x) == has(oldSelf.x)`."""
    for path, schema in nodes(crd):
        for rule in schema.get("x-kubernetes-validations", []):
            for name in re.findall(r"oldSelf\.(\w+)", rule["rule"]):
                child = schema["properties"][name]
                always_there = name in schema.get("required", []) or "default" in child
                if not always_there and f"has(self.{name}) == has(oldSelf.{name})" not in rule["rule"]:
                    yield f"{path}.{name}: immutability does not see the field added or removed"


LINTS: tuple[Lint, ...] = (
    no_foreign_keywords,
    conditions_and_no_phase,
    enums_instead_of_booleans,
    camel_case_enums,
    camel_case_fields,
    no_floats,
    named_lists_instead_of_maps,
    list_types,
    defaults_do_not_stick,
    everything_bounded,
    unions_have_one_member,
    described,
    units_in_names,
    optional_status,
    names_fit_children,
    subresources_and_columns,
    lists_under_rules_are_short,
    transition_rules_guard_optional_fields,
)
