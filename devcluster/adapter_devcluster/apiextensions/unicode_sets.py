"""Sets of characters as sorted ranges: what a regular expression's class is made of."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

# Inclusive code point ranges, sorted and apart from each other.
Ranges = tuple[tuple[int, int], ...]

_CATEGORY = re.compile("L[ulmto]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfso]?")


def is_category(name: str) -> bool:
    """Tell whether a name is a general category of Unicode, or a group of them."""
    return _CATEGORY.fullmatch(name) is not None


def merge(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort ranges and join those that touch."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Return every code point that is not in the ranges."""
    return tuple(_gaps(ranges))


def _gaps(ranges: Ranges) -> Iterator[tuple[int, int]]:
    start = 0
    for low, high in ranges:
        if start < low:
            yield start, low - 1
        start = high + 1
    if start <= sys.maxunicode:
        yield start, sys.maxunicode


@cache
def category(name: str) -> Ranges:
    """Return the characters of a general category of Unicode, or of a group of them (``L``, ``Lu``)."""
    return merge((code, code) for code in range(sys.maxunicode + 1) if _is(code, name))


def _is(code: int, name: str) -> bool:
    found = unicodedata.category(chr(code))
    # Go's table C leaves unassigned code points out.
    return found.startswith(name) and found != "Cn"
