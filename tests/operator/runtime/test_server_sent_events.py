"""Reading server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapter_operator.runtime.server_sent_events import MAX_BYTES, MalformedEventError, event_data

pytestmark = pytest.mark.unit


def read(*lines: bytes) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for line in lines:
            yield line

    async def scene() -> list[bytes]:
        return [data async for data in event_data(stream())]

    return asyncio.run(scene())


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((b"data: one\n", b"\n", b"data: two\n", b"\n"), [b"one", b"two"]),
        ((b"data:one\r\n", b"\r\n"), [b"one"]),
        ((b"data: a\n", b"data:  b\n", b"\n"), [b"a\n b"]),
        ((b": keep-alive\n", b"\n", b"event: x\n", b"id: 7\n", b"data: {}\n", b"\n"), [b"{}"]),
        ((b"data\n", b"\n"), [b""]),
        # What the end of the stream cuts off is no event.
        ((b"data: one\n", b"\n", b"data: tw"), [b"one"]),
        ((), []),
    ],
)
def test_events(lines: tuple[bytes, ...], expected: list[bytes]) -> None:
    assert read(*lines) == expected


def test_an_event_without_end() -> None:
    with pytest.raises(MalformedEventError, match="larger than 1048576 bytes"):
        read(*[b"data: " + b"x" * 1024 + b"\n"] * (MAX_BYTES // 1024 + 1))
