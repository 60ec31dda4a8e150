"""Sums of quantities that remember how they are written, as ``resource.Quantity`` does when it adds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction

from adapter_devcluster.builtin.quantities import canonical, value_of

# From the name of a resource to a quantity in its canonical form.
Quantities = dict[str, str]


def plus(first: Mapping[str, str], second: Mapping[str, str]) -> Quantities:
    """Add two sets of quantities, name by name."""
    return {name: _sum(first.get(name, "0"), second.get(name, "0")) for name in {**first, **second}}


def minus(first: Mapping[str, str], second: Mapping[str, str]) -> Quantities:
    """Subtract, name by name."""
    return plus(first, {name: f"-{amount}" if amount[:1] != "-" else amount[1:] for name, amount in second.items()})


def largest(sets: Iterable[Mapping[str, str]]) -> Quantities:
    """Return the largest quantity of each name."""
    found: Quantities = {}
    for one in sets:
        for name, amount in one.items():
            if name not in found or value_of(amount) > value_of(found[name]):
                found[name] = amount
    return found


def only(quantities: Mapping[str, str], names: Iterable[str]) -> Quantities:
    """Return the quantities of some names."""
    wanted = set(names)
    return {name: amount for name, amount in quantities.items() if name in wanted}


def written(quantities: Mapping[str, str]) -> str:
    """Write quantities for a message: by name, separated by commas."""
    return ",".join(f"{name}={quantities[name]}" for name in sorted(quantities))


def _sum(first: str, second: str) -> str:
    if first == "0" or second == "0":
        return canonical(second if first == "0" else first)
    total = value_of(first) + value_of(second)
    # The first of them says whether powers of two or of ten are shown.
    if first[-1] == "i" and not total % 1:
        return canonical(_in_binary(int(total)))
    return canonical(_in_decimal(total))


def _in_binary(total: int) -> str:
    return f"{total // 1024}Ki" if total % 1024 == 0 else str(total)


def _in_decimal(total: Fraction) -> str:
    return f"{math.ceil(total * 1000)}m"
