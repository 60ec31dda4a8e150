"""The schemas of the built-in kinds, in the form in which the server publishes them.

Where they come from they are JSON Schema: a field that may be left out has the type ``[x, "null"]``, and
references lead to ``$defs``. OpenAPI v3 wants plain types, and a reference with anything beside it inside
``allOf``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from adapter_devcluster.builtin import definitions
from adapter_devcluster.objects import Object

REFERENCE: Final = "#/components/schemas/"
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


def description(definition: str, field: str) -> str:
    """Return what a definition says of a field; "" where it says nothing. Raises KeyError for other fields."""
    return str(definitions.definition(definition)["properties"][field].get("description", ""))


@cache
def published(name: str) -> Object:
    """Return one definition as a schema of OpenAPI v3. It is shared: nobody changes it. Raises KeyError."""
    definition = definitions.definition(name)
    schema = _converted(definition)
    if name == _INT_OR_STRING:
        schema["format"] = "int-or-string"
    if "x-kubernetes-group-version-kind" in definition:
        for field in ("apiVersion", "kind"):
            # The values that a validator wants there are no part of what the server publishes.
            schema["properties"].get(field, {}).pop("enum", None)
    return schema


def _converted(schema: Object) -> Object:
    found: Object = {}
    for key, value in schema.items():
        match key, value:
            case "properties", dict():
                found[key] = {name: _converted(one) for name, one in value.items()}
            case (("items" | "additionalProperties"), dict()):
                found[key] = _converted(value)
            case "oneOf", list():
                found[key] = [_converted(one) for one in value]
            case "type", list():
                found[key] = next(one for one in value if one != "null")
            case "$ref", str():
                found[key] = f"{REFERENCE}{definitions.referenced(schema)}"
            case _:
                found[key] = value
    if "$ref" in found and len(found) > 1:
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found


def with_references(names: Iterable[str]) -> dict[str, Object]:
    """Return definitions and all that they refer to, sorted by name. Raises KeyError."""
    found: dict[str, Object] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = published(name)
            waiting.extend(_references(name))
    return {name: found[name] for name in sorted(found)}


@cache
def _references(name: str) -> frozenset[str]:
    return frozenset(_referred(published(name)))


def _referred(value: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a schema
    if isinstance(value, list):
        for item in value:
            yield from _referred(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix(REFERENCE)
            else:
                yield from _referred(item)
