"""How Go's ``fmt``, ``strconv`` and ``encoding/json`` write a JSON value.

An API server's messages quote values in these forms, so equal messages need equal forms. JSON values are
Python's own: ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None``.
"""

from __future__ import annotations

import json
import math
from typing import TypeAlias

# A JSON value. Declared as `object`, because every function here tells the kinds apart with isinstance.
Json: TypeAlias = object

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_QUOTED = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}
# encoding/json escapes these, so that its output is safe inside HTML and JavaScript.
_HTML = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def quote(text: str) -> str:
    """Write a Go string literal (``strconv.Quote``)."""
    return f'"{"".join(_quoted_char(c) for c in text)}"'


def _quoted_char(char: str) -> str:
    if char in _QUOTED:
        return _QUOTED[char]
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        return "\ufffd"
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def number(value: float) -> str:
    """Write an int64 or a float64 as ``%v`` does: the shortest digits that read back as the same number."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return _float(value, low=-4, high=6, exponent_digits=2)


def _float(value: float, *, low: int, high: int, exponent_digits: int) -> str:
    sign, digits, exponent = _decimal(value)
    if low <= exponent < high:
        return sign + _positional(digits, exponent)
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):0{exponent_digits}d}"


def _decimal(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits without trailing zeros, and the decimal exponent of the first digit."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return sign, "0", 0
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    shift = len(whole) - 1 if whole != "0" else -1 - (len(fraction) - len(fraction.lstrip("0")))
    return sign, digits.rstrip("0") or "0", shift + int(exponent or 0)


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def fixed(value: float) -> str:
    """Write a float64 without an exponent (``strconv.FormatFloat(value, 'f', -1, 64)``)."""
    sign, digits, exponent = _decimal(value)
    return sign + _positional(digits, exponent)


def text(value: Json) -> str:
    """Write a value as ``%v`` does: a string as it is, null as ``<nil>``, lists and maps as JSON."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number(value)
        case str():
            return value
    return json_text(value)


def json_text(value: Json) -> str:
    """Write a value as ``json.Marshal`` does: compact, keys sorted, ``<>&`` escaped."""
    match value:
        case dict():
            pairs = (f"{json_text(str(key))}:{json_text(value[key])}" for key in sorted(value))
            return f"{{{','.join(pairs)}}}"
        case list() | tuple():
            return f"[{','.join(json_text(item) for item in value)}]"
        case str():
            return json.dumps(value, ensure_ascii=False).translate(_HTML)
        case bool() | None:
            return json.dumps(value)
        case int():
            return str(value)
        case float():
            return _float(value, low=-6, high=21, exponent_digits=1)
    message = f"{type(value).__name__} is not a JSON value"
    raise TypeError(message)


def kind(value: Json) -> str:
    """Name a value's JSON type as schemas do: numbers with a fraction are ``number``, others ``integer``."""
    return _KINDS.get(type(value), "object")


_KINDS = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
}
