"""Byte ranges of an object, and the parts of a multipart upload. Pure arithmetic."""

from collections.abc import Iterator
from dataclasses import dataclass

# Limits of S3 multipart uploads:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PARTS = 10_000
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`length` bytes from offset `start`; the length is never 0, since HTTP has no empty range."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.start + self.length

    @property
    def header(self) -> str:
        """The value of the HTTP header Range (RFC 9110, section 14.2)."""
        return f"bytes={self.start}-{self.end - 1}"

    def after(self, received: int) -> "ByteRange":
        """Return what is missing once `received` bytes have arrived."""
        return ByteRange(self.start + received, self.length - received)


def split_ranges(size: int, part_bytes: int) -> Iterator[ByteRange]:
    """Yield ranges of `part_bytes` (the last may be shorter) that cover `size` bytes once each, in order.

    Raises:
        ValueError: a negative size, or parts of no bytes.

    """
    if size < 0 or part_bytes < 1:
        raise ValueError(f"cannot split {size} bytes into parts of {part_bytes}")
    for start in range(0, size, part_bytes):
        yield ByteRange(start, min(part_bytes, size - start))


def part_bytes_for(size: int, wanted: int, max_parts: int = MAX_PARTS) -> int:
    """Return the part size nearest to `wanted`, in whole MiB above it, with which `size` fits into `max_parts`."""
    needed = -(-size // max_parts)
    if needed <= wanted:
        return wanted
    return -(-needed // _MIB) * _MIB
