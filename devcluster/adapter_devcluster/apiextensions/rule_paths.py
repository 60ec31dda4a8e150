"""The ``fieldPath`` of a validation rule: a JSON path of fields and map keys, checked against the schema."""

from __future__ import annotations

import re

from adapter_devcluster.apiextensions.errors import Path, child, index
from adapter_devcluster.apiextensions.tree import Node

_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\['(?P<key>(?:[^'\\]|\\.)*)'\]")
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "'": "'",
    "\\": "\\",
}


class FieldPathError(ValueError):
    """A path that is malformed or leads nowhere in the schema."""


def field_path(text: str, node: Node, *, keys: bool = True) -> tuple[str, Node]:
    """Return a path as error messages write it, and the schema it leads to.

    ``.spec.items`` and, where ``keys`` allows it, ``.labels['a.b']`` are read. Raises FieldPathError.
    """
    path: Path = None
    at = 0
    found: Node | None = node
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise FieldPathError(f"expected [ or . but got: {text[at:]}")
        at = match.end()
        if match["name"] is None and not keys:
            raise FieldPathError("array notation is not allowed")
        name = match["name"] if match["name"] is not None else _unescaped(match["key"])
        if found is not None and found.properties:
            path, found = child(path, name), found.properties.get(name)
        elif found is not None and found.additional is not None:
            path, found = index(path, name), found.additional_node
        else:
            raise FieldPathError("does not refer to a valid field")
    if path is None or found is None:
        raise FieldPathError("does not refer to a valid field")
    return path, found


def _unescaped(key: str) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise FieldPathError(f"invalid string literal: invalid escape char {match[0]}")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", replace, key)
