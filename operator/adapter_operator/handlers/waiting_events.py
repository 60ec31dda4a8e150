"""Events about what waits: only they tell that a quota admits no pod, or that a volume can't be mounted.

Events can't be watched for our objects alone, so they are listed: about what has waited for some seconds, no more.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.errors import ApiError
from adapter_operator.runtime.objects import Object, is_being_deleted, key_of, uid_of
from adapter_operator.runtime.resources import EVENTS, JOBS, PODS, REPLICA_SETS

_LOG = logging.getLogger(__name__)

PATIENCE: Final = timedelta(seconds=5)
"""What waits no longer than this simply starts."""

_KEPT: Final = timedelta(seconds=10)


@dataclass(frozen=True)
class Explained:
    """Events, and whether something waits, so that they are to be read again."""

    events: tuple[Object, ...]
    waiting: bool


class WaitingEvents:
    """Lists events, and keeps each answer for ten seconds."""

    def __init__(self, client: ApiClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._known: dict[str, tuple[datetime, tuple[Object, ...]]] = {}

    async def about(self, objects: Iterable[Object]) -> Explained:
        """The events about those of the objects (Jobs, ReplicaSets, pods) that wait."""
        now = self._now()
        waiting = [one for one in objects if _waits(one)]
        self._forget(now)
        found: list[Object] = []
        for one in waiting:
            if now - _created(one) >= PATIENCE:
                found += await self._events(one, now)
        return Explained(tuple(found), bool(waiting))

    async def _events(self, about: Object, now: datetime) -> tuple[Object, ...]:
        uid = uid_of(about)
        if uid not in self._known:
            namespace = about["metadata"]["namespace"]
            try:
                listed = await self._client.list(EVENTS, namespace, field_selector=f"involvedObject.uid={uid}")
            except ApiError as error:
                # They explain; what they explain is true without them.
                _LOG.warning("events about %s can't be listed: %s", key_of(about), error)
                return ()
            self._known[uid] = (now, listed.items)
        return self._known[uid][1]

    def _forget(self, now: datetime) -> None:
        for uid in [uid for uid, (time, _) in self._known.items() if now - time >= _KEPT]:
            del self._known[uid]


def _waits(obj: Object) -> bool:
    if is_being_deleted(obj):
        return False
    status: dict[str, Any] = obj.get("status") or {}
    spec: dict[str, Any] = obj.get("spec") or {}
    match obj["kind"]:
        case PODS.kind:
            return bool(status.get("phase", "Pending") == "Pending")
        case JOBS.kind:
            done = any(one["type"] in {"Complete", "Failed"} for one in status.get("conditions") or ())
            return not done and not spec.get("suspend") and not status.get("active")
        case REPLICA_SETS.kind:
            return bool((status.get("replicas") or 0) < (spec.get("replicas") or 0))
    return False


def _created(obj: Object) -> datetime:
    return datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
