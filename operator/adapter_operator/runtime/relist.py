"""Lists what is watched anew now and then, since a watch can lose events and never knows.

Kopf begins a watch anew with a list when the server has forgotten the old one, but does not tell what is gone since.
So a list is made soon after such a beginning, which shows as events without a type, and every ten minutes anyway.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Final

from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.connection import CredentialsError
from adapter_operator.runtime.errors import ApiError
from adapter_operator.runtime.resources import ResourceType
from adapter_operator.runtime.store import Store

_LOG = logging.getLogger(__name__)

EVERY_SECONDS: Final = 600.0
_SOON_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 10.0
_JITTER: Final = 0.2


class Relisting:
    """Keeps the store true to the server.

    Args:
        client, store: what to list with, and into.
        watched: kinds, each with the label selector of its watch.
        namespaces: what is watched; ("",) means all.
        every_seconds: how often, spread by a fifth so that operators don't list in step.

    """

    def __init__(
        self,
        client: ApiClient,
        store: Store,
        *,
        watched: Sequence[tuple[ResourceType, str]],
        namespaces: Sequence[str],
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._client = client
        self._store = store
        self._selectors = dict(watched)
        self._namespaces = namespaces
        self._every = every_seconds
        self._due: dict[ResourceType, float] = {}
        self._sooner = asyncio.Event()

    def request(self, kind: ResourceType) -> None:
        """List a kind soon; many requests in a row make one list."""
        due = _now() + _SOON_SECONDS
        if self._due.get(kind, due + 1) > due:
            self._due[kind] = due
            self._sooner.set()

    async def run(self) -> None:
        """List for ever."""
        for kind in self._selectors:
            self._due.setdefault(kind, _now() + self._pause())
        while True:
            kind, due = min(self._due.items(), key=lambda item: item[1])
            self._sooner.clear()
            try:
                async with asyncio.timeout_at(due):
                    await self._sooner.wait()
            except TimeoutError:
                self._due[kind] = _now() + (self._pause() if await self._list(kind) else _RETRY_SECONDS)

    async def _list(self, kind: ResourceType) -> bool:
        try:
            for namespace in self._namespaces:
                found = await self._client.list(kind, namespace, label_selector=self._selectors[kind])
                changes = self._store.replace(kind.kind, namespace, found.items, found.version)
                if changes:
                    _LOG.info("a list of %s shows %d changes that no event told of", kind.plural, len(changes))
        except (ApiError, CredentialsError) as error:
            _LOG.warning("%s can't be listed, again in %.0f s: %s", kind.plural, _RETRY_SECONDS, error)
            return False
        return True

    def _pause(self) -> float:
        return self._every * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret hangs on it


def _now() -> float:
    return asyncio.get_running_loop().time()
