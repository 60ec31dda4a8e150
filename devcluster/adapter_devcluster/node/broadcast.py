"""Waking everybody who waits for something to change."""

from __future__ import annotations

import asyncio


class Broadcast:
    """Unlike an ``asyncio.Event`` it has no state: who waits hears of the next change, and of that one only."""

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    def tell(self) -> None:
        """Wake all who wait now."""
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        self._next = None

    async def wait(self) -> None:
        """Wait for the next change."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)
