"""The API reference in Markdown, from the same schema that the API server gets."""

from collections.abc import Iterator, Mapping
from typing import Any

from adapter_operator.api.schema.crd import Kind, root_schema

JSONSchema = Mapping[str, Any]


def kind_reference(kind: Kind) -> Iterator[str]:
    """The lines on one kind: every field of spec and status, its type, default, bounds and rules."""
    schema = root_schema(kind)
    yield from [f"## {kind.name}", "", schema["description"], ""]
    yield from [f"Short name `{kind.short_name}`, plural `{kind.plural}`, category `adapters`.", ""]
    yield from ["| column | shows |", "|---|---|"]
    for column in kind.columns:
        wide = " (`-o wide`)" if column.wide else ""
        yield f"| {column.name}{wide} | {column.description} |"
    yield ""
    for part in ("spec", "status"):
        yield from [f"### {kind.name} {part}", "", "| field | type | meaning |", "|---|---|---|"]
        yield from _rows(schema["properties"][part], part, required=False)
        yield ""
        rules = list(_rules(schema["properties"][part], part))
        if rules:
            yield from [f"Rules of {part}, beyond each field's own bounds:", "", *rules, ""]


def _rows(schema: JSONSchema, path: str, *, required: bool) -> Iterator[str]:
    yield f"| `{path}` | {_type(schema, required=required)} | {_meaning(schema)} |"
    for name, child in schema.get("properties", {}).items():
        yield from _rows(child, f"{path}.{name}", required=name in schema.get("required", []))
    items = schema.get("items", {})
    for name, child in items.get("properties", {}).items():
        yield from _rows(child, f"{path}[].{name}", required=name in items.get("required", []))


def _type(schema: JSONSchema, *, required: bool) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        text = "integer or string"
    elif schema["type"] == "array":
        text = f"list of {_type(schema['items'], required=False)}"
    elif "additionalProperties" in schema:
        text = f"map of {_type(schema['additionalProperties'], required=False)}"
    else:
        text = schema["type"]
    return f"{text}, required" if required else text


def _meaning(schema: JSONSchema) -> str:
    parts = [schema.get("description", "")]
    values = schema.get("enum") or schema.get("items", {}).get("enum")
    if values:
        parts.append("One of " + ", ".join(f"`{value}`" for value in values) + ".")
    parts.extend(_bounds(schema))
    return _cell(" ".join(part for part in parts if part))


def _bounds(schema: JSONSchema) -> Iterator[str]:
    units = (
        ("", "minimum", "maximum"),
        (" items", "minItems", "maxItems"),
        (" entries", "minProperties", "maxProperties"),
    )
    for unit, low, high in units:
        if low in schema and high in schema:
            yield f"{schema[low]} to {schema[high]}{unit}."
        elif high in schema:
            yield f"At most {schema[high]}{unit}."
        elif low in schema:
            yield f"At least {schema[low]}{unit}."


def _rules(schema: JSONSchema, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        yield f"- `{path}{rule.get('fieldPath', '')}`: {rule['message']}."
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace(">", "&gt;")
