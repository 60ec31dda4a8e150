"""Who has which owners, by uid: the index that makes an event about an object without owners cost nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from adapter_devcluster.client import Change
from adapter_devcluster.objects import Object, is_deleting, key, meta, owner_references, uid

FOREGROUND: Final = "foregroundDeletion"
ORPHAN: Final = "orphan"


def has_finalizer(obj: Object, name: str) -> bool:
    """Whether an object has a finalizer."""
    return name in (meta(obj).get("finalizers") or ())


def is_waiting(obj: Object) -> bool:
    """Whether an object is being deleted once its dependents are."""
    return is_deleting(obj) and has_finalizer(obj, FOREGROUND)


def is_orphaning(obj: Object) -> bool:
    """Whether an object is being deleted once its dependents have forgotten it."""
    return is_deleting(obj) and has_finalizer(obj, ORPHAN)


@dataclass(slots=True)
class Node:
    """An object with owners, or one that waits. ``owners`` says of each owner's uid whether this blocks it."""

    resource: str
    namespace: str
    name: str
    owners: dict[str, bool]
    waiting: bool


def _node(resource: str, obj: Object) -> Node:
    owners: dict[str, bool] = {}
    for reference in owner_references(obj):
        owner = str(reference["uid"])
        owners[owner] = owners.get(owner, False) or reference.get("blockOwnerDeletion") is True
    return Node(resource, *key(obj), owners, is_waiting(obj))


@dataclass(slots=True)
class Graph:
    """``gone`` are owners that were seen to go and still have dependents."""

    nodes: dict[str, Node] = field(default_factory=dict)
    dependents: dict[str, set[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def observe(self, resource: str, change: Change) -> list[str]:
        """Take in a change, and return the uids of the objects that have to be looked at."""
        if change.type == "DELETED":
            return self._remove(uid(change.object))
        return self._put(resource, change.object)

    def _put(self, resource: str, obj: Object) -> list[str]:
        found = uid(obj)
        before = self.nodes.get(found)
        ends = is_waiting(obj) or is_orphaning(obj)
        if before is None and not ends and not owner_references(obj):
            return []
        node = _node(resource, obj)
        had = before.owners if before else {}
        self._link(found, node.owners.keys() - had.keys())
        self._unlink(found, had.keys() - node.owners.keys())
        if node.owners or ends:
            self.nodes[found] = node
        else:
            del self.nodes[found]
        work = [owner for owner, blocked in had.items() if blocked and not node.owners.get(owner)]
        if node.waiting and not (before and before.waiting):
            work += self.dependents_of(found)
        if ends or node.owners.keys() - had.keys():
            work.append(found)
        return work

    def _remove(self, found: str) -> list[str]:
        node = self.nodes.pop(found, None)
        work = self.dependents_of(found)
        if work:
            self.gone.add(found)
        if node is not None:
            self._unlink(found, node.owners.keys())
            work += filter(self.is_waiting, node.owners)
        return work

    def _link(self, found: str, owners: Iterable[str]) -> None:
        for owner in owners:
            self.dependents.setdefault(owner, set()).add(found)

    def _unlink(self, found: str, owners: Iterable[str]) -> None:
        for owner in owners:
            self.dependents[owner].discard(found)
            if not self.dependents[owner]:
                del self.dependents[owner]
                self.gone.discard(owner)

    def is_waiting(self, found: str) -> bool:
        """Whether an object waits for the deletion of its dependents."""
        node = self.nodes.get(found)
        return node is not None and node.waiting

    def dependents_of(self, owner: str) -> list[str]:
        """Return the uids of an owner's dependents."""
        return list(self.dependents.get(owner, ()))

    def blocking(self, owner: str) -> list[str]:
        """Return the dependents that an owner has to wait for."""
        return [one for one in self.dependents_of(owner) if self.nodes[one].owners[owner]]
