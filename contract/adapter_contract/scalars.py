"""The scalars of the contract: decimal strings, times, counts, names, paths. All are bounded.

Decimal numbers that a person wrote (`2e-4`, `0.05`) stay the strings that they were, so that no rounding
stands between a manifest in Git and the record of what was trained; `as_decimal` and `as_float` read them.
"""

import math
import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer, StringConstraints

MAX_SAFE_INTEGER = 2**53 - 1

Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
"""A number of things, bytes, tokens or seconds: what JSON carries exactly."""

PositiveCount = Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]

DECIMAL_PATTERN = r"^-?[0-9]{1,24}(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,2})?$"
DecimalString = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN)]
"""A decimal number as text. Two digits of exponent keep every value within a double."""

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""The name of a cluster, a namespace, a training or an adapter: at most 63 of a-z, 0-9, hyphen and dot.

It begins and ends with a letter or digit. The API's own rules are narrower for some kinds; this one holds all
of them, and the dots of a model name such as `support-v1.2`, so that no reader refuses what the API admits.
"""

UID_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$"
UID = Annotated[str, StringConstraints(pattern=UID_PATTERN)]

Reason = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")]
"""A CamelCase word for programs, such as a finding's code or a metric's name."""


def _printable(value: object) -> object:
    """Replace what can't be encoded or would garble a terminal: no message may be lost to it."""
    if not isinstance(value, str):
        return value
    encodable = value.encode("utf-8", "replace").decode("utf-8")
    return "".join(" " if unicodedata.category(char) == "Cc" else char for char in encodable)


def _no_control_characters(value: str) -> str:
    if any(unicodedata.category(char) == "Cc" for char in value):
        raise ValueError("control characters are not allowed")
    return value


Message = Annotated[str, BeforeValidator(_printable)]
"""A sentence for people. Control characters become blanks and lone surrogates question marks."""

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_no_control_characters)]
"""One line of text: a revision, a version, an image reference, a repository."""


def _absolute_path(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/"):
        raise ValueError('an absolute path without ".." is required')
    return value


AbsolutePath = Annotated[
    str,
    StringConstraints(max_length=4096),
    AfterValidator(_no_control_characters),
    AfterValidator(_absolute_path),
]
"""An absolute POSIX path inside the container."""


def _whole_seconds_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def _rfc3339(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Timestamp = Annotated[
    AwareDatetime,
    AfterValidator(_whole_seconds_utc),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
]
"""A moment in UTC, to the second, as Kubernetes writes it: `2026-11-22T08:30:00Z`."""


def as_decimal(text: DecimalString) -> Decimal:
    """Return the exact value of a decimal string.

    Raises:
        ValueError: the text has not the form of a decimal string.
    """
    if not re.fullmatch(DECIMAL_PATTERN.removeprefix("^").removesuffix("$"), text):
        raise ValueError(f"{text!r} is not a decimal number such as 0.05 or 2e-4")
    return Decimal(text)


def as_float(text: DecimalString) -> float:
    """Return the double nearest to a decimal string; errors as in `as_decimal`."""
    return float(as_decimal(text))


def decimal_string(number: float) -> DecimalString:
    """Return the shortest decimal string that reads back as the same double.

    Raises:
        ValueError: NaN, an infinity, or a magnitude outside 1e-99 .. 1e99 (zero is fine).
    """
    if not math.isfinite(number):
        raise ValueError(f"{number} has no decimal form")
    text = repr(float(number))
    mantissa, _, exponent = text.partition("e")
    short = mantissa.removesuffix(".0") + (f"e{int(exponent)}" if exponent else "")
    if short == "-0":
        return "0"
    as_decimal(short)
    return short
