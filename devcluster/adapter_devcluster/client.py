"""How controllers and the node speak to the API server that lives in their process.

The calls are synchronous and take no time on the network; they run the same admission, validation and
conflict checks as HTTP requests do. Watches call back on the event loop, after the write has been answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from adapter_devcluster.objects import Object
from adapter_devcluster.selectors import EVERYTHING, Selector

Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True, slots=True)
class Change:
    """An event of a watch. ``old`` is the object before, None for the first sight of it."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object
    old: Object | None = None


class Client(Protocol):
    """Access to all objects. ``resource`` is ``plural`` or ``plural.group``: ``pods``, ``jobs.batch``.

    What is returned is shared with everybody: copy it (`objects.copy`) before you change it. Every call may
    raise `statuses.StatusError`.
    """

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""

    def list(self, resource: str, namespace: str = "", selector: Selector = EVERYTHING) -> list[Object]:
        """Return the objects of a namespace ("" for all), in order of namespace and name."""

    def create(self, resource: str, obj: Object) -> Object:
        """Create an object and return it as stored. ``metadata.generateName`` works."""

    def update(self, resource: str, obj: Object, subresource: str = "") -> Object:
        """Replace an object, or its status. A resource version in it must be the present one."""

    def patch(self, resource: str, namespace: str, name: str, patch: Object, subresource: str = "") -> Object:
        """Apply a JSON merge patch."""

    def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        grace_seconds: int | None = None,
        propagation: Propagation | None = None,
    ) -> None:
        """Delete an object. ``uid`` is a precondition. An object that is not there raises StatusError (404)."""

    def watch(self, resource: str, on_change: Callable[[Change], None]) -> Callable[[], None]:
        """Call back for each object that is there (as ADDED), then for each change, in order.

        The first calls come from the event loop too, not before this returns. Returns what ends the watch.
        Resources that are not served yet (those of a CRD to come) may be watched.
        """

    def resources(self) -> Sequence[str]:
        """Return every resource that has objects or may have them, those of CRDs included."""

    def resource_for(self, api_version: str, kind: str) -> str | None:
        """Return the resource of a kind (``apps/v1``, ``Deployment``: ``deployments.apps``), if it is served."""

    def is_namespaced(self, resource: str) -> bool:
        """Whether objects of a resource live in namespaces."""
