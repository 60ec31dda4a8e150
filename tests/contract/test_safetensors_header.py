"""The strict reader of safetensors headers."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_contract import InvalidSafetensorsError, read_header
from adapter_contract.safetensors_header import DTYPE_BITS, MAX_HEADER_BYTES, TensorEntry, parse_header

pytestmark = pytest.mark.unit

TWO = {
    "__metadata__": {"format": "pt"},
    "b": {"dtype": "F32", "shape": [2, 3], "data_offsets": [4, 28]},
    "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
}


def file_of(header, data=b"", *, padding=b""):
    raw = (header if isinstance(header, bytes) else json.dumps(header).encode()) + padding
    return len(raw).to_bytes(8, "little") + raw + data


def tensor(**changes):
    return {"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


def test_a_header_with_two_tensors():
    data = file_of(TWO, bytes(28), padding=b"   ")
    stream = io.BytesIO(data)
    header = read_header(stream)
    assert header.tensors == (TensorEntry("a", "BF16", (2,), 0, 4), TensorEntry("b", "F32", (2, 3), 4, 28))
    assert [entry.parameters for entry in header.tensors] == [2, 6]
    assert header.metadata == {"format": "pt"}
    assert header.raw == data[8:-28]
    assert header.data_bytes == 28
    assert header.file_bytes == len(data)
    assert stream.read() == bytes(28)
    header.check_file_size(len(data))


@pytest.mark.parametrize("difference", [-1, 1, -28])
def test_a_file_of_another_size_is_refused(difference):
    data = file_of(TWO, bytes(28))
    with pytest.raises(InvalidSafetensorsError, match="describes a file of"):
        read_header(io.BytesIO(data)).check_file_size(len(data) + difference)


def test_no_tensors_scalars_empty_tensors_and_unknown_members():
    assert read_header(io.BytesIO(file_of(b"{}"))).file_bytes == 10
    header = parse_header(
        json.dumps(
            {
                "__metadata__": None,
                "empty": {"dtype": "F64", "shape": [0, 7], "data_offsets": [0, 0]},
                "scalar": {"dtype": "I8", "shape": [], "data_offsets": [0, 1], "later": True},
            }
        ).encode()
    )
    assert [entry.name for entry in header.tensors] == ["empty", "scalar"]


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_every_type_has_its_size(dtype):
    size = DTYPE_BITS[dtype]
    parse_header(json.dumps(tensor(dtype=dtype, shape=[8], data_offsets=[0, size])).encode())
    with pytest.raises(InvalidSafetensorsError, match="bits by dtype and shape"):
        parse_header(json.dumps(tensor(dtype=dtype, shape=[8], data_offsets=[0, size + 1])).encode())


def test_types_of_less_than_a_byte_must_fill_whole_bytes():
    with pytest.raises(InvalidSafetensorsError, match="needs 12 bits"):
        parse_header(json.dumps(tensor(dtype="F4", shape=[3], data_offsets=[0, 2])).encode())


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b" {}", "does not begin with an opening brace"),
        (b"[]", "does not begin with an opening brace"),
        (b"{}\x00", "not JSON"),
        (b'{"a":\xff}', "not JSON"),
        (b'{"t": 1, "t": 2}', "stands twice"),
        ({"__metadata__": {"a": 1}}, "texts to texts"),
        ({"__metadata__": ["a"]}, "texts to texts"),
        ({"t": []}, "not described by an object"),
        (tensor(dtype="F128"), 'unknown dtype "F128"'),
        (tensor(dtype=None), "unknown dtype null"),
        (tensor(dtype=["F32"]), "unknown dtype"),
        (tensor(shape=None), "no shape"),
        (tensor(shape="2"), "no shape"),
        (tensor(shape=[-2]), "no shape"),
        (tensor(shape=[2.0]), "no shape"),
        (tensor(shape=[True, 2]), "no shape"),
        (tensor(shape=[2**63]), "no shape"),
        (tensor(shape=[2**40, 2**40]), "more elements than 64 bits"),
        (tensor(shape=[2**32] * 100_000), "more elements than 64 bits"),
        (tensor(data_offsets=None), "no data_offsets"),
        (tensor(data_offsets=[0]), "no data_offsets"),
        (tensor(data_offsets=[0, 4, 8]), "no data_offsets"),
        (tensor(data_offsets=[8, 0]), "no data_offsets"),
        (tensor(data_offsets=[-8, 0]), "no data_offsets"),
        (tensor(data_offsets=[0, 8.0]), "no data_offsets"),
        (tensor(data_offsets=[0, 7]), "needs 64 bits by dtype and shape, but has 7 bytes"),
        (tensor(data_offsets=[1, 9]), "begins at 1 and leaves a gap"),
        ({**TWO, "c": {"dtype": "U8", "shape": [4], "data_offsets": [26, 30]}}, "overlaps the tensor before it"),
        ({**TWO, "c": {"dtype": "U8", "shape": [4], "data_offsets": [29, 33]}}, "leaves a gap"),
        ({**TWO, "c": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, "overlaps the tensor before it"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_the_format_does_not_allow_is_refused(header, message):
    with pytest.raises(InvalidSafetensorsError, match=message):
        read_header(io.BytesIO(file_of(header)))


@pytest.mark.parametrize("length", [0, 1, MAX_HEADER_BYTES + 1, 2**64 - 1])
def test_the_length_of_the_header_is_bounded_before_it_is_read(length):
    with pytest.raises(InvalidSafetensorsError, match="is outside 2"):
        read_header(io.BytesIO(length.to_bytes(8, "little") + b"{}"))


def test_a_stream_that_ends_early_is_refused_at_every_length():
    data = file_of(TWO)
    for length in range(len(data)):
        with pytest.raises(InvalidSafetensorsError, match="the file ends within"):
            read_header(io.BytesIO(data[:length]))


def test_a_stream_may_give_short_reads():
    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    assert read_header(Trickle(file_of(TWO))).data_bytes == 28


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(DTYPE_BITS)), st.integers(0, 5), st.integers(0, 5)), max_size=6),
    st.randoms(use_true_random=False),
)
def test_any_gapless_layout_is_read_in_whatever_order_it_is_written(tensors, chance):
    header, position = {}, 0
    for index, (dtype, rows, columns) in enumerate(tensors):
        end = position + rows * columns * DTYPE_BITS[dtype]
        header[str(index)] = {"dtype": dtype, "shape": [8, rows, columns], "data_offsets": [position, end]}
        position = end
    names = list(header)
    chance.shuffle(names)
    parsed = parse_header(json.dumps({name: header[name] for name in names}).encode())
    assert parsed.data_bytes == position
    assert {entry.name for entry in parsed.tensors} == set(names)
    assert [entry.begin for entry in parsed.tensors] == sorted(entry.begin for entry in parsed.tensors)
