"""The `Client` of what lives in the server's process."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from adapter_devcluster.access.users import User
from adapter_devcluster.api.call import Call, DeleteOptions
from adapter_devcluster.api.patches import MERGE
from adapter_devcluster.client import Change, Propagation
from adapter_devcluster.objects import Object, key, labels_of
from adapter_devcluster.selectors import EVERYTHING, Selector
from adapter_devcluster.storage import Event

if TYPE_CHECKING:
    from adapter_devcluster.api.server import Api

logger = logging.getLogger(__name__)


class LocalClient:
    """Calls the `Api` directly, with all rights. Policies see ``user``."""

    def __init__(self, api: Api, manager: str, user: User) -> None:
        self._api = api
        self._manager = manager
        self._user = user

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """See `Client.get`."""
        item = self._api.store.table(resource).get((namespace, name))
        return None if item is None else item.object

    def list(self, resource: str, namespace: str = "", selector: Selector = EVERYTHING) -> list[Object]:
        """See `Client.list`."""
        items = self._api.store.table(resource).items(namespace)
        return [item.object for item in items if not selector or selector.matches(labels_of(item.object))]

    def create(self, resource: str, obj: Object) -> Object:
        """See `Client.create`."""
        return self._api.create(self._api.served(resource), key(obj)[0], obj, self._call()).object

    def update(self, resource: str, obj: Object, subresource: str = "") -> Object:
        """See `Client.update`."""
        return self._api.update(self._api.served(resource), *key(obj), obj, self._call(), subresource).object

    def patch(self, resource: str, namespace: str, name: str, patch: Object, subresource: str = "") -> Object:
        """See `Client.patch`."""
        served = self._api.served(resource)
        return self._api.patch(served, namespace, name, patch, MERGE, self._call(), subresource).object

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
        """See `Client.delete`."""
        options = DeleteOptions(grace_seconds=grace_seconds, propagation=propagation, uid=uid)
        self._api.delete(self._api.served(resource), namespace, name, options, self._call())

    def watch(self, resource: str, on_change: Callable[[Change], None]) -> Callable[[], None]:
        """See `Client.watch`."""
        table = self._api.store.table(resource)
        delivery = _Delivery(on_change)
        for item in table.items():
            delivery.add(Event("ADDED", item, None))
        cancel = table.watch(delivery.add)

        def end() -> None:
            cancel()
            delivery.end()

        return end

    def resources(self) -> Sequence[str]:
        """See `Client.resources`."""
        return tuple(self._api.registry.stored_resources())

    def resource_for(self, api_version: str, kind: str) -> str | None:
        """See `Client.resource_for`."""
        served = self._api.registry.by_kind(api_version, kind)
        return None if served is None or served.judge is None else served.type.resource

    def is_namespaced(self, resource: str) -> bool:
        """See `Client.is_namespaced`."""
        return self._api.served(resource).type.namespaced

    def _call(self) -> Call:
        return Call(manager=self._manager, user=self._user)


class _Delivery:
    """Hands events over on the event loop: a watcher never runs inside the write that it hears of."""

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self._pending: deque[Event] = deque()
        self._scheduled = False
        self._ended = False

    def add(self, event: Event) -> None:
        self._pending.append(event)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def end(self) -> None:
        self._ended = True
        self._pending.clear()

    def _deliver(self) -> None:
        self._scheduled = False
        while self._pending and not self._ended:
            event = self._pending.popleft()
            try:
                self._on_change(Change(event.type, event.item.object, event.old.object if event.old else None))
            except Exception:
                # The events after it are not to be kept from whoever fails on one.
                logger.exception("a watcher failed on an event")
