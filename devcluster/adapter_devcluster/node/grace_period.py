"""The time that a pod's processes have to end, which a later deletion may shorten."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from adapter_devcluster.node.broadcast import Broadcast

# A container whose preStop hook used up the time still gets this long after SIGTERM, in seconds.
MINIMUM: Final = 2.0


class GracePeriod:
    """Begins when it is made. With ``exact`` there is no minimum, as in an eviction for want of resources."""

    def __init__(self, seconds: float, *, exact: bool = False) -> None:
        self._exact = exact
        self._end = time.monotonic() + seconds
        self._shortened = Broadcast()

    def shorten(self, seconds: float) -> None:
        """Let it end in so many seconds from now, if that is earlier."""
        self._end = min(self._end, time.monotonic() + seconds)
        self._shortened.tell()

    async def over(self, *, minimum: bool = False) -> None:
        """Wait for its end; with ``minimum`` at least `MINIMUM` from now, unless it is exact."""
        least = time.monotonic() + MINIMUM if minimum and not self._exact else 0.0
        while (left := max(self._end, least) - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._shortened.wait()
            except TimeoutError:
                continue
