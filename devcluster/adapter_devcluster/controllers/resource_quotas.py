"""ResourceQuotas: their status says what is allowed and what is in use.

Admission counts what is created; this controller counts anew when a quota changes or something goes
(``pkg/controller/resourcequota``, v1.36).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from adapter_devcluster.builtin.quantities import canonical
from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.objects import Key, Object, key, meta, section
from adapter_devcluster.quotas.amounts import Quantities, only, plus
from adapter_devcluster.quotas.usage import in_scope, is_running, resources_counted, usage_of

QUOTAS = "resourcequotas"


class ResourceQuotaController(Controller):
    """Writes ``status.hard`` and ``status.used`` of every quota."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._watched: set[str] = set()

    def start(self) -> None:
        """Watch the quotas; what they count is watched as they name it."""
        self.watch(QUOTAS)

    def sync(self, item: Key) -> None:
        """Count what a quota counts."""
        quota = self.client.get(QUOTAS, *item)
        if quota is None:
            return
        hard = section(quota, "spec", "hard")
        counted = resources_counted(hard) & {*self.client.resources()}
        for resource in counted - self._watched:
            self._watched.add(resource)
            self.watch(resource, self._replenishes(resource))
        status: Object = {"hard": {name: canonical(amount) for name, amount in hard.items()}}
        status["used"] = {**dict.fromkeys(hard, "0"), **only(self._used(quota, item[0], counted), hard)}
        if status != quota.get("status"):
            self.client.update(QUOTAS, {**quota, "status": status}, "status")

    def _used(self, quota: Object, namespace: str, resources: set[str]) -> Quantities:
        now, total = dt.datetime.now(dt.UTC), Quantities()
        for resource in resources:
            for obj in self.client.list(resource, namespace):
                if in_scope(quota, resource, obj):
                    total = plus(total, usage_of(resource, obj, now))
        return total

    def _replenishes(self, resource: str) -> Callable[[Change], None]:
        """Count anew in a namespace where something has gone, or has ended."""

        def on_change(change: Change) -> None:
            if change.type == "ADDED" or not _gives_back(resource, change):
                return
            for quota in self.client.list(QUOTAS, str(meta(change.object).get("namespace") or "")):
                self.enqueue(key(quota))

        return on_change


def _gives_back(resource: str, change: Change) -> bool:
    if change.type == "DELETED":
        return True
    now, old = dt.datetime.now(dt.UTC), change.old
    if resource == "pods":
        return old is not None and is_running(old, now) and not is_running(change.object, now)
    return old is not None and usage_of(resource, old, now) != usage_of(resource, change.object, now)
