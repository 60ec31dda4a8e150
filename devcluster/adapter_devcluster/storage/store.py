"""The store: one table a resource, one counter of revisions for all, a window of history a table.

Stored objects are never changed in place, so an old state stays readable as long as its event is in the
window, and an object's JSON is written once however many read it. All on one event loop, without locks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from adapter_devcluster.objects import Key, Object
from adapter_devcluster.objects import key as key_of

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
# A watch from before this many events of a resource is answered with 410, as a real server's cache does. Large
# objects leave earlier: what is kept of a resource is never more than this many bytes of JSON, and its last event.
HISTORY: Final = 5_000
HISTORY_BYTES: Final = 64 * 1024 * 1024


class TooOldError(Exception):
    """The history that was asked for is gone. ``oldest`` is the oldest revision that can be asked for."""

    def __init__(self, revision: int, oldest: int) -> None:
        self.revision = revision
        self.oldest = oldest
        super().__init__(f"too old resource version: {revision} ({oldest})")


class Item:
    """A stored state of an object, with its JSON once somebody asked for it."""

    __slots__ = ("_json", "object", "revision")

    def __init__(self, obj: Object, revision: int) -> None:
        self.object = obj
        self.revision = revision
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The object as compact JSON."""
        if self._json is None:
            self._json = orjson.dumps(self.object)
        return self._json


@dataclass(frozen=True, slots=True)
class Event:
    """A change. ``item`` is the new state, or the last one of what was deleted; ``old`` the state before."""

    type: EventType
    item: Item
    old: Item | None

    @property
    def revision(self) -> int:
        """The revision that this change made."""
        return self.item.revision


Watcher = Callable[[Event], None]


class Table:
    """All objects of one resource. ``count`` is how many there are; ``version`` counts changes."""

    def __init__(self, history: int = HISTORY, history_bytes: int = HISTORY_BYTES) -> None:
        self._items: dict[str, dict[str, Item]] = {}
        self._most = history
        self._most_bytes = history_bytes
        self._history: deque[Event] = deque()
        self._bytes = 0
        self._forgotten = 0
        self._watchers: list[Watcher] = []
        self.count = 0
        self.version = 0

    def get(self, key: Key) -> Item | None:
        """Return an object's present state."""
        return self._items.get(key[0], {}).get(key[1])

    def items(self, namespace: str = "") -> list[Item]:
        """Return the items of a namespace ("" for all), in order of namespace and name."""
        found = [namespace] if namespace else sorted(self._items)
        return [item for name in found for _, item in sorted(self._items.get(name, {}).items())]

    def items_at(self, revision: int, namespace: str = "") -> list[Item]:
        """Return the items as they were at a revision. Raises TooOldError."""
        if revision < self._forgotten:
            raise TooOldError(revision, self._forgotten)
        found = {(name, one): item for name, items in self._items.items() for one, item in items.items()}
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            key = key_of(event.item.object)
            if event.old is None:
                found.pop(key, None)
            else:
                found[key] = event.old
        return [item for key, item in sorted(found.items()) if not namespace or key[0] == namespace]

    def since(self, revision: int) -> Iterator[Event]:
        """Return the events after a revision. Raises TooOldError."""
        if revision < self._forgotten:
            raise TooOldError(revision, self._forgotten)
        events = list(self._history)
        return iter(events[bisect_right(events, revision, key=lambda event: event.revision) :])

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with each change, at once. Returns what ends it."""
        self._watchers.append(watcher)

        def cancel() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return cancel

    def forget(self, revision: int = 0) -> None:
        """Drop the history: whoever watches from before its last event, or ``revision``, gets TooOldError."""
        last = self._history[-1].revision if self._history else 0
        self._forgotten = max(self._forgotten, last, revision)
        self._history.clear()
        self._bytes = 0

    def replace_silently(self, key: Key, obj: Object) -> None:
        """Put an object in another form without an event: what is read changes, not what was written."""
        item = self._items[key[0]][key[1]]
        self._items[key[0]][key[1]] = Item(obj, item.revision)

    def apply(self, event: Event) -> None:
        """Take in a change and tell the watchers. For `Store`."""
        namespace, name = key_of(event.item.object)
        # What can't be written as JSON is refused here, before it is stored.
        size = len(event.item.json)
        if event.type == "DELETED":
            del self._items[namespace][name]
            if not self._items[namespace]:
                del self._items[namespace]
        else:
            self._items.setdefault(namespace, {})[name] = event.item
        self.version += 1
        self.count += (event.type == "ADDED") - (event.type == "DELETED")
        self._history.append(event)
        self._bytes += size
        while len(self._history) > self._most or (self._bytes > self._most_bytes and len(self._history) > 1):
            oldest = self._history.popleft()
            self._bytes -= len(oldest.item.json)
            self._forgotten = oldest.revision
        for watcher in tuple(self._watchers):
            watcher(event)


class Store:
    """Every table. A revision is a number that only grows; an object's is that of its last change."""

    def __init__(self, history: int = HISTORY, history_bytes: int = HISTORY_BYTES) -> None:
        self.revision = 1
        self._history = history
        self._history_bytes = history_bytes
        self._tables: dict[str, Table] = {}

    def table(self, resource: str) -> Table:
        """Return the table of a resource; it begins empty."""
        if resource not in self._tables:
            self._tables[resource] = Table(self._history, self._history_bytes)
        return self._tables[resource]

    def forget_history(self) -> None:
        """Drop the history of all tables, as compaction does."""
        for table in self._tables.values():
            table.forget()

    def create(self, resource: str, obj: Object) -> Item:
        """Store a new object. The caller has checked that there is none of its name."""
        return self._commit(resource, "ADDED", obj, None)

    def update(self, resource: str, obj: Object) -> Item:
        """Store a new state of an object that is there."""
        return self._commit(resource, "MODIFIED", obj, self.table(resource).get(key_of(obj)))

    def delete(self, resource: str, obj: Object) -> Item:
        """Remove an object. ``obj`` is its last state, which watchers see, with the revision of its end."""
        return self._commit(resource, "DELETED", obj, self.table(resource).get(key_of(obj)))

    def _commit(self, resource: str, kind: EventType, obj: Object, old: Item | None) -> Item:
        self.revision += 1
        stamped = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
        item = Item(stamped, self.revision)
        self.table(resource).apply(Event(kind, item, old))
        return item
