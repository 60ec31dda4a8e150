"""The end of a namespace: all that is in it is deleted, and once it is empty the namespace itself may go.

Source: ``pkg/controller/namespace/deletion``, v1.36. Pods go first and the rest only when no pod is left, so that
pods find what they need up to their end. While something is left this looks again after a short while: a
watch on everything would cost far more than these few lists, and only namespaces that are being deleted need them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.objects import Key, Object, copy, is_deleting, key, meta, section, timestamp, uid
from adapter_devcluster.statuses import StatusError

_FINALIZER: Final = "kubernetes"
_LOOK_AGAIN_SECONDS: Final = 0.1
# With these, the garbage collector would keep an object for its dependents, which go with the namespace anyway.
_COLLECTOR_FINALIZERS: Final = frozenset({"foregroundDeletion", "orphan"})
# Type, reason and message of each condition as it is when nothing is wrong, in the order in which they are shown.
_GOOD: Final = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
)


@dataclass(slots=True)
class Remains:
    """What a namespace still holds: objects by resource, objects by finalizer, and refusals to delete."""

    resources: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)

    def add(self, resource: str, objects: Iterable[Object]) -> None:
        """Count objects of a resource."""
        for one in objects:
            self.resources[resource if "." in resource else f"{resource}."] += 1
            self.finalizers.update(meta(one).get("finalizers") or ())

    def __bool__(self) -> bool:
        return bool(self.resources or self.refusals)

    def problems(self) -> dict[str, tuple[str, str]]:
        """Return reason and message of the conditions that are True."""
        found = {}
        if self.refusals:
            message = f"Failed to delete all resource types, {len(self.refusals)} remaining: "
            message += ", ".join(sorted(self.refusals))
            found["NamespaceDeletionContentFailure"] = ("ContentDeletionFailed", message)
        if self.resources:
            parts = sorted(f"{resource} has {count} resource instances" for resource, count in self.resources.items())
            message = f"Some resources are remaining: {', '.join(parts)}"
            found["NamespaceContentRemaining"] = ("SomeResourcesRemain", message)
        if self.finalizers:
            parts = sorted(f"{name} in {count} resource instances" for name, count in self.finalizers.items())
            message = f"Some content in the namespace has finalizers remaining: {', '.join(parts)}"
            found["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", message)
        return found


def updated_conditions(conditions: Iterable[Object], remains: Remains, now: str) -> list[Object]:
    """Return a namespace's conditions for what it still holds; a transition time moves with the status only."""
    new, problems = [copy(one) for one in conditions], remains.problems()
    for kind, good_reason, good_message in _GOOD:
        reason, message = problems.get(kind, (good_reason, good_message))
        status = "True" if kind in problems else "False"
        old = next((one for one in new if one.get("type") == kind), None)
        if old is None:
            old = {"type": kind, "lastTransitionTime": now}
            new.append(old)
        elif old.get("status") != status:
            old["lastTransitionTime"] = now
        old.update(status=status, reason=reason, message=message)
    return new


class NamespaceController(Controller):
    """Empties namespaces that are being deleted."""

    def start(self) -> None:
        """Begin to watch."""
        self.watch("namespaces")

    def sync(self, item: Key) -> None:
        """Bring the deletion of a namespace on. May raise StatusError."""
        namespace = self.client.get("namespaces", *item)
        if namespace is None or not is_deleting(namespace) or not section(namespace, "spec").get("finalizers"):
            return
        remains = self._empty(item[1])
        namespace = self._show(namespace, remains)
        if remains:
            self.enqueue_after(item, _LOOK_AGAIN_SECONDS)
            return
        others = [one for one in section(namespace, "spec").get("finalizers") or () if one != _FINALIZER]
        self.client.update("namespaces", {**copy(namespace), "spec": {"finalizers": others}}, "finalize")

    def _empty(self, namespace: str) -> Remains:
        """Delete what is there, and return what does not go at once."""
        remains = Remains()
        self._delete_all("pods", namespace, remains)
        if remains:
            return remains
        for resource in self.client.resources():
            if self.client.is_namespaced(resource):
                self._delete_all(resource, namespace, remains)
        return remains

    def _delete_all(self, resource: str, namespace: str, remains: Remains) -> None:
        for one in self.client.list(resource, namespace):
            if is_deleting(one) and _COLLECTOR_FINALIZERS.isdisjoint(meta(one).get("finalizers") or ()):
                continue
            try:
                self.client.delete(resource, namespace, key(one)[1], uid=uid(one), propagation="Background")
            except StatusError as error:
                remains.refusals.append(str(error))
        remains.add(resource, self.client.list(resource, namespace))

    def _show(self, namespace: Object, remains: Remains) -> Object:
        """Show in the status what is left, and return the namespace as it is then."""
        status = copy(section(namespace, "status"))
        status["phase"] = "Terminating"
        status["conditions"] = updated_conditions(status.get("conditions") or (), remains, timestamp())
        if status == section(namespace, "status"):
            return namespace
        return self.client.update("namespaces", {**copy(namespace), "status": status}, "status")
