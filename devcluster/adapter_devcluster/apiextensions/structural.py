"""Is a schema structural? The invariants that Kubernetes demands before it will prune or default by it.

The rules and their words are those of ``apiextensions-apiserver/pkg/apiserver/schema`` (v0.36):
``ValidateStructural`` is invariants plus completeness. Forbidden keywords, list types and CEL rules are
looked at in `crd_schema`; `crd` puts everything together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from adapter_devcluster.apiextensions.errors import (
    FieldError,
    Path,
    SchemaError,
    child,
    forbidden,
    index,
    invalid,
    required,
)
from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.patterns import PatternError, compile_pattern
from adapter_devcluster.apiextensions.tree import Node, read_schema


class _Level(Enum):
    ROOT = auto()
    ITEM = auto()
    FIELD = auto()


_TYPE_MISSING = {
    _Level.ROOT: "must not be empty at the root",
    _Level.ITEM: "must not be empty for specified array items",
    _Level.FIELD: "must not be empty for specified object fields",
}


def check_structural(root: Node, path: Path) -> list[FieldError]:
    """Return what keeps a schema from being structural, sorted by its text as the server does."""
    errors = [*_invariants(root, _Level.ROOT, path), *_completeness(root, root, path, path)]
    return sorted(errors, key=str)


def compile_schema(raw: Json, path: Path = None) -> Node:
    """Read an ``openAPIV3Schema`` into the tree that values are walked by; it must be structural.

    Raises SchemaError, NotJsonError. `crd.check_openapi_schema` finds more: defaults, list types, rules.
    """
    node = read_schema(raw, path)
    errors = check_structural(node, path)
    if errors:
        raise SchemaError(errors)
    return node


def is_int_or_string_any_of(node: Node) -> bool:
    """Tell ``anyOf: [{type: integer}, {type: string}]``, which int-or-string may spell out."""
    return len(node.any_of) == 2 and all(
        alternative.keys == {"type"} and alternative.type == wanted
        for alternative, wanted in zip(node.any_of, ("integer", "string"), strict=True)
    )


def _invariants(node: Node, level: _Level, path: Path) -> Iterator[FieldError]:
    if node.type == "array" and node.items is None:
        yield required(child(path, "items"), "must be specified")
    if node.items is not None:
        yield from _invariants(node.items, _Level.ITEM, child(path, "items"))
    for name, sub in node.properties.items():
        yield from _invariants(sub, _Level.FIELD, _property(path, name))
    if node.additional is not None:
        at = child(path, "additionalProperties")
        if level is _Level.ROOT:
            yield forbidden(at, "must not be used at the root")
        if isinstance(node.additional, Node):
            yield from _invariants(node.additional, _Level.FIELD, at)
    yield from _extensions(node, path)
    skips = _Skips(
        any_of=is_int_or_string_any_of(node),
        first_all_of=bool(node.all_of) and is_int_or_string_any_of(node.all_of[0]),
    )
    yield from _values(node, path, skips)
    yield from _types(node, level, path)
    yield from _metadata(node, level, path)


def _property(path: Path, name: str) -> str:
    return index(child(path, "properties"), name)


def _extensions(node: Node, path: Path) -> Iterator[FieldError]:
    if not node.int_or_string:
        return
    reason = "must be false if x-kubernetes-int-or-string is true"
    if node.preserve_unknown:
        yield invalid(child(path, "x-kubernetes-preserve-unknown-fields"), node.preserve_unknown, reason)
    if node.embedded:
        yield invalid(child(path, "x-kubernetes-embedded-resource"), node.embedded, reason)


def _types(node: Node, level: _Level, path: Path) -> Iterator[FieldError]:
    at = child(path, "type")
    if node.embedded and node.type != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid(at, node.type, detail) if node.type else required(at, detail)
    elif not node.type and not node.int_or_string and not node.preserve_unknown:
        yield required(at, _TYPE_MISSING[level])
    if node.embedded and node.additional is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden(child(path, "additionalProperties"), detail)
    if level is _Level.ROOT and node.type not in {"", "object"}:
        yield invalid(at, node.type, "must be object at the root")
    if node.embedded and not node.preserve_unknown and not node.properties:
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(child(path, "properties"), detail)


def _metadata(node: Node, level: _Level, path: Path) -> Iterator[FieldError]:
    inside = level is _Level.ROOT or node.embedded
    for name in ("kind", "apiVersion"):
        if inside and name in node.properties and node.properties[name].type != "string":
            at = child(_property(path, name), "type")
            yield invalid(at, node.properties[name].type, "must be string")
    meta = node.properties.get("metadata")
    if meta is None:
        return
    at = _property(path, "metadata")
    if inside and meta.type != "object":
        yield invalid(child(at, "type"), meta.type, "must be object")
    if level is _Level.ROOT and not _restricts_names_only(meta):
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield forbidden(at, detail)


def _restricts_names_only(meta: Node) -> bool:
    return meta.keys <= {"type", "default", "properties"} and meta.properties.keys() <= {"name", "generateName"}


@dataclass(frozen=True, slots=True)
class _Skips:
    """The two places where int-or-string may name types under a junctor."""

    any_of: bool = False
    first_all_of: bool = False


def _values(node: Node, path: Path, skips: _Skips) -> Iterator[FieldError]:
    if not skips.any_of:
        for position, nested in enumerate(node.any_of):
            yield from _nested(nested, index(child(path, "anyOf"), position), _Skips())
    for position, nested in enumerate(node.all_of):
        skip = _Skips(any_of=skips.first_all_of and position == 0)
        yield from _nested(nested, index(child(path, "allOf"), position), skip)
    for position, nested in enumerate(node.one_of):
        yield from _nested(nested, index(child(path, "oneOf"), position), _Skips())
    if node.not_ is not None:
        yield from _nested(node.not_, child(path, "not"), _Skips())
    if node.pattern:
        try:
            compile_pattern(node.pattern)
        except PatternError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            yield invalid(child(path, "pattern"), node.pattern, detail)


# What may not stand under anyOf, allOf, oneOf and not, with the server's words for it.
_NOT_UNDER_A_JUNCTOR = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def _nested(node: Node, path: str, skips: _Skips) -> Iterator[FieldError]:
    yield from _values(node, path, skips)
    if node.items is not None:
        yield from _nested(node.items, child(path, "items"), _Skips())
    for name, sub in node.properties.items():
        yield from _nested(sub, _property(path, name), _Skips())
    says = _said(node)
    for key, detail in _NOT_UNDER_A_JUNCTOR:
        if says[key]:
            yield forbidden(child(path, key), detail)
    if "metadata" in node.properties:
        yield forbidden(_property(path, "metadata"), "must not be specified in a nested context")


def _said(node: Node) -> dict[str, bool]:
    """Which structural keywords a node sets to more than their zero value."""
    return {
        "type": bool(node.type),
        "additionalProperties": isinstance(node.additional, Node) or node.additional is True,
        "default": node.default is not None,
        "title": bool(node.title),
        "description": bool(node.description),
        "nullable": node.nullable,
        "x-kubernetes-preserve-unknown-fields": node.preserve_unknown,
        "x-kubernetes-embedded-resource": node.embedded,
        "x-kubernetes-int-or-string": node.int_or_string,
        "x-kubernetes-list-map-keys": bool(node.list_map_keys),
        "x-kubernetes-list-type": node.list_type is not None,
        "x-kubernetes-map-type": node.map_type is not None,
        "x-kubernetes-validations": bool(node.validations),
    }


def _completeness(value: Node, spine: Node, spine_path: Path, value_path: Path) -> Iterator[FieldError]:
    """Check that every field named under a junctor is named in the schema itself, too."""
    junctors = [("not", [value.not_] if value.not_ else [])]
    junctors += [("allOf", [*value.all_of]), ("anyOf", [*value.any_of]), ("oneOf", [*value.one_of])]
    for key, alternatives in junctors:
        for position, nested in enumerate(alternatives):
            at = child(value_path, key)
            at = at if key == "not" else index(at, position)
            yield from _nested_completeness(nested, spine, spine_path, at)


def _nested_completeness(nested: Node, spine: Node, spine_path: Path, at: str) -> Iterator[FieldError]:
    yield from _completeness(nested, spine, spine_path, at)
    if nested.items is not None:
        items_path, items_at = child(spine_path, "items"), child(at, "items")
        if spine.items is None:
            yield required(items_path, f"because it is defined in {items_at}")
        else:
            yield from _nested_completeness(nested.items, spine.items, items_path, items_at)
    for name, sub in nested.properties.items():
        name_path, name_at = _property(spine_path, name), _property(at, name)
        if name in spine.properties:
            yield from _nested_completeness(sub, spine.properties[name], name_path, name_at)
        else:
            yield required(name_path, f"because it is defined in {name_at}")
