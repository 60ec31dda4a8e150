"""Quantities of Kubernetes as bytes."""

import pytest

from adapter_operator.build.quantities import bytes_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("24Gi", 24 * 1024**3), ("1.5k", 1500), ("7", 7), ("500m", 0), ("2Ei", 2 * 1024**6), ("3G", 3_000_000_000)],
)
def test_what_a_quantity_means(quantity: str, number: int) -> None:
    assert bytes_of(quantity) == number


@pytest.mark.parametrize("text", ["", "x", "1Zi", "-1", "1 Gi"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        bytes_of(text)
