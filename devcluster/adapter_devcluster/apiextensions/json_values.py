"""JSON values: a checked deep copy, and equality as Go's ``reflect.DeepEqual`` sees it."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from adapter_devcluster.apiextensions.errors import NotJsonError, Path, child, index
from adapter_devcluster.apiextensions.go_text import INT64_MAX, INT64_MIN, Json

_SURROGATE = re.compile("[\ud800-\udfff]")

# Go stops at 10,000; Python's recursion limit asks for less, and no sane object comes near it.
MAX_DEPTH = 100


def clean_copy(value: Json, path: Path = None, depth: int = 0) -> Json:
    """Copy a JSON value as Kubernetes would decode it: integers beyond int64 become floats.

    Raises NotJsonError (with the path) for anything that JSON can't hold, and for nesting over MAX_DEPTH.
    """
    if depth > MAX_DEPTH:
        message = f"{path}: nested deeper than {MAX_DEPTH} levels"
        raise NotJsonError(message)
    if isinstance(value, dict):
        copied = {}
        for key, item in value.items():
            if not isinstance(key, str):
                message = f"{path or 'object'}: the key {key!r} is not a string"
                raise NotJsonError(message)
            copied[_encodable(key)] = clean_copy(item, child(path, key), depth + 1)
        return copied
    if isinstance(value, list):
        return [clean_copy(item, index(path, i), depth + 1) for i, item in enumerate(value)]
    return _scalar(value, path)


def _scalar(value: Json, path: Path) -> Json:
    match value:
        case None | bool():
            return value
        case str():
            return _encodable(value)
        case int():
            number = int(value)
            return number if INT64_MIN <= number <= INT64_MAX else _float(float_or_inf(number), path)
        case float():
            return _float(float(value), path)
    message = f"{path or 'value'}: {type(value).__name__} is not a JSON value"
    raise NotJsonError(message)


def _encodable(text: str) -> str:
    """Replace lone surrogates, which have no UTF-8 form, as Go's decoder does."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def float_or_inf(number: int) -> float:
    """Return the nearest float, an infinity beyond their range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _float(number: float, path: Path) -> float:
    if not math.isfinite(number):
        message = f"{path or 'value'}: {number} is not a JSON number"
        raise NotJsonError(message)
    return number


def copy(value: Json) -> Json:
    """Copy a value that is known to be clean."""
    if isinstance(value, dict):
        return {key: copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy(item) for item in value]
    return value


def as_stored(value: Json) -> Json:
    """Copy a clean value as it comes back from storage: whole floats are written without a point, so as integers."""
    if isinstance(value, dict):
        return {key: as_stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_stored(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        # What is written are the shortest digits that mean this float, not its exact value.
        number = int(Decimal(repr(value)))
        return number if INT64_MIN <= number <= INT64_MAX else value
    return value


def deep_equal(a: Json, b: Json) -> bool:
    """Tell whether two clean values are the same document: 1, 1.0 and true all differ."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(deep_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(deep_equal, a, b))
    return a == b
