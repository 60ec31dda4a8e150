import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract.s3.ranges import MAX_PARTS, ByteRange, part_bytes_for, split_ranges

pytestmark = pytest.mark.unit


@given(size=st.integers(0, 5000), part_bytes=st.integers(1, 700))
def test_ranges_cover_every_byte_exactly_once_and_in_order(size: int, part_bytes: int):
    ranges = list(split_ranges(size, part_bytes))

    assert [byte for part in ranges for byte in range(part.start, part.end)] == list(range(size))
    assert all(1 <= part.length <= part_bytes for part in ranges)
    assert all(part.length == part_bytes for part in ranges[:-1])


@given(size=st.integers(0, 1 << 44), part_bytes=st.integers(1 << 30, 1 << 40))
def test_large_ranges_join_without_gap_or_overlap(size: int, part_bytes: int):
    end = 0
    for part in split_ranges(size, part_bytes):
        assert part.start == end
        end = part.end
    assert end == size


@given(size=st.integers(0, 5 << 40), wanted=st.integers(5 << 20, 1 << 30))
def test_any_object_fits_into_the_parts_that_s3_allows(size: int, wanted: int):
    part_bytes = part_bytes_for(size, wanted)

    assert part_bytes >= wanted
    assert -(-size // part_bytes) <= MAX_PARTS
    assert part_bytes == wanted or -(-size // (part_bytes - (1 << 20))) > MAX_PARTS, "no larger than it has to be"


@pytest.mark.parametrize(("size", "part_bytes"), [(-1, 1), (1, 0), (1, -5)])
def test_what_cannot_be_split_is_refused(size: int, part_bytes: int):
    with pytest.raises(ValueError, match="cannot split"):
        list(split_ranges(size, part_bytes))


@given(start=st.integers(0, 100), length=st.integers(1, 100), received=st.integers(0, 100))
def test_what_is_missing_ends_where_the_range_ended(start: int, length: int, received: int):
    whole = ByteRange(start, length)
    rest = whole.after(min(received, length))

    assert rest.end == whole.end
    assert rest.length == length - min(received, length)


def test_the_http_header_counts_the_last_byte():
    assert ByteRange(10, 5).header == "bytes=10-14"
