"""Values while an expression runs: JSON seen through its schema, and what CEL has beside JSON.

Booleans, integers, floats, strings, bytes and None are Python's own (`Uint` is apart). Lists and maps are
the classes here, because a schema decides how their items read and when two of them are equal: sets and map
lists ignore order. Source: ``k8s.io/apiserver/pkg/cel/common/valuesunstructured.go`` (v0.36).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.apiextensions.cel_decls import escape, unescape, with_type_meta
from adapter_devcluster.apiextensions.cel_lexer import Uint
from adapter_devcluster.apiextensions.go_text import Json, json_text, kind, text
from adapter_devcluster.apiextensions.json_values import deep_equal
from adapter_devcluster.apiextensions.tree import Node

# Any of the classes here, or a Python scalar.
Value: TypeAlias = object


class CelError(Exception):
    """An expression failed while it ran. The message is cel-go's."""


class NoSuchOverloadError(CelError):
    """An operator or a function got values that it is not defined for."""

    def __init__(self) -> None:
        super().__init__("no such overload")


@dataclass(frozen=True, slots=True)
class Duration:
    """A span of time in nanoseconds."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Timestamp:
    """An instant, in nanoseconds since 1970. The zone it was written in (in seconds) shows only in text."""

    nanoseconds: int
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class OptionalValue:
    """A value that may be absent."""

    present: bool = False
    value: Value = None


NONE: Final = OptionalValue()


class ListValue:
    """A list that an expression made. What it was made of may lend it its list type and its keys."""

    def __init__(self, items: Sequence[Value], list_type: str = "", keys: tuple[str, ...] = ()) -> None:
        self._items = items
        self.list_type = list_type
        self.keys = keys

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Value]:
        return iter(self._items)

    def at(self, position: int) -> Value:
        """Return an item. The position must be within the list."""
        return self._items[position]

    def raw(self) -> list[Value]:
        """Return the items as JSON, where they came from JSON."""
        return [raw(item) for item in self]

    def key(self, item: Value) -> Hashable:
        """Return what tells a raw item of a map list from its siblings."""
        fields = item if isinstance(item, dict) else {}
        return tuple(_identity(fields.get(key)) for key in self.keys)


class JsonList(ListValue):
    """A list of a custom resource."""

    def __init__(self, items: list[Json], node: Node) -> None:
        super().__init__(items, node.list_type or "", node.list_map_keys)
        self.node = node

    def __iter__(self) -> Iterator[Value]:
        return (from_json(item, self.node.items) for item in self._items)

    def at(self, position: int) -> Value:
        """Return an item."""
        return from_json(self._items[position], self.node.items)

    def raw(self) -> list[Value]:
        """Return the items as they are."""
        return list(self._items)


class MapValue:
    """A map that an expression made."""

    def __init__(self, entries: Mapping[Hashable, tuple[Value, Value]]) -> None:
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Value]:
        return iter([key for key, _ in self._entries.values()])

    def find(self, key: Value) -> tuple[bool, Value]:
        """Look a key up: whether it is there, and its value."""
        entry = self._entries.get(map_key(key))
        return (False, None) if entry is None else (True, entry[1])


class JsonMap:
    """An object of a custom resource: its fields if the schema names them, else its keys."""

    def __init__(self, fields: Mapping[str, Json], node: Node) -> None:
        self.fields = fields
        self.node = with_type_meta(node) if node.embedded else node

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[Value]:
        known = [name for name in self.fields if self._node(name) is not None]
        return iter([escape(name) or name for name in known] if self.node.properties else known)

    def _node(self, name: str) -> Node | None:
        # Properties and additionalProperties exclude each other.
        if self.node.properties or self.node.embedded:
            return self.node.properties.get(name)
        return self.node.additional_node

    def find(self, key: Value) -> tuple[bool, Value]:
        """Look a field or a key up. A null field is an absent one."""
        if not isinstance(key, str):
            raise NoSuchOverloadError
        name = unescape(key) if self.node.properties else key
        if name is None or name not in self.fields:
            return False, None
        if self.fields[name] is None and self.node.properties:
            return False, None
        node = self._node(name)
        return (False, None) if node is None else (True, from_json(self.fields[name], node))

    def equals(self, other: JsonMap | MapValue) -> bool:
        """Compare field by field; fields that the schema does not know are compared as they are."""
        if len(self) != len(other):
            return False
        for name in self.fields:
            key = (escape(name) or name) if self.node.properties else name
            if self._node(name) is not None:
                found, value = self.find(key)
                other_found, other_value = other.find(key)
                if found != other_found or (found and not equal(value, other_value)):
                    return False
            elif not isinstance(other, JsonMap):
                raise NoSuchOverloadError
            elif name in other.fields and not deep_equal(self.fields[name], other.fields[name]):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that a schema preserves without knowing it: it can only be compared."""

    value: Json


def from_json(value: Json, node: Node | None) -> Value:
    """Read a JSON value through its schema. Raises CelError where it is of another type."""
    if node is None:
        return Opaque(value)
    if value is None:
        if node.nullable:
            return None
        raise CelError("invalid data, got null for schema with nullable=false")
    if node.int_or_string:
        if kind(value) in {"string", "integer"}:
            return value
        raise CelError("invalid data, expected XIntOrString value to be either a string or integer")
    reader = _READERS.get(node.type)
    if reader is not None:
        return reader(value, node)
    if node.preserve_unknown:
        return Opaque(value)
    raise CelError(f"invalid type, expected a typed schema, got {node.type!r}")


def _object(value: Json, node: Node) -> Value:
    if not isinstance(value, dict):
        raise CelError("invalid data, expected a map for the provided schema with type=object")
    return JsonMap(value, node)


def _array(value: Json, node: Node) -> Value:
    if not isinstance(value, list):
        raise CelError("invalid data, expected an array for the provided schema with type=array")
    return JsonList(value, node)


def _string(value: Json, node: Node) -> Value:
    if not isinstance(value, str):
        raise CelError(f"invalid data, expected string, got {kind(value)}")
    try:
        match node.format:
            case "duration":
                return Duration(go_time.parse_loose_duration(value))
            case "date":
                return Timestamp(go_time.parse_date(value))
            case "date-time":
                return Timestamp(go_time.parse_date_time(value) if value else 0, go_time.zone_offset(value))
            case "byte":
                return base64.b64decode(value, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        message = f"Invalid {node.format} formatted string {value}: {error}"
        raise CelError(message) from error
    return value


def _number(value: Json, _: Node) -> Value:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise CelError(f"invalid data, expected float, got {kind(value)}")


def _integer(value: Json, _: Node) -> Value:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise CelError(f"invalid data, expected int, got {kind(value)}")


def _boolean(value: Json, _: Node) -> Value:
    if isinstance(value, bool):
        return value
    raise CelError(f"invalid data, expected bool, got {kind(value)}")


_READERS: Final[Mapping[str, Callable[[Json, Node], Value]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
}


def raw(value: Value) -> Value:
    """Return the JSON behind a value, where there is some."""
    match value:
        case ListValue():
            return value.raw()
        case JsonMap():
            return dict(value.fields)
        case Opaque():
            return value.value
    return value


def type_name(value: Value) -> t.Type:
    """Return a value's type, as ``type()`` does: lists and maps without their parameters."""
    for python, found in _TYPES:
        if isinstance(value, python):
            return found
    return t.DYN


_TYPES: Final = (
    (bool, t.BOOL),
    (Uint, t.UINT),
    (int, t.INT),
    (float, t.DOUBLE),
    (str, t.STRING),
    (bytes, t.BYTES),
    (type(None), t.NULL),
    (Duration, t.DURATION),
    (Timestamp, t.TIMESTAMP),
    (ListValue, t.Type("list")),
    (MapValue | JsonMap, t.Type("map")),
    (OptionalValue, t.Type("optional")),
    (t.Type, t.Type("type")),
)


def is_number(value: Value) -> bool:
    """Tell an int, a uint or a double."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(a: Value, b: Value) -> bool:
    """Compare as ``==`` does: numbers across their types, and a schema's sets and map lists without order.

    Raises NoSuchOverloadError where a schema's list or map meets something else.
    """
    if a is None or b is None:
        return a is b
    match a:
        case ListValue() if isinstance(b, ListValue):
            return len(a) == len(b) and _equal_lists(a, b)
        case JsonMap() | MapValue() if isinstance(b, JsonMap | MapValue):
            return a.equals(b) if isinstance(a, JsonMap) else _equal_maps(a, b)
        case JsonList() | JsonMap():
            raise NoSuchOverloadError
    return _equal_others(a, b)


def _equal_others(a: Value, b: Value) -> bool:
    if is_number(a) and is_number(b):
        return a == b
    if isinstance(a, OptionalValue) and isinstance(b, OptionalValue):
        return a.present == b.present and (not a.present or equal(a.value, b.value))
    if isinstance(a, Opaque) and isinstance(b, Opaque):
        return deep_equal(a.value, b.value)
    return type(a) is type(b) and a == b


def _equal_lists(a: ListValue, b: ListValue) -> bool:
    if a.list_type == "set":
        members = {_identity(item) for item in a.raw()}
        return all(_identity(item) in members for item in b.raw())
    if a.list_type == "map":
        known = {a.key(item): position for position, item in enumerate(a.raw())}
        pairs = [(known.get(a.key(item)), position) for position, item in enumerate(b.raw())]
        return all(mine is not None and equal(a.at(mine), b.at(other)) for mine, other in pairs)
    return all(map(equal, a, b))


def _equal_maps(a: MapValue, b: JsonMap | MapValue) -> bool:
    if len(a) != len(b):
        return False
    for key in a:
        found, value = b.find(key)
        if not found or not equal(a.find(key)[1], value):
            return False
    return True


def _identity(item: Value) -> Hashable:
    """What Go's ``==`` looks at in a scalar; other values by their JSON, if they are JSON."""
    if not isinstance(item, list | dict):
        return (type(item), item)
    try:
        return json_text(item)
    except TypeError:
        return id(item)


def map_key(key: Value) -> Hashable:
    """Return what a map finds a key by: whole numbers of every type are one. Raises CelError for other types."""
    match key:
        case bool() | str():
            return (type(key), key)
        case float() if math.isfinite(key) and key == int(key):
            return ("number", int(key))
        case int() | float():
            return ("number", key)
    raise CelError(f"unsupported key type: {type_name(key)}")


def shown(value: Value) -> str:
    """Write a value into a message, as Go's ``%v`` does."""
    match value:
        case Uint():
            return str(int(value))
        case bytes():
            return value.decode("utf-8", "replace")
        case None | bool() | int() | float() | str():
            return text(value)
    return str(raw(value))
