"""One stream of documents per running pod: what the pod says of itself, and since when it says nothing.

A stream that ends or fails is opened again, at once first and then with growing pauses. Where a pod lives and what is
asked of it is in its target; another target for the same pod (its container restarted) opens the stream anew.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from adapter_operator.runtime.server_sent_events import MAX_BYTES, MalformedEventError, event_data

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
# Pods send a comment every 15 s, so a silent stream is dead.
_SILENCE_SECONDS: Final = 45.0


class StreamError(Exception):
    """A pod does not answer, or answers what it should not."""


@dataclass(frozen=True)
class StreamTarget:
    """Where to ask a pod, and for what.

    Attributes:
        uid, namespace, name: of the pod.
        address: IP address of the pod.
        port, path: what is asked.
        incarnation: anything that changes when the program in the pod starts anew.

    """

    uid: str
    namespace: str
    name: str
    address: str
    port: int
    path: str
    incarnation: str = ""

    @property
    def url(self) -> str:
        """The URL of the stream."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class Heard:
    """What is known from a pod.

    Attributes:
        body: the newest document, as bytes; None before the first.
        received: when it came; before the first, when the pod was first asked.
        unreachable_since: since when there is no stream; None while there is.

    """

    body: bytes | None
    received: datetime
    unreachable_since: datetime | None


class PodTransport(Protocol):
    """How a pod is asked."""

    def documents(self, target: StreamTarget) -> AsyncGenerator[bytes, None]:
        """Give the pod's documents as they come, the present one first. Raises StreamError; ends with the stream."""


class HttpTransport:
    """Server-sent events over HTTP; use it as an asynchronous context."""

    def __init__(self, *, connect_seconds: float = _CONNECT_SECONDS, silence_seconds: float = _SILENCE_SECONDS) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds, sock_read=silence_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "HttpTransport":
        return self

    async def __aexit__(self, *_: object) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def documents(self, target: StreamTarget) -> AsyncGenerator[bytes, None]:
        """See `PodTransport`."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False, connector=connector)
        headers = {"Accept": "text/event-stream"}
        try:
            async with self._session.get(target.url, headers=headers, read_bufsize=MAX_BYTES) as response:
                if response.status != 200 or response.content_type != "text/event-stream":
                    raise StreamError(f"{target.url} answers {response.status} {response.content_type}")
                async with aclosing(event_data(response.content)) as events:
                    async for data in events:
                        yield data
        except (aiohttp.ClientError, OSError, HttpProcessingError, MalformedEventError) as error:
            # HttpProcessingError is what aiohttp says of a line that is longer than its buffer.
            raise StreamError(f"{target.url}: {str(error) or type(error).__name__}") from error


class PodStreams:
    """The streams of all pods. `on_change` is called after each document, and when a pod falls silent."""

    def __init__(
        self,
        transport: PodTransport,
        on_change: Callable[[StreamTarget], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        first_pause: float = _FIRST_PAUSE,
        longest_pause: float = _LONGEST_PAUSE,
    ) -> None:
        self._transport = transport
        self._on_change = on_change
        self._now = now
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._targets: dict[str, StreamTarget] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heard: dict[str, Heard] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def follow(self, target: StreamTarget) -> None:
        """Keep a stream to a pod."""
        if self._targets.get(target.uid) == target:
            return
        self._end_task(target.uid)
        self._targets[target.uid] = target
        if target.uid not in self._heard:
            now = self._now()
            self._heard[target.uid] = Heard(body=None, received=now, unreachable_since=now)
        self._tasks[target.uid] = asyncio.create_task(self._keep(target), name=f"stream of {target.name}")

    def drop(self, uid: str) -> None:
        """End the stream of a pod, and forget what it said."""
        self._end_task(uid)
        self._targets.pop(uid, None)
        self._heard.pop(uid, None)

    def heard(self, uid: str) -> Heard | None:
        """What is known from a pod; None for one that is not followed."""
        return self._heard.get(uid)

    @property
    def followed(self) -> frozenset[str]:
        """UIDs of the pods."""
        return frozenset(self._targets)

    async def close(self) -> None:
        """End all streams."""
        for uid in [*self._targets]:
            self.drop(uid)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end_task(self, uid: str) -> None:
        task = self._tasks.pop(uid, None)
        if task is not None:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _keep(self, target: StreamTarget) -> None:
        pause = 0.0
        while True:
            answered = await self._read(target)
            self._lost(target)
            pause = 0.0 if answered else min(self._longest_pause, max(self._first_pause, 2 * pause))
            await asyncio.sleep(pause)

    async def _read(self, target: StreamTarget) -> bool:
        """Read one stream to its end; returns whether the pod said anything."""
        answered = False
        try:
            async with aclosing(self._transport.documents(target)) as documents:
                async for body in documents:
                    answered = True
                    self._heard[target.uid] = Heard(body=body, received=self._now(), unreachable_since=None)
                    self._on_change(target)
        except StreamError as error:
            _LOG.debug("pod %s/%s: %s", target.namespace, target.name, error)
        except Exception:
            _LOG.exception("pod %s/%s: its stream failed", target.namespace, target.name)
        return answered

    def _lost(self, target: StreamTarget) -> None:
        known = self._heard[target.uid]
        if known.unreachable_since is None:
            self._heard[target.uid] = replace(known, unreachable_since=self._now())
            self._on_change(target)
