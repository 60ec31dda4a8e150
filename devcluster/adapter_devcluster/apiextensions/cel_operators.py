"""CEL's operators and conversions on values: arithmetic with overflow, ordering, indexing.

Errors carry cel-go's words (v0.26 ``common/types``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.apiextensions.cel_lexer import Uint
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
    is_number,
    raw,
    shown,
    type_name,
)
from adapter_devcluster.apiextensions.go_text import INT64_MAX, INT64_MIN, number

_UINT64_MAX = 2**64 - 1
_MIN_UNIX, _MAX_UNIX = -62135596800, 253402300799


def _integer(value: int, *, unsigned: bool) -> int:
    if unsigned:
        if not 0 <= value <= _UINT64_MAX:
            raise CelError("unsigned integer overflow")
        return Uint(value)
    if not INT64_MIN <= value <= INT64_MAX:
        raise CelError("integer overflow")
    return value


def _duration(nanoseconds: int) -> Duration:
    if not INT64_MIN <= nanoseconds <= INT64_MAX:
        raise CelError("duration overflow")
    return Duration(nanoseconds)


def _timestamp(nanoseconds: int) -> Timestamp:
    if not _MIN_UNIX <= nanoseconds // go_time.SECOND <= _MAX_UNIX:
        raise CelError("timestamp overflow")
    return Timestamp(nanoseconds)


def _whole_numbers(a: Value, b: Value) -> tuple[int, int, bool] | None:
    """Two ints or two uints; None for everything else."""
    if isinstance(a, int) and isinstance(b, int) and type(a) is type(b) and not isinstance(a, bool):
        return int(a), int(b), isinstance(a, Uint)
    return None


def add(a: Value, b: Value) -> Value:
    """``a + b``."""
    if whole := _whole_numbers(a, b):
        return _integer(whole[0] + whole[1], unsigned=whole[2])
    if isinstance(a, Duration | Timestamp) and isinstance(b, Duration | Timestamp):
        return _add_times(a, b)
    match a, b:
        case float(), float():
            return a + b
        case str(), str():
            return a + b
        case bytes(), bytes():
            return a + b
        case ListValue(), ListValue():
            return _concatenated(a, b)
    raise NoSuchOverloadError


def _add_times(a: Duration | Timestamp, b: Duration | Timestamp) -> Value:
    if isinstance(a, Timestamp) and isinstance(b, Timestamp):
        raise NoSuchOverloadError
    nanoseconds = a.nanoseconds + b.nanoseconds
    return _duration(nanoseconds) if type(a) is type(b) else _timestamp(nanoseconds)


def _concatenated(a: ListValue, b: ListValue) -> ListValue:
    """Join lists; a schema's set takes what it lacks, a map list's items replace those of equal keys."""
    items = list(a)
    if a.list_type == "set":
        items += [item for item in b if not any(equal(item, known) for known in items)]
    elif a.list_type == "map":
        places = {a.key(item): position for position, item in enumerate(a.raw())}
        for item in b:
            place = places.get(a.key(raw(item)), len(items))
            items[place : place + 1] = [item]
    else:
        items += b
    return ListValue(items, a.list_type, a.keys)


def subtract(a: Value, b: Value) -> Value:
    """``a - b``."""
    if whole := _whole_numbers(a, b):
        return _integer(whole[0] - whole[1], unsigned=whole[2])
    match a, b:
        case float(), float():
            return a - b
        case Duration(), Duration():
            return _duration(a.nanoseconds - b.nanoseconds)
        case Timestamp(), Timestamp():
            return _duration(a.nanoseconds - b.nanoseconds)
        case Timestamp(), Duration():
            return _timestamp(a.nanoseconds - b.nanoseconds)
    raise NoSuchOverloadError


def multiply(a: Value, b: Value) -> Value:
    """``a * b``."""
    if whole := _whole_numbers(a, b):
        return _integer(whole[0] * whole[1], unsigned=whole[2])
    if isinstance(a, float) and isinstance(b, float):
        return a * b
    raise NoSuchOverloadError


def divide(a: Value, b: Value) -> Value:
    """``a / b``: whole numbers towards zero."""
    if whole := _whole_numbers(a, b):
        left, right, unsigned = whole
        if right == 0:
            raise CelError("division by zero")
        quotient = abs(left) // abs(right)
        return _integer(quotient if (left < 0) == (right < 0) else -quotient, unsigned=unsigned)
    if isinstance(a, float) and isinstance(b, float):
        if b != 0:
            return a / b
        negative = math.copysign(1.0, a) != math.copysign(1.0, b)
        return math.nan if a == 0 or math.isnan(a) else -math.inf if negative else math.inf
    raise NoSuchOverloadError


def modulo(a: Value, b: Value) -> Value:
    """``a % b``: the sign is that of ``a``."""
    whole = _whole_numbers(a, b)
    if whole is None:
        raise NoSuchOverloadError
    left, right, unsigned = whole
    if right == 0:
        raise CelError("modulus by zero")
    rest = abs(left) % abs(right)
    return _integer(-rest if left < 0 else rest, unsigned=unsigned)


def negate(a: Value) -> Value:
    """``-a``."""
    match a:
        case bool() | Uint():
            raise NoSuchOverloadError
        case int():
            return _integer(-a, unsigned=False)
        case float():
            return -a
    raise NoSuchOverloadError


def invert(a: Value) -> Value:
    """``!a``."""
    if not isinstance(a, bool):
        raise NoSuchOverloadError
    return not a


def compare(a: Value, b: Value) -> int:
    """Order two values: negative, zero or positive. Numbers of different types compare by value."""
    if is_number(a) and is_number(b) and isinstance(a, int | float) and isinstance(b, int | float):
        if math.isnan(a) or math.isnan(b):
            raise CelError("NaN values cannot be ordered")
        return (a > b) - (a < b)
    match a, b:
        case bool(), bool():
            return (a > b) - (a < b)
        case str(), str():
            return (a > b) - (a < b)
        case bytes(), bytes():
            return (a > b) - (a < b)
        case Duration(), Duration():
            return a.nanoseconds - b.nanoseconds
        case Timestamp(), Timestamp():
            return a.nanoseconds - b.nanoseconds
    raise NoSuchOverloadError


def contains(item: Value, container: Value) -> bool:
    """``item in container``: an item of a list, a key of a map."""
    match container:
        case ListValue():
            return any(equal(known, item) for known in container)
        case JsonMap() | MapValue():
            return container.find(item)[0]
    raise NoSuchOverloadError


def index(container: Value, key: Value) -> Value:
    """``container[key]``; of an optional container, an optional value."""
    match container:
        case OptionalValue():
            return index_optional(container, key)
        case ListValue():
            position = _position(key)
            if not 0 <= position < len(container):
                raise CelError(f"index out of bounds: {shown(key)}")
            return container.at(position)
        case JsonMap() | MapValue():
            found, value = container.find(key)
            if not found:
                raise CelError(f"no such key: {shown(key)}")
            return value
    raise NoSuchOverloadError


def index_optional(container: Value, key: Value) -> OptionalValue:
    """``container[?key]``: none where the key or the position is absent."""
    match container:
        case OptionalValue():
            return index_optional(container.value, key) if container.present else NONE
        case ListValue():
            position = _position(key)
            return OptionalValue(present=True, value=container.at(position)) if 0 <= position < len(container) else NONE
        case JsonMap() | MapValue():
            found, value = container.find(key)
            return OptionalValue(present=True, value=value) if found else NONE
    raise NoSuchOverloadError


def _position(key: Value) -> int:
    if isinstance(key, float) and key.is_integer():
        return int(key)
    if not isinstance(key, int) or isinstance(key, bool):
        raise CelError(f"unsupported index: {shown(key)}")
    return int(key)


def convert(target: str) -> Callable[[Value], Value]:
    """Return the conversion to a type, as ``int()``, ``string()`` and their like do it."""

    def conversion(value: Value) -> Value:
        try:
            return _CONVERSIONS[target](value)
        except ValueError as error:
            source = type_name(value)
            names = [_CONVERSION_NAMES.get(name, name) for name in (source.kind, target)]
            message = f"type conversion error from '{names[0]}' to '{names[1]}'"
            raise CelError(message) from error

    return conversion


_CONVERSION_NAMES = {"duration": "google.protobuf.Duration", "timestamp": "google.protobuf.Timestamp"}


def _to_int(value: Value) -> Value:
    match value:
        case bool():
            raise NoSuchOverloadError
        case int():
            return _integer(int(value), unsigned=False)
        case float():
            if not INT64_MIN < value < INT64_MAX:
                raise CelError("integer overflow")
            return int(value)
        case str():
            if not re.fullmatch(r"[+-]?[0-9]+", value) or not INT64_MIN <= int(value) <= INT64_MAX:
                raise ValueError(value)
            return int(value)
        case Duration():
            return value.nanoseconds
        case Timestamp():
            return value.nanoseconds // go_time.SECOND
    raise NoSuchOverloadError


def _to_uint(value: Value) -> Value:
    match value:
        case bool():
            raise NoSuchOverloadError
        case int():
            return _integer(int(value), unsigned=True)
        case float():
            if not 0 <= value < _UINT64_MAX:
                raise CelError("unsigned integer overflow")
            return Uint(value)
        case str():
            if not re.fullmatch(r"[0-9]+", value) or int(value) > _UINT64_MAX:
                raise ValueError(value)
            return Uint(value)
    raise NoSuchOverloadError


def _to_double(value: Value) -> Value:
    match value:
        case bool():
            raise NoSuchOverloadError
        case int() | float():
            return float(value)
        case str():
            if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf(inity)?|nan", value, re.I):
                raise ValueError(value)
            return float(value)
    raise NoSuchOverloadError


def _to_string(value: Value) -> Value:
    match value:
        case bool() | int() | str():
            return shown(value)
        case float():
            return number(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise CelError("invalid UTF-8 in bytes, cannot convert to string") from error
        case Duration():
            return go_time.seconds_text(value.nanoseconds)
        case Timestamp():
            return go_time.rfc3339(value.nanoseconds, value.offset)
    raise NoSuchOverloadError


def _to_bool(value: Value) -> Value:
    words = {"1": True, "t": True, "T": True, "TRUE": True, "true": True, "True": True}
    words |= {"0": False, "f": False, "F": False, "FALSE": False, "false": False, "False": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in words:
        raise ValueError(value)
    return words[value]


def _to_bytes(value: Value) -> Value:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise NoSuchOverloadError
    return value.encode("utf-8", "replace")


def _to_duration(value: Value) -> Value:
    match value:
        case Duration():
            return value
        case bool() | Uint():
            raise NoSuchOverloadError
        case int():
            return Duration(value)
        case str():
            return Duration(go_time.parse_duration(value))
    raise NoSuchOverloadError


def _to_timestamp(value: Value) -> Value:
    match value:
        case Timestamp():
            return value
        case bool() | Uint():
            raise NoSuchOverloadError
        case int():
            return _timestamp(value * go_time.SECOND)
        case str():
            at = _timestamp(go_time.parse_date_time(value, zone_required=True))
            return Timestamp(at.nanoseconds, go_time.zone_offset(value))
    raise NoSuchOverloadError


_CONVERSIONS: Final[Mapping[str, Callable[[Value], Value]]] = {
    "bool": _to_bool,
    "bytes": _to_bytes,
    "double": _to_double,
    "duration": _to_duration,
    "int": _to_int,
    "string": _to_string,
    "timestamp": _to_timestamp,
    "uint": _to_uint,
}
