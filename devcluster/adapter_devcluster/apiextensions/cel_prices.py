"""What single operators and functions cost, by the sizes of their operands.

Sources: ``cel-go`` v0.26 ``checker/cost.go`` (functionCost) and ``k8s.io/apiserver/pkg/cel/library/cost.go``
v0.36. All arithmetic stops at the largest uint64, as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from adapter_devcluster.apiextensions.cel_functions import Overload
from adapter_devcluster.apiextensions.cel_lexer import Uint

_UINT64_MAX: Final = 2**64 - 1
_TRAVERSAL: Final = 0.1
_REGEX: Final = 0.25


def saturated(value: int) -> int:
    """Stop at the largest uint64."""
    return min(value, _UINT64_MAX)


def add(a: int, b: int) -> int:
    """Add without overflow."""
    return saturated(a + b)


def times(a: int, b: int) -> int:
    """Multiply without overflow."""
    return saturated(a * b)


def _scaled(size: int, factor: float) -> int:
    return saturated(math.ceil(float(size) * factor))


@dataclass(frozen=True, slots=True)
class Size:
    """How many elements a value has, at least and at most."""

    low: int
    high: int

    def __or__(self, other: Size) -> Size:
        return Size(min(self.low, other.low), max(self.high, other.high))

    def __add__(self, other: Size) -> Size:
        return Size(add(self.low, other.low), add(self.high, other.high))

    def __mul__(self, other: Size) -> Size:
        return Size(times(self.low, other.low), times(self.high, other.high))


UNKNOWN: Final = Size(0, _UINT64_MAX)
ONE: Final = Size(1, 1)


@dataclass(frozen=True, slots=True)
class Operand:
    """What pricing needs to know of an operand: its type and size, and for a list those of its items."""

    kind: str
    size: Size
    item_kind: str
    items: Size


# The highest cost, without that of the operands, and the size of the result where it is known.
Price: TypeAlias = tuple[int, Size | None]
_Pricing: TypeAlias = Callable[[Overload, Sequence[Operand]], Price]


def literal_size(value: object) -> Size:
    """Return a constant's size."""
    size = len(value) if isinstance(value, str | bytes) else 1
    return Size(size, size)


def price(function: str, overload: Overload, operands: Sequence[Operand], limit: object) -> Price:
    """Price one meaning of a call. ``limit`` is the last argument's value, if it is a constant.

    Operators that decide which operands are evaluated (``&&``, ``||``, ``?:``) are not priced here.
    """
    if function == "split":
        return _split(overload, operands, limit)
    pricing = _PRICES.get(function)
    return (1, None) if pricing is None else pricing(overload, operands)


def _traversed(operand: Operand, factor: float = _TRAVERSAL) -> int:
    return _scaled(operand.size.high, factor)


def _list_walk(_: Overload, operands: Sequence[Operand]) -> Price:
    """``isSorted``, ``sum``, ``indexOf`` and their like: one comparison an item, or one pass over a string."""
    receiver = operands[0]
    if not receiver.item_kind:
        return _traversed(receiver), None
    textual = receiver.item_kind in {"string", "bytes"}
    each = add(1, _scaled(receiver.items.high, _TRAVERSAL)) if textual else 1
    return times(receiver.size.high, each), None


def _same_size(_: Overload, operands: Sequence[Operand]) -> Price:
    return _traversed(operands[0]), operands[0].size


def _replace(_: Overload, operands: Sequence[Operand]) -> Price:
    text, old, new = (operand.size for operand in operands[:3])
    if old.low == 0:
        # An empty string stands between all characters.
        most = add(times(add(text.high, 1), new.high), text.high)
    elif new.high <= old.low:
        most = text.high
    else:
        most = times(math.ceil(text.high / old.low), new.high)
    if old.high == 0:
        least = add(times(add(text.low, 1), new.low), text.low)
    elif old.high <= new.low:
        least = text.low
    else:
        least = times(math.ceil(text.low / old.high), new.low)
    return _traversed(operands[0], 2 * _TRAVERSAL), Size(least, most)


def _split(overload: Overload, operands: Sequence[Operand], limit: object) -> Price:
    most = operands[0].size.high
    if len(overload.args) == 3 and isinstance(limit, int) and not isinstance(limit, bool | Uint):
        most = limit % (_UINT64_MAX + 1)
    return _traversed(operands[0], 2 * _TRAVERSAL), Size(0, most)


def _join(_: Overload, operands: Sequence[Operand]) -> Price:
    items = operands[0]
    size = items.size * items.items
    if len(operands) > 1:
        size += operands[1].size * Size(max(items.size.low - 1, 0), max(items.size.high - 1, 0))
    return _scaled(size.high, _TRAVERSAL), size


def _pattern(text: Size, pattern: Size) -> int:
    return times(_scaled(add(text.high, 1), _TRAVERSAL), _scaled(pattern.high, _REGEX))


def _find(_: Overload, operands: Sequence[Operand]) -> Price:
    text, pattern = operands[0].size, operands[1].size
    return _pattern(text, pattern), Size(0, text.high)


def _matches(overload: Overload, operands: Sequence[Operand]) -> Price:
    # The global form escapes the pricing, in the server too.
    return (_pattern(operands[0].size, operands[1].size), None) if overload.member else (1, None)


def _affix(_: Overload, operands: Sequence[Operand]) -> Price:
    return _traversed(operands[1]), None


def _contains(_: Overload, operands: Sequence[Operand]) -> Price:
    return times(_traversed(operands[0]), _traversed(operands[1])), None


def _in(overload: Overload, operands: Sequence[Operand]) -> Price:
    return (operands[1].size.high if overload.args[1].kind == "list" else 1), None


def _sum(overload: Overload, operands: Sequence[Operand]) -> Price:
    kind = overload.args[0].kind
    size = operands[0].size + operands[1].size
    if kind == "list":
        return 1, size
    return (_scaled(size.high, _TRAVERSAL), size) if kind in {"string", "bytes"} else (1, None)


def _comparison(overload: Overload, operands: Sequence[Operand]) -> Price:
    if overload.args[0].kind not in {"string", "bytes", "param"}:
        return 1, None
    return _scaled(min(operands[0].size.high, operands[1].size.high), _TRAVERSAL), None


def _encoded(overload: Overload, operands: Sequence[Operand]) -> Price:
    """``bytes(string)`` and ``string(bytes)``: a character takes up to four bytes."""
    size = operands[0].size
    match overload.args[0].kind, overload.result.kind:
        case "string", "bytes":
            return _traversed(operands[0]), Size(size.low, times(size.high, 4))
        case "bytes", "string":
            return _traversed(operands[0]), Size(size.low // 4, size.high)
    return 1, None


_PRICES: Final[Mapping[str, _Pricing]] = {
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), _list_walk),
    **dict.fromkeys(("lowerAscii", "upperAscii", "substring", "trim"), _same_size),
    **dict.fromkeys(("find", "findAll"), _find),
    **dict.fromkeys(("startsWith", "endsWith"), _affix),
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"), _comparison),
    **dict.fromkeys(("bytes", "string"), _encoded),
    "replace": _replace,
    "join": _join,
    "matches": _matches,
    "contains": _contains,
    "@in": _in,
    "_+_": _sum,
}
