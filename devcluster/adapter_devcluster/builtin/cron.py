"""Cron schedules, as far as a CronJob's validation reads them (``robfig/cron``, ``ParseStandard``)."""

from __future__ import annotations

import re
import zoneinfo
from typing import Final

from adapter_devcluster.apiextensions.go_time import parse_duration

_DESCRIPTORS: Final = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Minute, hour, day of the month, month, day of the week: bounds, and the number of the first name.
_FIELDS: Final = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS))


class CronError(ValueError):
    """A schedule that can't be read."""


def check_schedule(text: str) -> None:
    """Check a schedule. Raises CronError."""
    if text.startswith("@every "):
        try:
            parse_duration(text.removeprefix("@every "))
        except ValueError as error:
            raise CronError(f"failed to parse duration {text}: {error}") from error
        return
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise CronError(f"unrecognized descriptor: {text}")
        return
    if "TZ=" in text:
        raise CronError("cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise CronError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    for part, (low, high, words) in zip(parts, _FIELDS, strict=True):
        for one in part.split(","):
            _check_range(one, low, high, words)


def _check_range(text: str, low: int, high: int, words: tuple[str, ...]) -> None:
    span, slash, step = text.partition("/")
    if slash and not (step.isdecimal() and int(step)):
        raise CronError(f"step of range should be a positive number: {text}")
    if span in ("*", "?"):
        return
    first, dash, last = span.partition("-")
    begin = _number(first, low, words)
    end = _number(last, low, words) if dash else begin
    if begin < low:
        raise CronError(f"beginning of range ({begin}) below minimum ({low}): {text}")
    if end > high:
        raise CronError(f"end of range ({end}) above maximum ({high}): {text}")
    if begin > end:
        raise CronError(f"beginning of range ({begin}) beyond end of range ({end}): {text}")


def _number(text: str, low: int, words: tuple[str, ...]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + low
    if not re.fullmatch("[0-9]+", text):
        raise CronError(f"failed to parse int from {text}")
    return int(text)


def check_time_zone(name: str) -> str:
    """Return what is wrong with the name of a time zone; nothing means that it is fine."""
    if not name:
        return "timeZone must be nil or non-empty string"
    if name.lower() == "local":
        return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return f"unknown time zone {name}"
    return ""
