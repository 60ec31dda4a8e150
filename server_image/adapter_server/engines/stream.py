"""The pieces of one answer on their way from an engine's thread to the event loop that asked for them."""

import asyncio
from collections.abc import AsyncIterator

from adapter_server.engines.engine import EngineError, Piece, Usage


class AsyncStream:
    """A GenerationStream of the running event loop; `put` and `end` may be called from any thread.

    Args:
        prompt_tokens: of the request, for the usage.

    Attributes:
        cancelled: nobody wants the answer any more; the engine looks at each of its steps.
    """

    def __init__(self, prompt_tokens: int) -> None:
        self.cancelled = False
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Piece | EngineError | None] = asyncio.Queue()
        self._prompt_tokens = prompt_tokens
        self._completion_tokens = 0
        self._ended = False

    @property
    def usage(self) -> Usage:
        """Tokens as far as they were read."""
        return Usage(self._prompt_tokens, self._completion_tokens)

    def put(self, piece: Piece) -> None:
        """Hand over the next piece; the one with a finish reason ends the stream."""
        self._send(piece)

    def end(self, error: EngineError | None) -> None:
        """End the stream before its last piece: with an error, or because it was cancelled."""
        self._send(error)

    def _send(self, item: Piece | EngineError | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, item)
        except RuntimeError:  # the loop is closed, so nobody can read any more
            self.cancelled = True

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        if self._ended:
            raise StopAsyncIteration
        item = await self._arrived.get()
        if isinstance(item, Piece):
            self._completion_tokens += 1
            self._ended = item.finish_reason is not None
            return item
        self._ended = True
        if item is None:
            raise StopAsyncIteration
        raise item

    def cancel(self) -> None:
        """End the request at the engine's next step."""
        self.cancelled = True
