"""``IntOrString`` fields that hold a count or a share of a total, such as ``maxSurge``."""

from __future__ import annotations


def scaled_value(value: int | str, total: int, *, round_up: bool) -> int:
    """Return a count, given as one or as a percentage of ``total``.

    Raises ValueError for a text that is no percentage. As ``GetScaledValueFromIntOrPercent`` of
    k8s.io/apimachinery/pkg/util/intstr (v0.36).
    """
    if isinstance(value, int):
        return value
    number, percent, rest = value.partition("%")
    if not percent or rest or not number.isdecimal():
        message = f"invalid value for IntOrString: invalid type: string is not a percentage: {value!r}"
        raise ValueError(message)
    product = int(number) * total
    return -(-product // 100) if round_up else product // 100
