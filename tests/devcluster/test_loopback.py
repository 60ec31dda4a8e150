"""Ranges of loopback addresses that several clusters of a machine share."""

from __future__ import annotations

import pytest

from adapter_devcluster.loopback import LoopbackRange, RangeError

pytestmark = pytest.mark.integration

RANGES = ("127.201.0.0/24", "127.201.1.0/24")


def test_each_takes_the_first_that_is_free() -> None:
    first, second = LoopbackRange(RANGES), LoopbackRange(RANGES)
    try:
        assert (str(first.network), str(second.network)) == RANGES
        with pytest.raises(RangeError, match=r"127\.201\.1\.0/24 can't be used: Address already in use"):
            LoopbackRange(RANGES)
        first.close()
        first = LoopbackRange(RANGES)
        assert str(first.network) == RANGES[0]
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        ((), "none was given"),
        (("127.0.0.1/8",), "'127.0.0.1/8' is no range"),
        (("10.0.0.0/24",), "must lie in 127.0.0.0/8"),
        (("127.0.0.0/31",), "have 2 addresses"),
    ],
)
def test_what_is_no_range(ranges: tuple[str, ...], problem: str) -> None:
    with pytest.raises(RangeError, match=problem):
        LoopbackRange(ranges)
