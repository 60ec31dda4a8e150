from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.builtin.quantities import QuantityError, canonical, value_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0", "0"),
        ("0Gi", "0"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("1.1Gi", "1181116007"),
        ("0.5Ki", "512"),
        ("1000Ki", "1000Ki"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("+5", "5"),
        ("1000m", "1"),
        ("1000", "1k"),
        ("100000", "100k"),
        ("-1.5", "-1500m"),
        ("-2048", "-2048"),
        ("1E", "1E"),
        ("1e3", "1e3"),
        ("12E6", "12e6"),
        ("5e0", "5"),
        ("0.0000000001", "1n"),
        ("500u", "500u"),
        ("9223372036854775808", "9223372036854775807"),
    ],
)
def test_the_canonical_form(text: str, written: str) -> None:
    assert canonical(text) == written


@pytest.mark.parametrize(("text", "written"), [("500u", "1m"), ("1n", "1m"), ("1.0001", "1001m"), ("2Gi", "2Gi")])
def test_lists_of_resources_round_up_to_thousandths(text: str, written: str) -> None:
    assert canonical(text, milli=True) == written


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gb", "1ki", "--1", "1e", "1ee3", "1Gi3", "0x10", "."])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(QuantityError):
        value_of(text)


_TEXTS = st.builds(
    lambda number, digits, suffix: f"{number}{'.' + digits if digits else ''}{suffix}",
    st.integers(-(10**6), 10**6),
    st.text("0123456789", max_size=3),
    st.sampled_from(["", "m", "k", "M", "Ki", "Mi", "Gi", "e2", "E-1"]),
)


@given(_TEXTS)
def test_the_canonical_form_is_its_own(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(_TEXTS)
def test_the_canonical_form_means_nearly_the_same(text: str) -> None:
    # Binary amounts are rounded up to whole numbers, others to billionths.
    assert 0 <= abs(value_of(canonical(text)) - value_of(text)) < Fraction(1)


@given(st.integers(1, 10**9))
def test_whole_binary_amounts_keep_their_value(number: int) -> None:
    assert value_of(canonical(f"{number}Ki")) == number * 1024
