"""Kubernetes events about our objects. They are news for people: losing one is no error, and none holds up work.

An event's name follows from what it says of whom, so that saying it again counts up instead of adding another.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from adapter_operator.runtime.client import FIELD_MANAGER, ApiClient
from adapter_operator.runtime.connection import CredentialsError
from adapter_operator.runtime.errors import AlreadyExists, ApiError, NamespaceTerminating
from adapter_operator.runtime.objects import Object, key_of, uid_of
from adapter_operator.runtime.plan_shape import EventLike
from adapter_operator.runtime.resources import EVENTS

_LOG = logging.getLogger(__name__)

_SECONDS: Final = 5.0
_LONGEST_MESSAGE: Final = 1024
_HASH_CHARACTERS: Final = 16


class EventRecorder:
    """Posts events. `instance` tells which process spoke."""

    def __init__(
        self,
        client: ApiClient,
        *,
        instance: str = FIELD_MANAGER,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._instance = instance
        self._now = now

    async def post(self, about: Object, record: EventLike) -> bool:
        """Post an event about an object; returns whether the server took it."""
        event = self._event(about, record)
        try:
            async with asyncio.timeout(_SECONDS):
                await self._post(event)
        except NamespaceTerminating:
            return False
        except (ApiError, CredentialsError, TimeoutError) as error:
            what = f"event {record.reason} about {key_of(about)}"
            _LOG.warning("%s: %s", what, str(error) or "too slow")
            return False
        return True

    async def _post(self, event: Object) -> None:
        try:
            await self._client.create(event)
        except AlreadyExists:
            namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
            known = await self._client.get(EVENTS, namespace, name)
            again = {"count": (known.get("count") or 1) + 1, "lastTimestamp": event["lastTimestamp"]}
            await self._client.merge_patch(EVENTS, namespace, name, again)

    def _event(self, about: Object, record: EventLike) -> Object:
        metadata = about["metadata"]
        text = "\0".join((uid_of(about), record.type, record.reason, record.message))
        digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]
        now = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        message = record.message
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": uid_of(about),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": record.type,
            "reason": record.reason,
            "message": message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 3]}...",
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._instance,
        }
