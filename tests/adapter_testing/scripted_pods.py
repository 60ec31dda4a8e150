"""Pods that say what a test has them say, in place of HTTP to real ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

from adapter_operator.runtime.pod_streams import StreamError, StreamTarget


class ScriptedPods:
    """What pods say, as the test has it; a pod of which nothing was said does not answer."""

    def __init__(self) -> None:
        self._said: dict[str, bytes] = {}
        self._changed = threading.Condition()
        self.asked: list[StreamTarget] = []

    def say(self, uid: str, body: bytes) -> None:
        """Let a pod say something, now and to everybody who asks until it says something else."""
        with self._changed:
            self._said[uid] = body

    def fall_silent(self, uid: str) -> None:
        """Let a pod answer no longer."""
        with self._changed:
            self._said.pop(uid, None)

    async def documents(self, target: StreamTarget) -> AsyncGenerator[bytes, None]:
        """See `PodTransport`."""
        self.asked.append(target)
        last: bytes | None = None
        while True:
            body = self._said.get(target.uid)
            if body is None:
                raise StreamError(f"{target.url} does not answer")
            if body is not last:
                yield body
                last = body
            await asyncio.sleep(0.01)
