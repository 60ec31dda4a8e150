"""All adapters of this pod: takes each new set, keeps a worker per adapter, and tells what came of it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from adapter_contract import AdapterSet, AdapterStatus
from adapter_server.changes import Changes
from adapter_server.engines.engine import Engine
from adapter_server.sync.aliases import Aliases
from adapter_server.sync.cache import AdapterCache
from adapter_server.sync.report import required_are_settled, since_kept, status_of
from adapter_server.sync.worker import AdapterWorker, Tools


class Synchronizer:
    """Makes the served adapters what the set says.

    Attributes:
        changes: where every change of a status is announced.
        generation: of the set that is applied; None before the first.
    """

    def __init__(self, engine: Engine, aliases: Aliases, cache_directory: Path, changes: Changes) -> None:
        self.changes = changes
        self.generation: int | None = None
        self._cache = AdapterCache(cache_directory)
        self._tools = Tools(engine, self._cache, aliases)
        self._set: AdapterSet | None = None
        self._workers: dict[str, AdapterWorker] = {}
        self._statuses: dict[str, AdapterStatus] = {}
        self._ready = False

    async def start(self) -> None:
        """Find what an earlier process of this pod left on disk. Nothing of it is used before a set names it.

        Raises:
            OSError: the directory can't be made or read.
        """
        for stored in await self._tools.on_thread(lambda: list(self._cache.scan())):
            self._worker(stored.name).found_on_disk(stored.digest, stored.used)

    def apply(self, adapter_set: AdapterSet) -> None:
        """Take a new set: what is no longer wanted stops answering now, the rest is worked on from now on."""
        self._set = adapter_set
        self.generation = adapter_set.generation
        entries = {entry.name: entry for entry in adapter_set.adapters}
        for name in sorted(entries.keys() | self._workers.keys()):
            self._worker(name).want(entries.get(name), adapter_set.storage)
        self._settle()

    @property
    def ready(self) -> bool:
        """Whether every Required adapter was loaded once, or is refused. Once it is so, it stays so."""
        return self._ready

    @property
    def request_timeout_seconds(self) -> int | None:
        """How long a request may take, where the set says so."""
        return None if self._set is None else self._set.limits.request_timeout_seconds

    @property
    def statuses(self) -> dict[str, AdapterStatus]:
        """The status of each adapter by name, those that are being unloaded included."""
        return dict(self._statuses)

    async def close(self) -> None:
        """End what is under way. The engine's adapters stay as they are."""
        self._cache.close()
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))
        self._tools.threads.shutdown(wait=False, cancel_futures=True)

    def _worker(self, name: str) -> AdapterWorker:
        if name not in self._workers:
            self._workers[name] = AdapterWorker(name, self._tools, self._on_change)
        return self._workers[name]

    def _on_change(self, name: str) -> None:
        worker = self._workers[name]
        if worker.is_gone:
            del self._workers[name]
            self._statuses.pop(name, None)
        else:
            status = status_of(name, worker.entry, worker.holding, datetime.now(UTC))
            self._statuses[name] = since_kept(status, self._statuses.get(name))
        self._settle()

    def _settle(self) -> None:
        if self._set is not None and not self._ready:
            holdings = {name: worker.holding for name, worker in self._workers.items()}
            self._ready = required_are_settled(self._set.adapters, holdings)
        self.changes.announce()
