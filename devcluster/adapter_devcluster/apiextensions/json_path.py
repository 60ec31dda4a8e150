r"""Kubernetes' JSONPath, as printer columns use it (``k8s.io/client-go/util/jsonpath``).

Fields (``.spec.x``, ``['a.b']``, dots escaped as ``\.``), ``[*]``, ``[0]``, slices, unions, filters
(``[?(@.type=="Ready")]``) and recursive descent. Templates (``range``, text between braces) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from adapter_devcluster.apiextensions.go_text import Json

_Step: TypeAlias = Callable[[list[Json]], list[Json]]

_FIELD = re.compile(r"\.((?:\\.|[^\s.,\[\]$@{}\\])*)")
_KEY = re.compile(r"'([^']*)'")
_SLICE = re.compile(r"(-?\d*)(?::(-?\d*))?(?::(-?\d*))?")
_COMPARISON = re.compile(r"([^!<>=]+)([!<>=]+)(.+)", re.DOTALL)
_OPERATORS: dict[str, Callable[[int], bool]] = {
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


class JsonPathError(ValueError):
    """A path that can't be read, or a value that it can't be applied to."""


class JsonPath:
    """A path, read once. Raises JsonPathError where the text is no path."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps = _parse(text)

    def find(self, value: Json) -> list[Json]:
        """Return what the path leads to; nothing where fields are absent. Raises JsonPathError."""
        found = [value]
        for step in self._steps:
            found = step(found)
        return found


def _parse(text: str) -> list[_Step]:
    steps: list[_Step] = []
    at = 0
    while at < len(text):
        if text[at] in " @$":
            at += 1
        elif text.startswith("..", at):
            steps.append(_descend)
            # A field follows the two dots directly, so one of them is its own.
            at += 1 if text[at + 2 : at + 3].isalnum() else 2
        elif text[at] == ".":
            match = _FIELD.match(text, at)
            name = match[1] if match else ""
            at += 1 + len(name)
            steps.append(_wildcard if name == "*" else _field(name.replace("\\", "")))
        elif text.startswith("[?(", at):
            end = _filter_end(text, at)
            steps.append(_filter(text[at + 3 : end]))
            at = end + 2
        elif text[at] == "[":
            end = text.find("]", at)
            if end < 0:
                raise JsonPathError(f"unterminated array in {text!r}")
            steps.append(_subscript(text[at + 1 : end]))
            at = end + 1
        else:
            raise JsonPathError(f"unrecognized character {text[at]!r} in {text!r}")
    return steps


def _filter_end(text: str, start: int) -> int:
    """The position of the ``)`` that ends a filter: quotes hide it."""
    quote = ""
    for at in range(start + 3, len(text)):
        if quote:
            quote = "" if text[at] == quote and text[at - 1] != "\\" else quote
        elif text[at] in "\"'":
            quote = text[at]
        elif text.startswith(")]", at):
            return at
    raise JsonPathError(f"unterminated filter in {text!r}")


def _field(name: str) -> _Step:
    return lambda values: [value[name] for value in values if isinstance(value, dict) and name in value]


def _wildcard(values: list[Json]) -> list[Json]:
    return [item for value in values for item in _children(value)]


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _descend(values: list[Json]) -> list[Json]:
    found: list[Json] = []
    for value in values:
        children = _children(value)
        if children:
            found += [value, *_descend(children)]
    return found


def _subscript(text: str) -> _Step:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1:
        steps = [_subscript(part) for part in parts]
        return lambda values: [found for step in steps for found in step(values)]
    if key := _KEY.fullmatch(text):
        return _field(key[1].replace("\\", ""))
    match = _SLICE.fullmatch(":" if text == "*" else text)
    if match is None:
        raise JsonPathError(f"invalid array index {text}")
    start, end, step = (int(part) if part else None for part in match.groups())
    if match[2] is None:
        if start is None:
            raise JsonPathError(f"invalid array index {text}")
        return _item(start)
    if step is not None and step <= 0:
        raise JsonPathError("step must be > 0")
    return lambda values: [item for value in _lists(values) for item in value[slice(start, end, step)]]


def _item(position: int) -> _Step:
    def step(values: list[Json]) -> list[Json]:
        found = []
        for value in _lists(values):
            at = position + len(value) if position < 0 else position
            if not 0 <= at < len(value):
                raise JsonPathError(f"array index out of bounds: index {at}, length {len(value)}")
            found.append(value[at])
        return found

    return step


def _lists(values: list[Json]) -> Iterator[list[Json]]:
    for value in values:
        if value is None:
            continue
        if not isinstance(value, list):
            raise JsonPathError(f"{type(value).__name__} is not array or slice")
        yield value


def _filter(text: str) -> _Step:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        exists = _parse(text)
        return lambda values: [item for value in _lists(values) for item in value if _apply(exists, item)]
    left, right, operator = _operand(match[1]), _operand(match[3]), _OPERATORS.get(match[2])
    if operator is None:
        raise JsonPathError(f"unrecognized filter operator {match[2]}")
    test = operator

    def step(values: list[Json]) -> list[Json]:
        return [item for value in _lists(values) for item in value if _compares(left(item), right(item), test)]

    return step


def _apply(steps: list[_Step], value: Json) -> list[Json]:
    found = [value]
    for step in steps:
        found = step(found)
    return found


def _operand(text: str) -> Callable[[Json], list[Json]]:
    """One side of a filter: a quoted string, a number, a boolean, or a path from the item."""
    literal = text.strip()
    if len(literal) > 1 and literal[0] in "\"'" and literal[-1] == literal[0]:
        quoted = re.sub(r"\\(.)", r"\1", literal[1:-1])
        return lambda _: [quoted]
    if literal in {"true", "false"}:
        return lambda _: [literal == "true"]
    if re.fullmatch(r"[+-]?\d+", literal):
        return lambda _: [int(literal)]
    if re.fullmatch(r"[+-]?\d*\.\d+", literal):
        return lambda _: [float(literal)]
    steps = _parse(literal)
    return lambda value: _apply(steps, value)


def _compares(left: list[Json], right: list[Json], test: Callable[[int], bool]) -> bool:
    if not left or not right:
        return False
    if len(left) > 1 or len(right) > 1:
        raise JsonPathError("can only compare one element at a time")
    a, b = left[0], right[0]
    if isinstance(a, bool) and isinstance(b, bool):
        return test(int(a) - int(b))
    if isinstance(a, str) and isinstance(b, str):
        return test((a > b) - (a < b))
    numbers = (int, float)
    if isinstance(a, numbers) and isinstance(b, numbers) and bool not in {type(a), type(b)}:
        return test((a > b) - (a < b))
    raise JsonPathError("incompatible types for comparison")
