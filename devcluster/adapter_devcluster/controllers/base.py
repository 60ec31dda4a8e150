"""A level-triggered controller: watches put keys into a queue, and each key is brought to where it should be.

Like client-go's work queue a key is worked on once however often it was added meanwhile, is done again if it
was added during the work, and after an error waits twice as long each time.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.objects import Key, controller_of, key, meta
from adapter_devcluster.statuses import StatusError

logger = logging.getLogger(__name__)
_FIRST_DELAY: Final = 0.01
_LONGEST_DELAY: Final = 5.0


class Controller(ABC):
    """Give ``sync`` in a subclass, and say in ``start`` what to watch. All runs on one event loop."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._queue: deque[Key] = deque()
        self._waiting: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._cancels: list[Callable[[], None]] = []
        self._scheduled = False
        self._stopped = False

    @abstractmethod
    def start(self) -> None:
        """Begin to watch. Called once, on the event loop."""

    @abstractmethod
    def sync(self, item: Key) -> None:
        """Bring one object, given by namespace and name, to where it should be. May raise StatusError."""

    def stop(self) -> None:
        """End watches and timers."""
        self._stopped = True
        for cancel in [*self._cancels, *(timer.cancel for timer in self._timers.values())]:
            cancel()
        self._cancels.clear()
        self._timers.clear()

    def watch(self, resource: str, on_change: Callable[[Change], None] | None = None) -> None:
        """Watch a resource; by default each change enqueues the object itself."""
        self._cancels.append(self.client.watch(resource, on_change or self._enqueue_object))

    def watch_owned(self, resource: str, owner_kind: str) -> None:
        """Watch a resource; each change enqueues the object's controller, if that is of ``owner_kind``.

        An object that changes hands enqueues both.
        """

        def enqueue_owner(change: Change) -> None:
            for obj in (change.object, change.old):
                owner = controller_of(obj) if obj else None
                if obj and owner and owner.get("kind") == owner_kind:
                    self.enqueue((str(meta(obj).get("namespace") or ""), str(owner["name"])))

        self.watch(resource, enqueue_owner)

    def enqueue(self, item: Key) -> None:
        """Work on an object soon."""
        if item in self._waiting or self._stopped:
            return
        self._waiting.add(item)
        self._queue.append(item)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def enqueue_after(self, item: Key, seconds: float) -> None:
        """Work on an object after a while. Of several such calls the earliest counts."""
        loop = asyncio.get_running_loop()
        at = loop.time() + max(seconds, 0.0)
        earlier = self._timers.get(item)
        if self._stopped or (earlier is not None and earlier.when() <= at):
            return
        if earlier is not None:
            earlier.cancel()
        self._timers[item] = loop.call_at(at, self._due, item)

    def _enqueue_object(self, change: Change) -> None:
        self.enqueue(key(change.object))

    def _due(self, item: Key) -> None:
        self._timers.pop(item, None)
        self.enqueue(item)

    def _work(self) -> None:
        """Work on one key and let others run: requests are served between two keys."""
        self._scheduled = False
        if self._stopped or not self._queue:
            return
        item = self._queue.popleft()
        self._waiting.discard(item)
        try:
            self.sync(item)
        except StatusError as error:
            # Conflicts and races are the ordinary case: what is read next time will tell.
            logger.debug("%s %s: %s", type(self).__name__, item, error)
            self._retry(item)
        except Exception:
            logger.exception("%s failed on %s", type(self).__name__, item)
            self._retry(item)
        else:
            self._failures.pop(item, None)
        if self._queue and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _retry(self, item: Key) -> None:
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        self.enqueue_after(item, min(_FIRST_DELAY * 2 ** min(failures, 16), _LONGEST_DELAY))
