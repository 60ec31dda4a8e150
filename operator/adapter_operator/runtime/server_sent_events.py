"""Server-sent events, as far as pods send them: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Final

MAX_BYTES: Final = 1 << 20


class MalformedEventError(ValueError):
    """The stream holds what no reader should take in."""


async def event_data(lines: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Give the data of each event; comments and other fields pass unread.

    Raises:
        MalformedEventError: an event is larger than a mebibyte.

    """
    collected: list[bytes] = []
    size = 0
    async for raw in lines:
        line = raw.rstrip(b"\r\n")
        if not line:
            if collected:
                yield b"\n".join(collected)
            collected, size = [], 0
            continue
        name, _, value = line.partition(b":")
        if name != b"data":
            continue
        collected.append(value.removeprefix(b" "))
        size += len(value)
        if size > MAX_BYTES:
            raise MalformedEventError(f"an event is larger than {MAX_BYTES} bytes")
