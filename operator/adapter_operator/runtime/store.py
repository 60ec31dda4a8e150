"""What the watches have shown so far, and what our own writes returned, whichever is newer.

Events come late, twice or out of order, and some never come. So an object only ever gets newer here, what was deleted
does not come back by an older event, and `replace` puts right by a list what events got wrong.

A watch with a label selector tells of a deletion where an object only lost its label. With the label it comes back
under the same UID, at a larger resource version.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from adapter_operator.runtime.objects import Key, Object, key_of, uid_of, version_of

_REMEMBERED_DELETIONS: Final = 20_000
_FOR_GOOD: Final = sys.maxsize
"""A resource version that none exceeds: the object is known to be gone."""

T = TypeVar("T")
IndexFunction = Callable[[Object], Iterable[str]]


@dataclass(frozen=True)
class Change:
    """An object before and after; None where it was not there, or is no more."""

    before: Object | None
    after: Object | None

    @property
    def object(self) -> Object:
        """The newest that is known of it."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a change is about an object")
        return found


class Store:
    """Objects by kind, namespace and name, and by words that an index function gives for each (such as owners' UIDs).

    Objects are shared with everybody who asks: they must not be changed. `on_change` is told of every change, whoever
    made it known.
    """

    def __init__(self, index: IndexFunction, on_change: Callable[[Change], None] = lambda _: None) -> None:
        self._index = index
        self._on_change = on_change
        self._objects: dict[Key, Object] = {}
        self._by_word: dict[tuple[str, str], dict[Key, None]] = {}
        self._by_kind: dict[str, dict[Key, None]] = {}
        self._deleted: OrderedDict[str, int] = OrderedDict()

    def put(self, obj: Object) -> Change | None:
        """Take an object in, if it is newer than what is known; returns what changed."""
        key, uid = key_of(obj), uid_of(obj)
        before = self._objects.get(key)
        if version_of(obj) <= self._deleted.get(uid, -1):
            return None
        if before is not None and version_of(before) >= version_of(obj):
            return None
        if before is not None and uid_of(before) != uid:
            self._remember_deletion(uid_of(before), _FOR_GOOD)
        return self._set(key, before, _without_managed_fields(obj))

    def remove(self, obj: Object) -> Change | None:
        """Take an object out, if it is the one that is known of its name; returns what changed.

        It stays out but for a resource version larger than this one; without a version it is gone for good.
        """
        return self._remove(obj, version_of(obj) or _FOR_GOOD)

    def replace(self, kind: str, namespace: str, items: Iterable[Object], version: int) -> list[Change]:
        """Make the store agree with a list of a kind, of one namespace or ("") of all.

        What is newer than the list, by its resource version, stays. Returns what changed.
        """
        listed = {key_of(item): item for item in items}
        changes = [self.put(item) for item in listed.values()]
        for key in [*self._by_kind.get(kind, ())]:
            known = self._objects[key]
            inside = not namespace or key.namespace == namespace
            if inside and key not in listed and version_of(known) <= version:
                changes.append(self._remove(known, version))
        return [change for change in changes if change is not None]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object by its name."""
        return self._objects.get(Key(kind, namespace, name))

    def of_kind(self, kind: str) -> Iterator[Object]:
        """All objects of a kind."""
        return (self._objects[key] for key in [*self._by_kind.get(kind, ())])

    def indexed(self, kind: str, word: str) -> list[Object]:
        """All objects of a kind for which the index function gives a word."""
        return [self._objects[key] for key in self._by_word.get((kind, word), ())]

    def count(self) -> Mapping[str, int]:
        """How many objects there are, by kind."""
        return {kind: len(keys) for kind, keys in self._by_kind.items()}

    def _remove(self, obj: Object, version: int) -> Change | None:
        key, uid = key_of(obj), uid_of(obj)
        before = self._objects.get(key)
        told_before = version <= self._deleted.get(uid, -1)
        self._remember_deletion(uid, version)
        # What is there although this deletion was told before has come back since.
        if before is None or uid_of(before) != uid or told_before:
            return None
        return self._set(key, before, None)

    def _set(self, key: Key, before: Object | None, after: Object | None) -> Change:
        if before is not None:
            for word in self._words(before):
                self._drop(self._by_word, (key.kind, word), key)
            self._drop(self._by_kind, key.kind, key)
            del self._objects[key]
        if after is not None:
            self._objects[key] = after
            self._by_kind.setdefault(key.kind, {})[key] = None
            for word in self._words(after):
                self._by_word.setdefault((key.kind, word), {})[key] = None
        change = Change(before, after)
        self._on_change(change)
        return change

    def _words(self, obj: Object) -> set[str]:
        return set(self._index(obj))

    @staticmethod
    def _drop(index: dict[T, dict[Key, None]], word: T, key: Key) -> None:
        keys = index[word]
        del keys[key]
        if not keys:
            del index[word]

    def _remember_deletion(self, uid: str, version: int) -> None:
        self._deleted[uid] = max(version, self._deleted.get(uid, version))
        while len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)


def _without_managed_fields(obj: Object) -> Object:
    """Who owns which field is half of an object, and nobody here asks."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}
