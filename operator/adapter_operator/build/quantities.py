"""Kubernetes quantities as numbers (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""

import re
from decimal import Decimal
from typing import Final

_FACTORS: Final = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    **{letter: Decimal(10 ** (3 * power)) for power, letter in enumerate("MGTPE", start=2)},
    **{f"{letter}i": Decimal(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}


def amount_of(quantity: str) -> Decimal:
    """The number that a quantity means, such as 0.5 for 500m.

    Raises:
        ValueError: the text is no quantity.

    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]{0,2})", quantity)
    if match is None or match[2] not in _FACTORS:
        raise ValueError(f"{quantity!r} is no quantity such as 24Gi")
    return Decimal(match[1]) * _FACTORS[match[2]]


def bytes_of(quantity: str) -> int:
    """The number of bytes that a quantity means, such as 25769803776 for 24Gi; fractions are rounded down.

    Raises:
        ValueError: the text is no quantity.

    """
    return int(amount_of(quantity))
