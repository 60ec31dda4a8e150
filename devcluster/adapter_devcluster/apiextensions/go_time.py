"""Times and durations as Go reads and writes them. Instants and durations are whole nanoseconds.

An instant counts from 1970-01-01T00:00:00Z; years 1 to 9999 exist.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from adapter_devcluster.apiextensions.go_text import INT64_MAX, INT64_MIN, fixed

SECOND = 10**9
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]+)")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_ZONE = re.compile(r"([+-])([0-9]{2}):([0-9]{2})$")
# A looser spelling that OpenAPI's duration format also takes: "3 hours", "2 wk".
_LOOSE = re.compile(r"([0-9]+)\s*([A-Za-zµ]+)")
_LOOSE_UNITS = (
    (1, ("ns",), "nano"),
    (10**3, ("us", "µs"), "micro"),
    (10**6, ("ms",), "milli"),
    (SECOND, ("s",), "sec"),
    (60 * SECOND, ("m",), "min"),
    (3600 * SECOND, ("h", "hr"), "hour"),
    (24 * 3600 * SECOND, ("d",), "day"),
    (7 * 24 * 3600 * SECOND, ("w", "wk"), "week"),
)


def parse_duration(text: str) -> int:
    """Read ``1h30m`` (``time.ParseDuration``) into nanoseconds. Raises ValueError."""
    body = text[1:] if text[:1] in {"+", "-"} else text
    if body == "0":
        return 0
    total, at = Fraction(0), 0
    for match in _DURATION.finditer(body):
        if match.start() != at or match[2] not in _UNITS:
            break
        at = match.end()
        total += Fraction(match[1] if match[1][0] != "." else f"0{match[1]}") * _UNITS[match[2]]
    nanoseconds = int(total) * (-1 if text[:1] == "-" else 1)
    if not body or at != len(body) or not INT64_MIN <= nanoseconds <= INT64_MAX:
        message = f"invalid duration {text!r}"
        raise ValueError(message)
    return nanoseconds


def parse_loose_duration(text: str) -> int:
    """Read OpenAPI's duration format: Go's, or numbers with spelled-out units. Raises ValueError."""
    try:
        return parse_duration(text)
    except ValueError:
        factors = [
            int(number) * factor
            for number, unit in _LOOSE.findall(text)
            for factor, names, prefix in _LOOSE_UNITS
            if unit.lower() in names or unit.lower().startswith(prefix)
        ]
        if not factors:
            message = f"unable to parse {text} as duration"
            raise ValueError(message) from None
        return sum(factors)


def parse_date(text: str) -> int:
    """Read ``2006-01-02``. Raises ValueError."""
    match = _DATE.fullmatch(text)
    if match is None:
        message = f"{text!r} is not a date"
        raise ValueError(message)
    year, month, day = (int(part) for part in match.groups())
    return _nanoseconds(datetime(year, month, day, tzinfo=UTC))


def parse_date_time(text: str, *, zone_required: bool = False) -> int:
    """Read an RFC 3339 time; without a zone it is UTC. Raises ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None or (zone_required and match[8] is None):
        message = f"{text!r} is not an RFC 3339 time"
        raise ValueError(message)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    try:
        at -= timedelta(seconds=zone_offset(text))
    except OverflowError as error:
        message = f"{text!r} is outside of the years 1 to 9999"
        raise ValueError(message) from error
    return _nanoseconds(at) + int((match[7] or "0")[:9].ljust(9, "0"))


def zone_offset(text: str) -> int:
    """Return how many seconds ahead of UTC the zone of an RFC 3339 time is."""
    match = _ZONE.search(text)
    if match is None:
        return 0
    seconds = (int(match[2]) * 60 + int(match[3])) * 60
    return -seconds if match[1] == "-" else seconds


def _nanoseconds(at: datetime) -> int:
    since = at - _EPOCH
    return (since.days * 86400 + since.seconds) * SECOND


def to_datetime(nanoseconds: int) -> datetime:
    """Return the instant in UTC, cut to microseconds. Raises OverflowError beyond years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def rfc3339(nanoseconds: int, offset: int = 0) -> str:
    """Write an instant as RFC3339Nano in a zone: no trailing zeros in the fraction."""
    whole, rest = divmod(nanoseconds, SECOND)
    date = f"{to_datetime((whole + offset) * SECOND):%Y-%m-%dT%H:%M:%S}".rjust(19, "0")
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    hours, minutes = divmod(abs(offset) // 60, 60)
    zone = f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}" if offset else "Z"
    return f"{date}{fraction}{zone}"


def seconds_text(nanoseconds: int) -> str:
    """Write a duration in seconds, as CEL's ``string(duration)`` does: ``5400s``."""
    return f"{fixed(nanoseconds / SECOND)}s"


def human_duration(nanoseconds: int) -> str:
    """Write an age as kubectl does (``HumanDuration``): two or three significant figures, ``2d3h``."""
    seconds = int(nanoseconds / SECOND)
    if seconds < -1:
        return "<invalid>"
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    steps = (
        (minutes < 10, f"{minutes}m", seconds % 60, "s"),
        (minutes < 180, f"{minutes}m", 0, ""),
        (hours < 8, f"{hours}h", minutes % 60, "m"),
        (hours < 48, f"{hours}h", 0, ""),
        (hours < 192, f"{days}d", hours % 24, "h"),
        (days < 730, f"{days}d", 0, ""),
        (days < 2920, f"{days // 365}y", days % 365, "d"),
        (True, f"{days // 365}y", 0, ""),
    )
    _, head, rest, unit = next(step for step in steps if step[0])
    return f"{head}{rest}{unit}" if rest else head
