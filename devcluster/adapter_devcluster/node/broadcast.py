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

    def next(self) -> asyncio.Future[None]:
        """Return what is done at the next change; others wait for it too, so it must not be cancelled."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def wait(self) -> None:
        """Wait for the next change."""
        await asyncio.shield(self.next())
