"""Telling waiting tasks that something changed, any number of times, without ever missing the last change."""

import asyncio


class ChangesEnded(Exception):
    """Nothing will change any more: the process ends."""


class Changes:
    """A counter to wait on. Used on the event loop only."""

    def __init__(self) -> None:
        self.count = 0
        self._ended = False
        self._next = asyncio.Event()

    def announce(self) -> None:
        """Wake everybody who waits."""
        self.count += 1
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    def close(self) -> None:
        """End every wait, those to come included."""
        self._ended = True
        self.announce()

    async def wait_beyond(self, count: int) -> int:
        """Wait until the counter is beyond what the caller saw last, and return it.

        Raises:
            ChangesEnded: `close` was called.
        """
        while self.count <= count and not self._ended:
            await self._next.wait()
        if self._ended:
            raise ChangesEnded
        return self.count
