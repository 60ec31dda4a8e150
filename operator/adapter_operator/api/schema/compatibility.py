"""Whether a schema still accepts and keeps all that an older one did.

An object that was valid must stay valid, keep its meaning and lose no field; so nothing disappears, tightens or
gets another default inside an API version.
"""

from collections.abc import Iterator, Mapping
from typing import Any

JSONSchema = Mapping[str, Any]

_LOWER_BOUNDS = ("minimum", "minItems", "minLength", "minProperties")
_UPPER_BOUNDS = ("maximum", "maxItems", "maxLength", "maxProperties")
_FIXED = (
    "type",
    "format",
    "pattern",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
)
_NEW_IS_TIGHTER = ("format", "pattern", "x-kubernetes-list-type", "x-kubernetes-map-type")


def incompatibilities(old: JSONSchema, new: JSONSchema, path: str = "") -> Iterator[str]:
    """Every way in which the new schema takes something back, as one line with the field's path."""
    where = path or "(root)"
    for key in _FIXED:
        if key in old and old[key] != new.get(key):
            yield f"{where}: {key} was {old[key]!r}, is {new.get(key)!r}"
        elif key in _NEW_IS_TIGHTER and key in new and key not in old:
            yield f"{where}: {key} {new[key]!r} is new"
    yield from _bounds(old, new, where)
    yield from _values(old, new, where)
    yield from _rules(old, new, where)
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for name, child in old_fields.items():
        here = f"{path}.{name}" if path else name
        if name not in new_fields:
            yield f"{here}: the field disappeared"
        else:
            yield from incompatibilities(child, new_fields[name], here)
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in old:
            yield from incompatibilities(old[key], new.get(key, {}), path + suffix)


def _bounds(old: JSONSchema, new: JSONSchema, where: str) -> Iterator[str]:
    for key in _LOWER_BOUNDS:
        if key in new and new[key] > old.get(key, float("-inf")):
            yield f"{where}: {key} rose from {old.get(key)} to {new[key]}"
    for key in _UPPER_BOUNDS:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{where}: {key} fell from {old.get(key)} to {new[key]}"


def _values(old: JSONSchema, new: JSONSchema, where: str) -> Iterator[str]:
    if "enum" in new:
        gone = sorted(set(old["enum"]) - set(new["enum"])) if "enum" in old else ["any other value"]
        if gone:
            yield f"{where}: no longer accepts {', '.join(map(str, gone))}"
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{where}: {name} is newly required"
    before, after = old.get("default"), _known_part(new.get("default"), old)
    if before != after:
        yield f"{where}: the default was {before!r}, is {after!r}"


def _known_part(default: Any, old: JSONSchema) -> Any:  # noqa: ANN401 - any JSON value
    """An object's default without the fields that the older schema did not have: a new field may have one."""
    if not isinstance(default, dict) or "properties" not in old:
        return default
    properties = old["properties"]
    return {name: _known_part(value, properties[name]) for name, value in default.items() if name in properties}


def _rules(old: JSONSchema, new: JSONSchema, where: str) -> Iterator[str]:
    known = {rule["rule"] for rule in old.get("x-kubernetes-validations", [])}
    for rule in new.get("x-kubernetes-validations", []):
        if rule["rule"] not in known:
            yield f"{where}: the rule {rule['rule']!r} is new"
