"""Workers that take keys from the queue and reconcile them, and what becomes of their errors."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, Protocol, TypeVar

from adapter_operator.runtime.errors import ApiError, Conflict
from adapter_operator.runtime.queue import QueueClosed, WorkQueue

_LOG = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)

COUNT: Final = 8
# API calls end after 30 s, so whatever takes this long hangs.
STUCK_SECONDS: Final = 300.0


class ReconcileMeter(Protocol[K_contra]):
    """Watches reconciliations."""

    def reconciled(self, key: K_contra, result: str, seconds: float) -> None:
        """Count one, with a result of controller-runtime: success, requeue_after or error."""


class NoMeter:
    """Watches nothing."""

    def reconciled(self, key: object, result: str, seconds: float) -> None:
        """See `ReconcileMeter`."""


class Workers(Generic[K]):
    """A number of workers on one queue.

    `reconcile` returns the seconds after which it wants to be called again, or None. What it raises is logged, and the
    key is tried again with backoff; a conflict with newer data is no error, but a reason to look again.
    """

    def __init__(
        self,
        queue: WorkQueue[K],
        reconcile: Callable[[K], Awaitable[float | None]],
        *,
        count: int = COUNT,
        meter: ReconcileMeter[K] | None = None,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._count = count
        self._meter: ReconcileMeter[K] = meter or NoMeter()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def tasks(self) -> list["asyncio.Task[None]"]:
        """The workers; one that has ended before `stop` has failed."""
        return list(self._tasks)

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker {number}") for number in range(self._count)]

    async def stop(self, grace_seconds: float) -> bool:
        """Close the queue and end what is under way; what takes longer is cancelled. Returns whether all was done."""
        self._queue.close()
        if not self._tasks:
            return True
        _, late = await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return not late

    def problem(self) -> str | None:
        """What is wrong with the workers, for the liveness probe."""
        dead = sum(task.done() for task in self._tasks)
        if dead:
            return f"{dead} of {len(self._tasks)} workers have ended"
        longest = self._queue.longest_work()
        if longest is not None and longest[1] > STUCK_SECONDS:
            return f"the reconciliation of {longest[0]} takes {longest[1]:.0f} s by now"
        if self._queue.longest_wait() > STUCK_SECONDS:
            return f"a key waits {self._queue.longest_wait():.0f} s for a worker"
        return None

    async def _work(self) -> None:
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                return
            try:
                await self._run(key)
            finally:
                self._queue.done(key)

    async def _run(self, key: K) -> None:
        clock = asyncio.get_running_loop().time
        start = clock()
        try:
            after = await self._reconcile(key)
        except Conflict as conflict:
            result, seconds = "requeue", self._queue.add_rate_limited(key)
            _LOG.debug("%s: newer data, again in %.3f s: %s", key, seconds, conflict)
        except ApiError as error:
            result, seconds = "error", self._queue.add_rate_limited(key, at_least=error.retry_after or 0.0)
            _LOG.warning("%s: again in %.3f s: %s", key, seconds, error)
        except Exception:
            result, seconds = "error", self._queue.add_rate_limited(key)
            _LOG.exception("%s: failed, again in %.3f s", key, seconds)
        else:
            self._queue.forget(key)
            result = "success" if after is None else "requeue_after"
            if after is not None:
                self._queue.add_after(key, after)
        self._meter.reconciled(key, result, clock() - start)
