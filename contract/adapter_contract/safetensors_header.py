"""A small strict reader of the safetensors header, with no tensor library.

A file is: 8 bytes, little-endian, with the header's length; the header, one JSON object that may be padded
with spaces; the data. Each tensor names its type, its shape and the half-open range of its bytes in the data;
the ranges must cover the data with no gap and no overlap. https://huggingface.co/docs/safetensors
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, TypeGuard

from adapter_contract.documents import parse_object
from adapter_contract.errors import ContractError

MAX_HEADER_BYTES = 100_000_000
"""The limit of the format's own reader."""

LENGTH_BYTES = 8
_OVERFLOW = 2**63

DTYPE_BITS: Mapping[str, int] = MappingProxyType(
    {
        "F4": 4,
        "F6_E2M3": 6,
        "F6_E3M2": 6,
        "BOOL": 8,
        "U8": 8,
        "I8": 8,
        "F8_E5M2": 8,
        "F8_E4M3": 8,
        "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8,
        "F8_E5M2FNUZ": 8,
        "I16": 16,
        "U16": 16,
        "F16": 16,
        "BF16": 16,
        "I32": 32,
        "U32": 32,
        "F32": 32,
        "C64": 64,
        "F64": 64,
        "I64": 64,
        "U64": 64,
    }
)


class InvalidSafetensorsError(ContractError):
    """The header is cut, is not the format's JSON, or does not describe the data."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor: name, type, shape, and the half-open range of its bytes within the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def parameters(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A header that was checked.

    Attributes:
        raw: the JSON bytes as they stand in the file, padding included, without the length before them.
        metadata: the free text of `__metadata__`.
        tensors: in the order of their data.
        data_bytes: the length of the data.
    """

    raw: bytes
    metadata: Mapping[str, str]
    tensors: tuple[TensorEntry, ...]
    data_bytes: int

    @property
    def file_bytes(self) -> int:
        """The size that the whole file must have."""
        return LENGTH_BYTES + len(self.raw) + self.data_bytes

    def check_file_size(self, size_bytes: int) -> None:
        """Check the size of the whole file against the header.

        Raises:
            InvalidSafetensorsError: the file is cut, or has bytes that belong to no tensor.
        """
        if size_bytes != self.file_bytes:
            raise InvalidSafetensorsError(
                f"the header describes a file of {self.file_bytes} bytes, but it has {size_bytes}"
            )


def read_header(stream: BinaryIO) -> SafetensorsHeader:
    """Read and check the header at the beginning of a stream; nothing of the data is read.

    Raises:
        InvalidSafetensorsError: with the reason.
        OSError: the stream can't be read.
    """
    prefix = _read_exactly(stream, LENGTH_BYTES, "its length")
    length = int.from_bytes(prefix, "little")
    if not 2 <= length <= MAX_HEADER_BYTES:
        raise InvalidSafetensorsError(f"a header of {length} bytes is outside 2 .. {MAX_HEADER_BYTES}")
    return parse_header(_read_exactly(stream, length, "the header"))


def parse_header(raw: bytes) -> SafetensorsHeader:
    """Check the JSON bytes of a header; errors as in `read_header`."""
    if not raw.startswith(b"{"):
        raise InvalidSafetensorsError("the header does not begin with an opening brace")
    try:
        document = parse_object(raw, limit=MAX_HEADER_BYTES)
    except ContractError as error:
        raise InvalidSafetensorsError(f"the header: {error}") from error
    metadata = document.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise InvalidSafetensorsError("__metadata__ must map texts to texts")
    tensors = sorted((_tensor(name, info) for name, info in document.items()), key=_data_order)
    return SafetensorsHeader(raw, MappingProxyType(metadata), tuple(tensors), _covered(tensors))


def _read_exactly(stream: BinaryIO, count: int, what: str) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = stream.read(count - len(data))
        if not chunk:
            raise InvalidSafetensorsError(f"the file ends within {what}: {len(data)} of {count} bytes")
        data += chunk
    return bytes(data)


def _tensor(name: str, info: object) -> TensorEntry:
    if not isinstance(info, dict):
        raise InvalidSafetensorsError(f"tensor {name!r} is not described by an object")
    dtype, shape, offsets = info.get("dtype"), info.get("shape"), info.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise InvalidSafetensorsError(f"tensor {name!r} has the unknown dtype {json.dumps(dtype)[:64]}")
    if not _are_sizes(shape):
        raise InvalidSafetensorsError(f"tensor {name!r} has no shape of non-negative integers")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise InvalidSafetensorsError(f"tensor {name!r} has no data_offsets [begin, end]")
    begin, end = offsets
    bits = _bounded_product(name, shape) * DTYPE_BITS[dtype]
    if bits != (end - begin) * 8:
        raise InvalidSafetensorsError(
            f"tensor {name!r} needs {bits} bits by dtype and shape, but has {end - begin} bytes"
        )
    return TensorEntry(name, dtype, tuple(shape), begin, end)


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < _OVERFLOW for size in value)


def _bounded_product(name: str, shape: list[int]) -> int:
    """Multiply, but stop at an overflow as the format's own reader does: endless digits would cost hours."""
    product = 1
    for size in shape:
        product *= size
        if product >= _OVERFLOW:
            raise InvalidSafetensorsError(f"tensor {name!r} has more elements than 64 bits can count")
    return product


def _data_order(tensor: TensorEntry) -> tuple[int, int]:
    return tensor.begin, tensor.end


def _covered(tensors: list[TensorEntry]) -> int:
    """Check that the ranges follow each other from 0 on, and return where they end."""
    position = 0
    for tensor in tensors:
        if tensor.begin != position:
            what = "overlaps the tensor before it" if tensor.begin < position else "leaves a gap before it"
            raise InvalidSafetensorsError(f"tensor {tensor.name!r} begins at {tensor.begin} and {what}")
        position = tensor.end
    return position
