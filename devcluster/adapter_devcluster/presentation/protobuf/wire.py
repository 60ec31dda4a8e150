"""The wire format of protocol buffers: numbered fields, each with bytes or a whole number."""

from __future__ import annotations

from collections.abc import Iterator

_LONGEST_VARINT = 10


class ProtobufError(ValueError):
    """A message that can't be read."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field, in order. Raises ProtobufError."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                number, at = _varint(message, at)
                yield tag >> 3, number
            case 2:
                size, at = _varint(message, at)
                yield tag >> 3, _part(message, at, size)
                at += size
            case 1 | 5 as kind:
                # Fixed widths: no field that is known here has one.
                at += 8 if kind == 1 else 4
            case kind:
                message_text = f"illegal wireType {kind}"
                raise ProtobufError(message_text)


def _part(message: bytes, at: int, size: int) -> bytes:
    if at + size > len(message):
        raise ProtobufError("unexpected EOF")
    return message[at : at + size]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Read a number; also those of negative 64-bit integers are without sign here."""
    value = 0
    for position in range(_LONGEST_VARINT):
        if at >= len(message):
            raise ProtobufError("unexpected EOF")
        value |= (message[at] & 0x7F) << (7 * position)
        at += 1
        if message[at - 1] < 0x80:
            return value & (2**64 - 1), at
    raise ProtobufError("integer overflow")


def signed(value: int) -> int:
    """Return the signed integer that a varint stands for (int32, int64)."""
    return value - 2**64 if value >= 2**63 else value
