"""Events, as controllers and the node report what they did. Equal ones are counted, not repeated."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from typing import Final

from adapter_devcluster.client import Client
from adapter_devcluster.objects import Object, meta, timestamp
from adapter_devcluster.statuses import StatusError

logger = logging.getLogger(__name__)
_REMEMBERED: Final = 4096


class Recorder:
    """Writes events for one component (``source.component``)."""

    def __init__(self, client: Client, component: str, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._written: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()
        self._moment = 0

    def event(self, obj: Object, kind: str, reason: str, message: str, field_path: str = "") -> None:
        """Report on ``obj``, or on a part of it. ``kind`` is Normal or Warning."""
        about = meta(obj)
        found = (str(about.get("uid")), kind, reason, message, field_path)
        namespace = str(about.get("namespace") or "default")
        try:
            if not self._count(found):
                self._create(found, namespace, obj)
        except StatusError as error:
            # As in client-go: an event that can't be written (its namespace is going) is only logged.
            logger.debug("event %s of %s was not written: %s", reason, about.get("name"), error)

    def _count(self, found: tuple[str, ...]) -> bool:
        """Count an event that was written before; False where there is none."""
        earlier = self._written.get(found)
        written = self._client.get("events", *earlier) if earlier else None
        if earlier is None or written is None:
            return False
        patch = {"count": int(written.get("count") or 1) + 1, "lastTimestamp": timestamp()}
        self._client.patch("events", *earlier, patch)
        return True

    def _create(self, found: tuple[str, ...], namespace: str, obj: Object) -> None:
        about, now = meta(obj), timestamp()
        _, kind, reason, message, field_path = found
        # The time in the name, as in client-go, lets lists tell what came first within a second.
        self._moment = max(time.time_ns(), self._moment + 1)
        name = f"{str(about.get('name'))[:230]}.{self._moment:x}"
        involved = {
            "apiVersion": obj.get("apiVersion"),
            "kind": obj.get("kind"),
            "name": about.get("name"),
            "namespace": about.get("namespace"),
            "uid": about.get("uid"),
            "resourceVersion": about.get("resourceVersion"),
            "fieldPath": field_path,
        }
        self._client.create(
            "events",
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": namespace},
                "involvedObject": {field: value for field, value in involved.items() if value},
                "reason": reason,
                "message": message[:1024],
                "type": kind,
                "count": 1,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "source": {"component": self._component, **({"host": self._host} if self._host else {})},
                "reportingComponent": self._component,
                "reportingInstance": self._host,
            },
        )
        self._written[found] = (namespace, name)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
