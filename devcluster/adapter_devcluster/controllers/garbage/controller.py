"""The shell: watches every resource, and deletes or changes what the pure modules say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.garbage.graph import (
    FOREGROUND,
    ORPHAN,
    Graph,
    Node,
    is_orphaning,
    is_waiting,
)
from adapter_devcluster.controllers.garbage.owners import OwnerState, decide
from adapter_devcluster.objects import Key, Object, is_deleting, key, meta, owner_references, uid
from adapter_devcluster.recorder import Recorder

CRDS: Final = "customresourcedefinitions.apiextensions.k8s.io"
_IGNORED: Final = frozenset({"events", "events.events.k8s.io"})


class _UnservedOwnerError(Exception):
    """An owner is of a kind that isn't served, so nobody can say whether it lives."""


class _NamespacedOwnerError(Exception):
    """An object outside namespaces names an owner inside one, which is an error for ever."""


class GarbageCollector(Controller):
    """Its queue holds uids, in the place of names."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.graph = Graph()
        self._watched: set[str] = set()
        self._unserved: set[str] = set()
        self._recorder = Recorder(client, "garbage-collector-controller")

    def start(self) -> None:
        """Watch every resource that is served, and those that a new definition brings."""
        self._watch_all()
        self.watch(CRDS, self._definition_changed)

    def _definition_changed(self, _change: Change) -> None:
        self._watch_all()
        for found in self._unserved:
            self._look_at(found)
        self._unserved.clear()

    def _watch_all(self) -> None:
        for resource in self.client.resources():
            if resource not in self._watched and resource not in _IGNORED:
                self._watched.add(resource)
                self.watch(resource, self._observer(resource))

    def _observer(self, resource: str) -> Callable[[Change], None]:
        def observe(change: Change) -> None:
            for found in self.graph.observe(resource, change):
                self._look_at(found)

        return observe

    def _look_at(self, found: str) -> None:
        self.enqueue(("", found))

    def sync(self, item: Key) -> None:
        """Do what one object needs: it, or its dependents, may have to go or to change."""
        found = item[1]
        node = self.graph.nodes.get(found)
        obj = self.client.get(node.resource, node.namespace, node.name) if node else None
        if node is None or obj is None or uid(obj) != found:
            # What is gone, or about to be seen as gone, is done with.
            return
        if is_orphaning(obj):
            self._orphan_dependents(node, obj)
        elif is_waiting(obj):
            self._await_dependents(node, obj)
        elif not is_deleting(obj):
            self._collect(node, obj)

    def _orphan_dependents(self, node: Node, obj: Object) -> None:
        for dependent in self.graph.dependents_of(uid(obj)):
            self._forget(dependent, [uid(obj)])
        self._remove_finalizer(node, obj, ORPHAN)

    def _await_dependents(self, node: Node, obj: Object) -> None:
        blocking = self.graph.blocking(uid(obj))
        if not blocking:
            self._remove_finalizer(node, obj, FOREGROUND)
        for dependent in blocking:
            if not self.graph.is_waiting(dependent):
                self._look_at(dependent)

    def _collect(self, node: Node, obj: Object) -> None:
        """Delete an object that has no owner left, or have it forget those that it has no more."""
        dependents = self.graph.dependents_of(uid(obj))
        try:
            fate = decide(
                obj,
                owner_references(obj),
                lambda reference: self._owner_state(node, obj, reference),
                has_dependents=bool(dependents),
                dependents_wait=any(map(self.graph.is_waiting, dependents)),
            )
        except _UnservedOwnerError:
            self._unserved.add(uid(obj))
            return
        except _NamespacedOwnerError:
            return
        if fate.forget:
            self._forget(uid(obj), fate.forget)
        if fate.unblock:
            references = [{**one, "blockOwnerDeletion": False} for one in owner_references(obj)]
            self._patch(node, obj, {"ownerReferences": references})
        if fate.delete:
            place = (node.resource, node.namespace, node.name)
            self.client.delete(*place, uid=uid(obj), propagation=fate.delete)

    def _owner_state(self, node: Node, obj: Object, reference: Object) -> OwnerState:
        """Read an owner where a reference says it is; one of another uid is another object."""
        owner_uid = str(reference["uid"])
        if owner_uid in self.graph.gone:
            return "dangling"
        resource = self.client.resource_for(str(reference["apiVersion"]), str(reference["kind"]))
        if resource is None:
            raise _UnservedOwnerError
        namespaced = self.client.is_namespaced(resource)
        if namespaced and not node.namespace:
            self._report_namespace(node, obj, reference, resource)
            raise _NamespacedOwnerError
        owner = self.client.get(resource, node.namespace if namespaced else "", str(reference["name"]))
        if owner is None or uid(owner) != owner_uid:
            if namespaced:
                self._report_namespace(node, obj, reference, resource)
            return "dangling"
        return "waiting" if is_waiting(owner) else "solid"

    def _report_namespace(self, node: Node, obj: Object, reference: Object, resource: str) -> None:
        """Tell users that an owner lives in another namespace, where it can't be one."""
        if any(uid(one) == reference["uid"] and key(one)[0] != node.namespace for one in self.client.list(resource)):
            where = f"namespace: {node.namespace}, name: {reference['name']}, uid: {reference['uid']}"
            named = f"[{reference['apiVersion']}/{reference['kind']}, {where}]"
            message = f'ownerRef {named} does not exist in namespace "{node.namespace}"'
            self._recorder.event(obj, "Warning", "OwnerRefInvalidNamespace", message)

    def _forget(self, dependent: str, owners: list[str]) -> None:
        """Remove owners from an object's references. One that is gone meanwhile has nothing to forget."""
        node = self.graph.nodes[dependent]
        obj = self.client.get(node.resource, node.namespace, node.name)
        if obj is not None and uid(obj) == dependent:
            kept = [one for one in owner_references(obj) if one.get("uid") not in owners]
            self._patch(node, obj, {"ownerReferences": kept or None})

    def _remove_finalizer(self, node: Node, obj: Object, name: str) -> None:
        kept = [one for one in meta(obj)["finalizers"] if one != name]
        self._patch(node, obj, {"finalizers": kept or None})

    def _patch(self, node: Node, obj: Object, metadata: Object) -> None:
        place = (node.resource, node.namespace, node.name)
        self.client.patch(*place, {"metadata": {"uid": uid(obj), **metadata}})
