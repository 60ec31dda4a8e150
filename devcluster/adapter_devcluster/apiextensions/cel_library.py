"""What the functions of `cel_functions` do: strings, lists, times, optional values.

Errors carry the words of ``cel-go`` v0.26 ``ext/strings.go`` and of ``k8s.io/apiserver/pkg/cel/library`` v0.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapter_devcluster.apiextensions import cel_operators as op
from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.apiextensions.cel_values import (
    NONE,
    CelError,
    Duration,
    JsonMap,
    ListValue,
    MapValue,
    NoSuchOverloadError,
    OptionalValue,
    Timestamp,
    Value,
    equal,
    type_name,
)
from adapter_devcluster.apiextensions.patterns import PatternError, compile_pattern

_YEAR_ONE = Timestamp(go_time.parse_date("0001-01-01"))
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise NoSuchOverloadError
    return value


def _int(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise NoSuchOverloadError
    return value


def _list(value: Value) -> ListValue:
    if not isinstance(value, ListValue):
        raise NoSuchOverloadError
    return value


def size(value: Value) -> int:
    """Count characters, bytes, items or entries."""
    if isinstance(value, str | bytes | ListValue | MapValue | JsonMap):
        return len(value)
    raise NoSuchOverloadError


def matches(text: Value, pattern: Value) -> bool:
    """Tell whether a pattern is found in a text."""
    try:
        return compile_pattern(_text(pattern)).search(_text(text)) is not None
    except PatternError as error:
        raise CelError(str(error)) from error


def find(text: Value, pattern: Value) -> str:
    """Return the first match of a pattern, an empty string where there is none."""
    found = find_all(text, pattern, 1)
    return _text(found.at(0)) if len(found) else ""


def find_all(text: Value, pattern: Value, limit: Value = -1) -> ListValue:
    """Return the matches of a pattern, at most ``limit`` of them unless it is negative."""
    try:
        found = [match[0] for match in compile_pattern(_text(pattern)).finditer(_text(text))]
    except PatternError as error:
        message = f"Illegal regex: {error}"
        raise CelError(message) from error
    return ListValue(found if _int(limit) < 0 else found[: _int(limit)])


def _range_checked(position: int, text: str) -> int:
    if not 0 <= position <= len(text):
        raise CelError(f"index out of range: {position}")
    return position


def char_at(text: Value, position: Value) -> str:
    """Return a character, an empty string just behind the last one."""
    at = _range_checked(_int(position), _text(text))
    return _text(text)[at : at + 1]


def index_of(where: Value, what: Value, offset: Value = 0) -> int:
    """Find a part of a string from an offset on, or an item of a list; -1 where it is absent."""
    if isinstance(where, ListValue):
        return next((i for i, item in enumerate(where) if equal(item, what)), -1)
    text, part, start = _text(where), _text(what), _int(offset)
    if not part:
        return start
    if start < 0:
        raise CelError(f"index out of range: {start}")
    return text.find(part, start)


def last_index_of(where: Value, what: Value, offset: Value = None) -> int:
    """Find the last appearance that starts at or before an offset; -1 where there is none."""
    if isinstance(where, ListValue):
        return max((i for i, item in enumerate(where) if equal(item, what)), default=-1)
    text, part = _text(where), _text(what)
    start = len(text) - (1 if part else 0) if offset is None else _int(offset)
    if not part:
        return start
    if offset is None:
        return text.rfind(part)
    if start < 0:
        raise CelError(f"index out of range: {start}")
    return -1 if start >= len(text) else text.rfind(part, 0, start + len(part))


def replace(text: Value, old: Value, new: Value, limit: Value = -1) -> str:
    """Replace a part of a string, at most ``limit`` times unless it is negative."""
    return _text(text).replace(_text(old), _text(new), _int(limit))


def split(text: Value, separator: Value, limit: Value = -1) -> ListValue:
    """Split a string, into its characters by an empty separator, and into at most ``limit`` parts."""
    value, between, most = _text(text), _text(separator), _int(limit)
    if most == 0:
        return ListValue([])
    if between:
        return ListValue(value.split(between, most - 1 if most > 0 else -1))
    characters = list(value)
    if 0 < most < len(characters):
        characters[most - 1 :] = ["".join(characters[most - 1 :])]
    return ListValue(characters)


def substring(text: Value, start: Value, end: Value = None) -> str:
    """Return the characters from ``start`` up to, but not at, ``end``."""
    value, first = _text(text), _int(start)
    last = len(value) if end is None else _int(end)
    if end is not None and first > last:
        raise CelError(f"invalid substring range. start: {first}, end: {last}")
    return value[_range_checked(first, value) : _range_checked(last, value)]


def join(items: Value, separator: Value = "") -> str:
    """Join a list of strings."""
    return _text(separator).join(map(_text, _list(items)))


def is_sorted(items: Value) -> bool:
    """Tell whether no item is smaller than the one before it."""
    values = list(_list(items))
    return all(op.compare(a, b) <= 0 for a, b in pairwise(values))


def _extreme(name: str, sign: int) -> Callable[[Value], Value]:
    def extreme(items: Value) -> Value:
        values = list(_list(items))
        if not values:
            raise CelError(f"{name} called on empty list")
        best = values[0]
        for value in values[1:]:
            best = value if op.compare(value, best) * sign > 0 else best
        return best

    return extreme


def total(items: Value) -> Value:
    """Add the items of a list; None if there are none, which only the caller can give a type."""
    result: Value = None
    for item in _list(items):
        result = item if result is None else op.add(result, item)
    return result


def _zoned(at: Value, zone: Value) -> datetime:
    if not isinstance(at, Timestamp):
        raise NoSuchOverloadError
    moment = go_time.to_datetime(at.nanoseconds)
    name = _text(zone)
    try:
        if ":" not in name:
            return moment.astimezone(ZoneInfo(name))
        hours, minutes = (int(part) for part in name.lstrip("+-").split(":"))
        offset = timedelta(hours=hours, minutes=minutes)
        return moment.astimezone(timezone(-offset if name.startswith("-") else offset))
    except (ValueError, OverflowError, ZoneInfoNotFoundError) as error:
        message = f"unknown time zone {name}"
        raise CelError(message) from error


def _calendar(read: Callable[[datetime], int]) -> Callable[..., Value]:
    def getter(at: Value, zone: Value = "UTC") -> Value:
        return read(_zoned(at, zone))

    return getter


def _clock(unit: int, read: Callable[[datetime], int]) -> Callable[..., Value]:
    def getter(value: Value, zone: Value = "UTC") -> Value:
        if isinstance(value, Duration):
            whole = abs(value.nanoseconds) // unit
            return -whole if value.nanoseconds < 0 else whole
        return read(_zoned(value, zone))

    return getter


def _present(value: Value) -> bool:
    """Tell whether a value is more than its type's zero."""
    match value:
        case None | False | 0 | 0.0 | Duration(nanoseconds=0):
            return False
        case Timestamp():
            return value != _YEAR_ONE
        case str() | bytes() | ListValue() | MapValue() | JsonMap():
            return len(value) > 0
    return True


def _optional(value: Value) -> OptionalValue:
    if not isinstance(value, OptionalValue):
        raise NoSuchOverloadError
    return value


def _unwrapped(value: Value) -> Value:
    found = _optional(value)
    if not found.present:
        raise CelError("optional.none() dereference")
    return found.value


def _ordering(test: Callable[[int], bool]) -> Callable[[Value, Value], bool]:
    return lambda a, b: test(op.compare(a, b))


def _affix(test: Callable[[str, str], bool]) -> Callable[[Value, Value], bool]:
    return lambda a, b: test(_text(a), _text(b))


def _extended(items: Iterable[str]) -> Mapping[str, Callable[..., Value]]:
    return {name: op.convert(name) for name in items}


# By function name; a member's receiver is the first argument. `Any`, because arities differ.
IMPLEMENTATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "!_": op.invert,
    "-_": op.negate,
    "_==_": equal,
    "_!=_": lambda a, b: not equal(a, b),
    "_<_": _ordering(lambda order: order < 0),
    "_<=_": _ordering(lambda order: order <= 0),
    "_>_": _ordering(lambda order: order > 0),
    "_>=_": _ordering(lambda order: order >= 0),
    "_+_": op.add,
    "_-_": op.subtract,
    "_*_": op.multiply,
    "_/_": op.divide,
    "_%_": op.modulo,
    "_[_]": op.index,
    "_[?_]": op.index_optional,
    "@in": op.contains,
    "size": size,
    "type": type_name,
    "dyn": lambda value: value,
    **_extended(("bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint")),
    "contains": _affix(lambda text, part: part in text),
    "startsWith": _affix(str.startswith),
    "endsWith": _affix(str.endswith),
    "matches": matches,
    "find": find,
    "findAll": find_all,
    "charAt": char_at,
    "indexOf": index_of,
    "lastIndexOf": last_index_of,
    "lowerAscii": lambda text: _text(text).translate(_LOWER),
    "upperAscii": lambda text: _text(text).translate(_UPPER),
    "replace": replace,
    "split": split,
    "substring": substring,
    "trim": lambda text: _text(text).strip("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"),
    "join": join,
    "isSorted": is_sorted,
    "min": _extreme("min", -1),
    "max": _extreme("max", 1),
    "sum": total,
    "getFullYear": _calendar(lambda at: at.year),
    "getMonth": _calendar(lambda at: at.month - 1),
    "getDayOfYear": _calendar(lambda at: at.timetuple().tm_yday - 1),
    "getDate": _calendar(lambda at: at.day),
    "getDayOfMonth": _calendar(lambda at: at.day - 1),
    "getDayOfWeek": _calendar(lambda at: at.isoweekday() % 7),
    "getHours": _clock(3600 * go_time.SECOND, lambda at: at.hour),
    "getMinutes": _clock(60 * go_time.SECOND, lambda at: at.minute),
    "getSeconds": _clock(go_time.SECOND, lambda at: at.second),
    "getMilliseconds": _clock(10**6, lambda at: at.microsecond // 1000),
    "optional.of": lambda value: OptionalValue(present=True, value=value),
    "optional.ofNonZeroValue": lambda value: OptionalValue(present=True, value=value) if _present(value) else NONE,
    "optional.none": lambda: NONE,
    "hasValue": lambda value: _optional(value).present,
    "value": _unwrapped,
    "or": lambda value, other: value if _optional(value).present else _optional(other),
    "orValue": lambda value, other: value.value if _optional(value).present else other,
}
