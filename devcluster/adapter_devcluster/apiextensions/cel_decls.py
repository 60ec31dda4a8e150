"""What a schema looks like to CEL: its type, its fields, and how large its values can get.

`Decl` is Kubernetes' DeclType. Sizes are worst cases in elements (characters are counted as four bytes),
from ``maxItems``, ``maxProperties``, ``maxLength`` and ``enum``, or from what fits into the largest request.
Source: ``k8s.io/apiserver/pkg/cel/{common/schemas,limits,escaping}.go`` (v0.36).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions.cel_lexer import RESERVED
from adapter_devcluster.apiextensions.tree import EMPTY, Node

MAX_REQUEST_BYTES: Final = 3 * 1024 * 1024
_RESERVED: Final = RESERVED | {"true", "false", "null", "in"}
_SPECIAL: Final = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_PLAIN: Final = {escaped[2:-2]: special for special, escaped in _SPECIAL.items()}
# Format: type, smallest JSON size, largest size.
_STRING_FORMATS: Final = {
    "duration": (t.DURATION, 3, 32),
    "date": (t.TIMESTAMP, 12, 12),
    "date-time": (t.TIMESTAMP, 21, 32),
}
_SCALARS: Final = {"boolean": (t.BOOL, 4), "number": (t.DOUBLE, 1), "integer": (t.INT, 1)}


@dataclass(frozen=True, slots=True, eq=False)
class Decl:
    """A schema's type for CEL. ``fields`` has escaped names; ``min_size`` is the smallest JSON, in bytes."""

    type: t.Type
    min_size: int
    max_elements: int = 0
    fields: Mapping[str, Decl] = field(default_factory=dict)
    key: Decl | None = None
    element: Decl | None = None


_KEY: Final = Decl(t.STRING, 2)
_TEXT_NODE: Final = Node(type="string")
_META_NODE: Final = Node(type="object", properties={"name": _TEXT_NODE, "generateName": _TEXT_NODE})


@lru_cache(maxsize=4096)
def escape(name: str) -> str | None:
    """Return a property's name as CEL spells it (``__namespace__``, ``a__dash__b``), None where it can't."""
    if name in _RESERVED:
        return f"__{name}__"
    if not re.fullmatch(r"[A-Za-z_./-][A-Za-z0-9_./-]*", name):
        return None
    return re.sub(r"__|[-./]", lambda match: _SPECIAL[match[0]], name)


@lru_cache(maxsize=4096)
def unescape(name: str) -> str | None:
    """Return the property that an escaped name stands for, None where it stands for none."""
    if name[2:-2] in _RESERVED and name == f"__{name[2:-2]}__":
        return name[2:-2]
    parts = re.split(r"__([^_]+)__", name)
    if any(part not in _PLAIN for part in parts[1::2]):
        return None
    return "".join(_PLAIN[part] if odd else part for part, odd in zip(parts, [False, True] * len(parts), strict=False))


@lru_cache(maxsize=4096)
def with_type_meta(node: Node) -> Node:
    """Add what every object has: ``kind``, ``apiVersion``, ``metadata.name`` and ``metadata.generateName``."""
    named = node.properties.get("metadata", EMPTY).properties
    given = [node.properties.get(name, EMPTY).type for name in ("kind", "apiVersion")]
    given += [named.get(name, EMPTY).type for name in ("name", "generateName")]
    if given == ["string"] * 4:
        return node
    meta = {"kind": _TEXT_NODE, "apiVersion": _TEXT_NODE, "metadata": _META_NODE}
    return replace(node, properties={**node.properties, **meta})


def declare(node: Node, *, is_root: bool, name: str = "self") -> Decl | None:
    """Declare a schema to CEL; None where its values can't be reached from expressions."""
    if node.int_or_string:
        size = MAX_REQUEST_BYTES - 2 if node.max_length is None else max(node.max_length, 0) * 4
        return Decl(t.DYN, 1, size)
    if is_root:
        node = with_type_meta(node)
    match node.type:
        case "array":
            return _array(node, name)
        case "object":
            return _map(node, name) if node.additional_node is not None else _object(node, name)
        case "string":
            return _string(node)
    if node.type in _SCALARS:
        scalar, size = _SCALARS[node.type]
        return Decl(scalar, size)
    return None


def _array(node: Node, name: str) -> Decl | None:
    if node.items is None:
        return None
    element = declare(node.items, is_root=node.items.embedded, name=f"{name}.@idx")
    if element is None:
        return None
    # Brackets around, and a comma after each item.
    fitting = (MAX_REQUEST_BYTES - 2) // (element.min_size + 1)
    size = fitting if node.max_items is None else max(node.max_items, 0)
    return Decl(t.list_of(element.type), 2, size, element=element)


def _map(node: Node, name: str) -> Decl | None:
    values = node.additional_node
    element = declare(values, is_root=values.embedded, name=f"{name}.@elem") if values else None
    if element is None:
        return None
    # Braces around; a key of two bytes, its quotes, a colon and a comma with each value.
    fitting = (MAX_REQUEST_BYTES - 2) // (element.min_size + 6)
    size = fitting if node.max_properties is None else max(node.max_properties, 0)
    return Decl(t.map_of(t.STRING, element.type), 2, size, key=_KEY, element=element)


def _object(node: Node, name: str) -> Decl:
    fields: dict[str, Decl] = {}
    min_size = 2
    for key, sub in node.properties.items():
        escaped = escape(key)
        declared = declare(sub, is_root=sub.embedded, name=f"{name}.{escaped}")
        if declared is None:
            continue
        if escaped is not None:
            fields[escaped] = declared
        if key in node.required and sub.default is None:
            min_size += len(key.encode()) + declared.min_size + 4
    return Decl(t.Type("object", name=name), min_size, fields=fields)


def _string(node: Node) -> Decl:
    if node.format in _STRING_FORMATS:
        return Decl(*_STRING_FORMATS[node.format])
    request = MAX_REQUEST_BYTES - 2
    if node.format == "byte":
        return Decl(t.BYTES, 2, request if node.max_length is None else max(node.max_length, 0))
    if node.max_length is not None:
        # The limit counts characters, and one can take four bytes.
        return Decl(t.STRING, 2, max(node.max_length, 0) * 4)
    if node.enum:
        return Decl(t.STRING, 2, max((len(v.encode()) for v in node.enum if isinstance(v, str)), default=0))
    return Decl(t.STRING, 2, request)
