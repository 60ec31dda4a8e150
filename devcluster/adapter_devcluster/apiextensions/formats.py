"""The ``format`` values that an API server checks strings against (``kube-openapi`` strfmt, Kubernetes 1.36).

A format that is not listed for its type is ignored, as the server ignores it (and warns about it).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.apiextensions.patterns import compile_pattern

_NUMERIC = {"integer": frozenset({"int32", "int64"}), "number": frozenset({"float", "double"})}
_HOSTNAME = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|"
    r"([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)
_ASCII_HOSTNAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*\.[a-z]{2,63}")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})")
_BYTE = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])"
_CARD = re.compile(
    r"4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11}"
)
_EMAIL = re.compile(r"(?:[^<>@]*<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)")
_SHORT_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


@lru_cache(maxsize=256)
def known(type_name: str, format_name: str) -> bool:
    """Tell whether the server checks this format on this type; an empty type may hold a string."""
    if type_name in _NUMERIC:
        return format_name in _NUMERIC[type_name]
    return type_name in {"", "string"} and _normal(format_name) in _CHECKS


def matches(format_name: str, text: str) -> bool:
    """Tell whether a string has a format that is `known` for strings."""
    return _CHECKS[_normal(format_name)](text)


def _normal(name: str) -> str:
    return name.replace("-", "")


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _full(pattern: str, flags: int = re.ASCII) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.fullmatch(text) is not None


def _date_time(text: str) -> bool:
    date, _, time = text.lower().partition("t")
    match = _TIME.fullmatch(time.partition("t")[0])
    if match is None or not _CHECKS["date"](date):
        return False
    return match[1] <= "23" and match[2] <= "59" and match[3] <= "59"


def _hostname(text: str) -> bool:
    if len(text.encode()) > 255 or any(len(label.encode()) > 63 for label in text.split(".")):
        return False
    # The general pattern holds Unicode classes, which are slow to build; most names never need it.
    return bool(_ASCII_HOSTNAME.fullmatch(text)) or bool(compile_pattern(_HOSTNAME).search(text))


def _ipv4(text: str) -> bool:
    """An IPv4 address; leading zeros are decimal, as in Go before 1.17."""
    if ":" in text:
        return "." in text and _ipv6(text)
    parts = text.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and int(p[:9]) < 256 for p in parts)


def _ipv6(text: str) -> bool:
    if "%" in text:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _cidr(text: str) -> bool:
    address, slash, prefix = text.rpartition("/")
    if not slash or not prefix.isascii() or not prefix.isdigit() or len(prefix) > 3:
        return False
    if ":" in address:
        return _ipv6(address) and int(prefix) <= 128
    return _ipv4(address) and int(prefix) <= 32


def _uri(text: str) -> bool:
    if not text or re.search(r"[\x00-\x20\x7f]", text) or re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return False
    if not re.match(r"/|[A-Za-z][A-Za-z0-9+.-]*:/", text):
        return text == "*"
    try:
        _ = urlsplit(text).port
    except ValueError:
        return False
    return True


def _luhn(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not _CARD.fullmatch(digits):
        return False
    doubled = [int(d) * (1 + position % 2) for position, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _isbn(text: str, *, sizes: tuple[int, ...]) -> bool:
    digits = re.sub(r"[\s-]+", "", text)
    if 10 in sizes and re.fullmatch(r"[0-9]{9}[0-9X]", digits):
        values = [10 if d == "X" else int(d) for d in digits]
        return sum((i + 1) * value for i, value in enumerate(values)) % 11 == 0
    if 13 in sizes and re.fullmatch(r"[0-9]{13}", digits):
        checksum = sum(int(d) * (1 + 2 * (i % 2)) for i, d in enumerate(digits[:12]))
        return int(digits[12]) == (10 - checksum % 10) % 10
    return False


def _uuid(version: str, variant: str = "[0-9a-f]") -> Callable[[str], bool]:
    return _full(
        f"[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}[0-9a-f]{{3}}-?{variant}[0-9a-f]{{3}}-?[0-9a-f]{{12}}",
        re.ASCII | re.IGNORECASE,
    )


def _name(pattern: str, limit: int) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: len(text) <= limit and compiled.fullmatch(text) is not None


_CHECKS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _full(r"[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": _full(_EMAIL.pattern),
    "hostname": _hostname,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "cidr": _cidr,
    "mac": _full(
        r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){7}"
        r"|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){19}|[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2}"
        r"|[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){3}|[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){9}"
    ),
    "uuid": _uuid("[0-9a-f]"),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
    "isbn": lambda text: _isbn(text, sizes=(10, 13)),
    "isbn10": lambda text: _isbn(text, sizes=(10,)),
    "isbn13": lambda text: _isbn(text, sizes=(13,)),
    "creditcard": _luhn,
    # Eleven characters, so both separators are there.
    "ssn": _full(r"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}"),
    "hexcolor": _full(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _full(rf"rgb\(\s*{_BYTE}\s*,\s*{_BYTE}\s*,\s*{_BYTE}\s*\)"),
    "byte": _full(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"),
    "password": lambda _: True,
    "date": _parses(go_time.parse_date),
    "duration": _parses(go_time.parse_loose_duration),
    "datetime": _date_time,
    "k8sshortname": _name(_SHORT_NAME, 63),
    "k8slongname": _name(rf"{_SHORT_NAME}(\.{_SHORT_NAME})*", 253),
}
