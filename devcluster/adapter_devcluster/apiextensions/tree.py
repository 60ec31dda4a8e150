"""A schema as the validator walks it: `Node` is one place of an ``openAPIV3Schema``, read once.

The shape is that of ``apiextensions.k8s.io/v1`` JSONSchemaProps. What a node says of structure and what it
says of values stand side by side; `structural` checks that they are kept apart as Kubernetes demands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from adapter_devcluster.apiextensions.errors import FieldError, Path, SchemaError, child, index, invalid
from adapter_devcluster.apiextensions.go_text import Json, kind
from adapter_devcluster.apiextensions.json_values import clean_copy

T = TypeVar("T")

# Parts of JSON Schema that Kubernetes knows by name only to refuse them.
UNSUPPORTED: Final = (
    "id",
    "$schema",
    "$ref",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
)
_IGNORED: Final = ("externalDocs", "example", "items", *UNSUPPORTED)
_DEPTH: Final = 60
_NAMES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
_ANY: Final = tuple(_NAMES)


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``x-kubernetes-validations``."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str | None = None
    field_path: str = ""
    optional_old_self: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One place of a schema. Compared by identity; lists of Kubernetes' pointers are tuples here.

    ``additional`` is a Node, True (any value), False (none) or None (not said). ``default`` is None where
    there is none: Kubernetes treats a null default in the same way.
    """

    keys: frozenset[str] = frozenset()
    type: str = ""
    format: str = ""
    title: str = ""
    description: str = ""
    nullable: bool = False
    default: Json = None
    items: Node | None = None
    properties: Mapping[str, Node] = field(default_factory=dict)
    additional: Node | bool | None = None
    # x-kubernetes-*
    preserve_unknown: bool = False
    embedded: bool = False
    int_or_string: bool = False
    list_type: str | None = None
    list_map_keys: tuple[str, ...] = ()
    map_type: str | None = None
    validations: tuple[Rule, ...] = ()
    # what a value must be like
    maximum: float | None = None
    exclusive_maximum: bool = False
    minimum: float | None = None
    exclusive_minimum: bool = False
    multiple_of: float | None = None
    max_length: int | None = None
    min_length: int | None = None
    pattern: str = ""
    max_items: int | None = None
    min_items: int | None = None
    unique_items: bool = False
    max_properties: int | None = None
    min_properties: int | None = None
    required: tuple[str, ...] = ()
    enum: tuple[Json, ...] = ()
    all_of: tuple[Node, ...] = ()
    any_of: tuple[Node, ...] = ()
    one_of: tuple[Node, ...] = ()
    not_: Node | None = None
    # what is refused, and what nobody knows
    unsupported: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()

    @property
    def additional_node(self) -> Node | None:
        """The schema of a map's values, if there is one."""
        return self.additional if isinstance(self.additional, Node) else None


EMPTY: Final = Node()


def read_schema(raw: Json, path: Path = None) -> Node:
    """Read an ``openAPIV3Schema``.

    Raises SchemaError where it is not even a schema (say, ``type: 5``), NotJsonError where a default or an
    enumerated value is not JSON.
    """
    return _node(raw, path, 0)


def _node(raw: Json, path: Path, depth: int) -> Node:
    if not isinstance(raw, dict):
        raise SchemaError([invalid(path, kind(raw), "must be a schema object")])
    if depth > _DEPTH:
        raise SchemaError([invalid(path, "object", f"must not be nested deeper than {_DEPTH} levels")])
    place = _Place(raw, path)

    def sub(key: str) -> Node | None:
        return place.read(key, dict, lambda value: _node(value, child(path, key), depth + 1))

    def subs(key: str) -> tuple[Node, ...]:
        return place.many(key, lambda value, at: _node(value, at, depth + 1))

    node = Node(
        keys=frozenset(place.raw),
        type=place.text("type"),
        format=place.text("format"),
        title=place.text("title"),
        description=place.text("description"),
        nullable=place.flag("nullable"),
        default=place.read("default", _ANY, clean_copy),
        items=None if isinstance(place.raw.get("items"), list) else sub("items"),
        properties=place.named("properties", lambda value, at: _node(value, at, depth + 1)),
        additional=_additional(place, depth),
        preserve_unknown=place.flag("x-kubernetes-preserve-unknown-fields"),
        embedded=place.flag("x-kubernetes-embedded-resource"),
        int_or_string=place.flag("x-kubernetes-int-or-string"),
        list_type=place.read("x-kubernetes-list-type", str, str),
        list_map_keys=place.many("x-kubernetes-list-map-keys", _name),
        map_type=place.read("x-kubernetes-map-type", str, str),
        validations=place.many("x-kubernetes-validations", _rule),
        maximum=place.number("maximum"),
        exclusive_maximum=place.flag("exclusiveMaximum"),
        minimum=place.number("minimum"),
        exclusive_minimum=place.flag("exclusiveMinimum"),
        multiple_of=place.number("multipleOf"),
        max_length=place.count("maxLength"),
        min_length=place.count("minLength"),
        pattern=place.text("pattern"),
        max_items=place.count("maxItems"),
        min_items=place.count("minItems"),
        unique_items=place.flag("uniqueItems"),
        max_properties=place.count("maxProperties"),
        min_properties=place.count("minProperties"),
        required=place.many("required", _name),
        enum=place.many("enum", lambda value, _: clean_copy(value)),
        all_of=subs("allOf"),
        any_of=subs("anyOf"),
        one_of=subs("oneOf"),
        not_=sub("not"),
        unsupported=place.unsupported(),
        unknown=place.unknown(),
    )
    if place.errors:
        raise SchemaError(place.errors)
    return node


def _additional(place: _Place, depth: int) -> Node | bool | None:
    at = child(place.path, "additionalProperties")
    return place.read(
        "additionalProperties",
        (bool, dict),
        lambda value: value if isinstance(value, bool) else _node(value, at, depth + 1),
    )


class _Place:
    """The keywords of one schema object, read with their types checked."""

    def __init__(self, raw: Mapping[str, Json], path: Path) -> None:
        # An explicit null is the same as nothing, as it is for Go's decoder.
        self.raw = {key: value for key, value in raw.items() if value is not None}
        self.path = path
        self.errors: list[FieldError] = []
        self.seen: set[str] = set(_IGNORED)

    def read(self, key: str, kinds: type | tuple[type, ...], make: Callable[[Json], T]) -> T | None:
        self.seen.add(key)
        if key not in self.raw:
            return None
        value = self.raw[key]
        wanted = kinds if isinstance(kinds, tuple) else (kinds,)
        if type(value) not in wanted:
            names = " or ".join(_NAMES[k] for k in wanted)
            self.errors.append(invalid(child(self.path, key), kind(value), f"must be of type {names}"))
            return None
        try:
            return make(value)
        except SchemaError as error:
            self.errors.extend(error.errors)
            return None

    def text(self, key: str) -> str:
        return self.read(key, str, str) or ""

    def flag(self, key: str) -> bool:
        return self.read(key, bool, bool) or False

    def number(self, key: str) -> float | None:
        def finite(value: Json) -> float:
            if isinstance(value, float) and not math.isfinite(value):
                raise SchemaError([invalid(child(self.path, key), "number", "must be finite")])
            return float(str(value))

        return self.read(key, (int, float), finite)

    def count(self, key: str) -> int | None:
        return self.read(key, int, lambda value: int(str(value)))

    def many(self, key: str, make: Callable[[Json, str], T]) -> tuple[T, ...]:
        at = child(self.path, key)

        def all_of_them(value: Json) -> tuple[T, ...]:
            items = value if isinstance(value, list) else []
            return tuple(make(item, index(at, position)) for position, item in enumerate(items))

        return self.read(key, list, all_of_them) or ()

    def named(self, key: str, make: Callable[[Json, str], T]) -> dict[str, T]:
        at = child(self.path, key)

        def all_of_them(value: Json) -> dict[str, T]:
            pairs = value.items() if isinstance(value, dict) else ()
            return {name: make(item, index(at, name)) for name, item in pairs}

        return self.read(key, dict, all_of_them) or {}

    def unsupported(self) -> frozenset[str]:
        """Keywords that a custom resource's schema may not have, whatever their value."""
        found: set[str] = {key for key in UNSUPPORTED if key in self.raw}
        if isinstance(self.raw.get("items"), list):
            found.add("items")
        if self.raw.get("x-kubernetes-preserve-unknown-fields") is False:
            found.add("x-kubernetes-preserve-unknown-fields")
        return frozenset(found)

    def unknown(self) -> tuple[str, ...]:
        """Paths of keywords that JSONSchemaProps does not have; the server drops them."""
        return tuple(child(self.path, key) for key in self.raw if key not in self.seen)


def _name(value: Json, path: str) -> str:
    if not isinstance(value, str):
        raise SchemaError([invalid(path, kind(value), "must be of type string")])
    return value


def _rule(value: Json, path: str) -> Rule:
    if not isinstance(value, dict):
        raise SchemaError([invalid(path, kind(value), "must be a validation rule")])
    place = _Place(value, path)
    rule = Rule(
        rule=place.text("rule"),
        message=place.text("message"),
        message_expression=place.text("messageExpression"),
        reason=place.read("reason", str, str),
        field_path=place.text("fieldPath"),
        optional_old_self=place.read("optionalOldSelf", bool, bool),
    )
    if place.errors:
        raise SchemaError(place.errors)
    return rule
