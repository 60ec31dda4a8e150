"""A queue of keys for level-triggered work, by the rules of client-go's work queue.

- A key waits at most once, and is worked on by one worker at a time.
- A key that is added while it is worked on runs exactly once more, however often it is added.
- Delayed adds: the earliest wins.
- Retries wait longer each time, per key, until the key is forgotten; a bucket over all keys slows mass failures down.
- After `close` nothing is added any more, and what waits already is still handed out.

See https://pkg.go.dev/k8s.io/client-go/util/workqueue.
"""

import asyncio
from collections.abc import Hashable
from typing import Final, Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)

BASE_SECONDS: Final = 0.005
CAP_SECONDS: Final = 300.0
_MAX_DOUBLINGS: Final = 32


class QueueClosed(Exception):
    """The queue was closed and nothing waits in it."""


class QueueMeter(Protocol):
    """Watches a queue."""

    def added(self, depth: int) -> None:
        """A key was put into the queue."""

    def started(self, depth: int, waited: float) -> None:
        """A key was handed out after so many seconds."""

    def finished(self, worked: float) -> None:
        """Work on a key ended after so many seconds."""

    def retried(self) -> None:
        """A key will be tried again."""


class NoMeter:
    """Watches nothing."""

    def added(self, depth: int) -> None:
        """See `QueueMeter`."""

    def started(self, depth: int, waited: float) -> None:
        """See `QueueMeter`."""

    def finished(self, worked: float) -> None:
        """See `QueueMeter`."""

    def retried(self) -> None:
        """See `QueueMeter`."""


class Backoff(Generic[K]):
    """Seconds to wait per key: a base that doubles with each failure up to a cap."""

    def __init__(self, base: float = BASE_SECONDS, cap: float = CAP_SECONDS) -> None:
        self._base = base
        self._cap = cap
        self._failures: dict[K, int] = {}

    def next(self, key: K) -> float:
        """Count a failure and return how long to wait."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return float(min(self._cap, self._base * 2 ** min(failures, _MAX_DOUBLINGS)))

    def forget(self, key: K) -> None:
        """Begin anew for a key."""
        self._failures.pop(key, None)


class TokenBucket:
    """So many tokens per second over all, with a stock; who finds none gets a later time reserved."""

    def __init__(self, rate: float = 20.0, burst: int = 100) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._as_of = 0.0

    def reserve(self, now: float) -> float:
        """Take a token and return the seconds until it is there."""
        self._tokens = min(float(self._burst), self._tokens + max(0.0, now - self._as_of) * self._rate)
        self._as_of = max(now, self._as_of)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)


class WorkQueue(Generic[K]):
    """The queue. It belongs to the event loop that it is used on; times are those of the loop's clock, in seconds."""

    def __init__(
        self, *, backoff: Backoff[K] | None = None, bucket: TokenBucket | None = None, meter: QueueMeter | None = None
    ) -> None:
        self._backoff = backoff or Backoff()
        self._bucket = bucket or TokenBucket()
        self._meter = meter or NoMeter()
        self._waiting: dict[K, float] = {}  # in order, with the time of the add
        self._working: dict[K, float] = {}  # with the time of the start
        self._again: dict[K, float] = {}  # added while worked on, with the time of the first add
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._wakers: set[asyncio.Future[None]] = set()
        self._closed = False

    def add(self, key: K) -> None:
        """Let a key be worked on as soon as possible."""
        if self._closed:
            return
        now = _now()
        if key in self._working:
            self._again.setdefault(key, now)
        elif key not in self._waiting:
            self._enqueue(key, now)

    def add_after(self, key: K, seconds: float) -> None:
        """Let a key be worked on when so many seconds have passed, or earlier if it is to come earlier anyway."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        due, timer = _now() + seconds, self._later.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._later[key] = asyncio.get_running_loop().call_at(due, self._fall_due, key)

    def add_rate_limited(self, key: K, *, at_least: float = 0.0) -> float:
        """Let a key be tried again after its backoff, which grows; returns the seconds until then."""
        seconds = max(at_least, self._backoff.next(key), self._bucket.reserve(_now()))
        self._meter.retried()
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Let the backoff of a key begin anew: it succeeded."""
        self._backoff.forget(key)

    async def get(self) -> K:
        """Wait for a key and take it; `done` must follow.

        Raises:
            QueueClosed: there is none, and none will come.

        """
        while not self._waiting:
            if self._closed and not self._again:
                raise QueueClosed
            await self._change()
        key, added = next(iter(self._waiting.items()))
        del self._waiting[key]
        now = _now()
        self._working[key] = now
        self._meter.started(len(self._waiting), now - added)
        return key

    def done(self, key: K) -> None:
        """End the work on a key that `get` gave."""
        self._meter.finished(_now() - self._working.pop(key))
        added = self._again.pop(key, None)
        if added is not None:
            self._enqueue(key, added)
        self._wake()

    def close(self) -> None:
        """Take nothing more; what is delayed is dropped."""
        self._closed = True
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()
        self._wake()

    async def join(self) -> None:
        """Wait until nothing waits and nothing is worked on."""
        while self._waiting or self._working:
            await self._change()

    @property
    def depth(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    @property
    def working(self) -> int:
        """How many keys are worked on."""
        return len(self._working)

    @property
    def delayed(self) -> int:
        """How many keys wait for their time."""
        return len(self._later)

    def longest_wait(self) -> float:
        """Seconds that the oldest key waits."""
        return _now() - min(self._waiting.values()) if self._waiting else 0.0

    def longest_work(self) -> tuple[K, float] | None:
        """The key that is worked on for the longest time, and these seconds."""
        if not self._working:
            return None
        key, start = min(self._working.items(), key=lambda item: item[1])
        return key, _now() - start

    def _enqueue(self, key: K, added: float) -> None:
        self._waiting[key] = added
        self._meter.added(len(self._waiting))
        self._wake()

    def _fall_due(self, key: K) -> None:
        self._later.pop(key, None)
        self.add(key)

    async def _change(self) -> None:
        waker = asyncio.get_running_loop().create_future()
        self._wakers.add(waker)
        try:
            await waker
        finally:
            self._wakers.discard(waker)

    def _wake(self) -> None:
        # All of them: there are few, and one that is being cancelled must not swallow the only call.
        for waker in self._wakers:
            if not waker.done():
                waker.set_result(None)


def _now() -> float:
    return asyncio.get_running_loop().time()
