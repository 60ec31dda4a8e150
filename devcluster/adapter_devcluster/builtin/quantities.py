"""Quantities of resources (``500m``, ``1.5Gi``, ``1e3``): their value and their canonical form.

Follows ``k8s.io/apimachinery/pkg/api/resource`` (v0.36): values are rounded up to nano units, and what is in
binary units stays so while it is a whole number of at least 1024.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

_SHAPE: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([a-zA-Z]*)([+-]?\d+)?")
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_EXPONENTS: Final = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_NANO: Final = 10**9
_LARGEST: Final = 2**63 - 1
_WORDS: Final = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class QuantityError(ValueError):
    """A text that is no quantity."""


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Fraction, str]:
    """Return the value and the notation: ``binary``, ``decimal`` or ``exponent``."""
    match = _SHAPE.fullmatch(text)
    if not match:
        raise QuantityError(_WORDS)
    sign, number, suffix, exponent = match.groups()
    value = Fraction(number if not number.startswith(".") else f"0{number}")
    if suffix in ("e", "E") and exponent:
        value, notation = value * Fraction(10) ** int(exponent), "exponent"
    elif exponent:
        raise QuantityError("unable to parse quantity's suffix")
    elif suffix in _EXPONENTS:
        value, notation = value * Fraction(10) ** _EXPONENTS[suffix], "decimal"
    elif suffix in _BINARY:
        value, notation = value * 1024 ** _BINARY.index(suffix), "binary"
    else:
        raise QuantityError("unable to parse quantity's suffix")
    value = min(Fraction(math.ceil(value * _NANO), _NANO), Fraction(_LARGEST))
    return -value if sign == "-" else value, notation


def value_of(text: str) -> Fraction:
    """Return the value of a quantity. Raises QuantityError."""
    return _parsed(text)[0]


@lru_cache(maxsize=4096)
def canonical(text: str, *, milli: bool = False) -> str:
    """Write a quantity as an API server serves it. Raises QuantityError.

    ``milli`` rounds up to thousandths, as in lists of resources.
    """
    value, notation = _parsed(text)
    if milli:
        value = Fraction(math.ceil(value * 1000), 1000)
    if not value:
        return "0"
    if notation == "binary" and abs(value) >= 1024:
        return _binary(math.ceil(value))
    return _decimal(value, exponent=notation == "exponent")


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < len(_BINARY) - 1:
        value, power = value // 1024, power + 1
    return f"{value}{_BINARY[power]}"


def _decimal(value: Fraction, *, exponent: bool) -> str:
    """Write the shortest whole number of thousands of something."""
    power = -9
    mantissa = int(value * _NANO)
    while mantissa % 1000 == 0 and power < 18:
        mantissa, power = mantissa // 1000, power + 3
    if exponent:
        return f"{mantissa}e{power}" if power else str(mantissa)
    return f"{mantissa}{_DECIMAL[power]}"
