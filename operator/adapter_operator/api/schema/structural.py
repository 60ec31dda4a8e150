"""From a pydantic model to the structural schema that the API server demands.

Pydantic writes JSON Schema 2020-12 with references, null branches and titles; the API server takes OpenAPI v3.0
with none of them (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/).
"""

from typing import Any

from pydantic import BaseModel

JSONSchema = dict[str, Any]

_INT32_MAX = 2**31 - 1
_KEPT = frozenset(
    {
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
    }
)


# Read and turned into something else below, or without meaning for the API server.
_TRANSLATED = frozenset(
    {"$defs", "additionalProperties", "anyOf", "const", "exclusiveMaximum", "exclusiveMinimum", "title"}
)


class NotStructuralError(TypeError):
    """A model uses what no structural schema can say."""


def structural_schema(model: type[BaseModel]) -> JSONSchema:
    """The structural schema of a model: no references, no nulls, every bound that the model has.

    Raises:
        NotStructuralError: the model holds a construct with no structural form, with its place.

    """
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(document, document.get("$defs", {}), model.__name__)


def _structural(schema: JSONSchema, definitions: JSONSchema, place: str) -> JSONSchema:
    schema = _without_null(_resolved(schema, definitions), place)
    schema = _resolved(schema, definitions)
    unknown = {key for key in schema if key not in _KEPT | _TRANSLATED and not key.startswith("x-kubernetes-")}
    if unknown:
        raise NotStructuralError(f"{place}: no structural form of {sorted(unknown)}")
    if "const" in schema:
        schema = schema | {"enum": [schema["const"]], "type": "string"}
    if schema.get("x-kubernetes-int-or-string"):
        return _int_or_string(schema)
    kept = {key: value for key, value in schema.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "type" not in kept:
        raise NotStructuralError(f"{place}: no single type in {sorted(schema)}")
    if kept["type"] == "integer":
        kept = _integer(kept, schema)
    if "properties" in kept:
        kept["properties"] = {
            name: _structural(child, definitions, f"{place}.{name}") for name, child in kept["properties"].items()
        }
    if "items" in kept:
        kept["items"] = _structural(kept["items"], definitions, f"{place}[]")
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        kept["additionalProperties"] = _structural(values, definitions, f"{place}{{}}")
    if "default" in kept:
        kept["default"] = _without_unset(kept["default"])
        if kept["default"] is None:
            del kept["default"]
    return kept


def _without_unset(default: Any) -> Any:  # noqa: ANN401 - any JSON value
    """An object's default in full: the API server judges it by the object's rules as it stands, not filled in."""
    if isinstance(default, dict):
        return {name: _without_unset(value) for name, value in default.items() if value is not None}
    return default


def _resolved(schema: JSONSchema, definitions: JSONSchema) -> JSONSchema:
    """Follow a reference; keys beside it (a field's description or default) win over the referenced ones."""
    while "$ref" in schema:
        target = definitions[schema["$ref"].removeprefix("#/$defs/")]
        schema = {**target} | {key: value for key, value in schema.items() if key != "$ref"}
    return schema


def _without_null(schema: JSONSchema, place: str) -> JSONSchema:
    """Take the one branch of `anyOf` that is not null: unset is absent, never null."""
    if "anyOf" not in schema or schema.get("x-kubernetes-int-or-string"):
        return schema
    branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
    if len(branches) != 1:
        raise NotStructuralError(f"{place}: a union of {len(branches)} types; use members of an object")
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    inner: JSONSchema = branches[0]
    return inner | outer


def _integer(kept: JSONSchema, schema: JSONSchema) -> JSONSchema:
    if "exclusiveMinimum" in schema:
        kept["minimum"] = schema["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in schema:
        kept["maximum"] = schema["exclusiveMaximum"] - 1
    wide = kept.get("maximum", 0) > _INT32_MAX
    return kept | {"format": "int64" if wide else "int32"}


def _int_or_string(schema: JSONSchema) -> JSONSchema:
    """The API server's own form of the one union that it knows."""
    kept = {key: schema[key] for key in ("description", "default", "maxLength", "minimum", "pattern") if key in schema}
    return kept | {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
    }
