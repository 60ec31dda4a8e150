"""One adapter in this pod: carries out what `decide` says, and keeps what came of it.

Everything here runs on the event loop; what blocks runs on threads, and one adapter waits for another only where
there are fewer threads than work. Workers share engine, cache and aliases through `Tools`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from adapter_contract import AdapterEntry, AdapterVersion, Digest, S3Access, StoredManifest, engine_name
from adapter_server.engines.engine import Engine
from adapter_server.sync.aliases import Aliases
from adapter_server.sync.cache import AdapterCache
from adapter_server.sync.decide import Action, Load, Prepare, Retire, Serve, Withdraw, decide
from adapter_server.sync.failures import MergeNotSupported, finding_of
from adapter_server.sync.versions import Holding, Phase, VersionState

DOWNLOADS_AT_ONCE = 4

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Tools:
    """What all workers share. Loads go one after the other: the engine does them one by one anyway."""

    engine: Engine
    cache: AdapterCache
    aliases: Aliases
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DOWNLOADS_AT_ONCE))
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(2 * DOWNLOADS_AT_ONCE, thread_name_prefix="adapters")
    )

    async def on_thread(self, call: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401 - the call's own
        """Run a blocking call on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call, *arguments)


class AdapterWorker:
    """Makes it so for one adapter.

    Attributes:
        name: of the adapter.
        entry: what the set wants; None once it no longer names the adapter.
    """

    def __init__(self, name: str, tools: Tools, changed: Callable[[str], None]) -> None:
        self.name = name
        self.entry: AdapterEntry | None = None
        self._tools = tools
        self._changed = changed
        self._access = S3Access()
        self._serving: Digest | None = None
        self._versions: dict[Digest, VersionState] = {}
        self._manifests: dict[Digest, StoredManifest] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def holding(self) -> Holding:
        """What there is of the adapter now."""
        return Holding(self._serving, self._versions)

    @property
    def is_gone(self) -> bool:
        """Whether nothing is wanted of the adapter and nothing is left."""
        return self.entry is None and self._serving is None and not self._versions

    def found_on_disk(self, digest: Digest, used: float) -> None:
        """Take up a version that an earlier process of this pod left in the cache."""
        self._versions[digest] = VersionState(Phase.STORED, last_served=used)

    def want(self, entry: AdapterEntry | None, access: S3Access) -> None:
        """Work towards another entry, with another access to the store."""
        self.entry = entry
        if access != self._access:
            self._access = access
            self._retry_all_at_once()
        self.step()

    def step(self) -> None:
        """Begin whatever is to be done now."""
        now = asyncio.get_running_loop().time()
        decision = decide(self.entry, self.holding, now)
        for action in decision.actions:
            self._begin(action)
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if decision.wake_at is not None:
            self._alarm = asyncio.get_running_loop().call_at(decision.wake_at, self.step)
        self._changed(self.name)

    async def close(self) -> None:
        """Begin nothing more, and end what waits; a call on a thread runs to its end unheard."""
        if self._alarm is not None:
            self._alarm.cancel()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _retry_all_at_once(self) -> None:
        for digest, state in self._versions.items():
            if state.retry_at is not None:
                self._versions[digest] = replace(state, retry_at=0.0)

    def _begin(self, action: Action) -> None:
        match action:
            case Serve(digest):
                self._serve(digest)
            case Withdraw():
                _log.info("adapter %s is withdrawn", self.name)
                self._tools.aliases.withdraw(self.name)
                self._serving = None
            case Prepare(version):
                self._start(version.digest, self._prepare(version))
            case Load(digest):
                self._set(digest, phase=Phase.LOADING)
                self._start(digest, self._load(digest))
            case Retire(digest):
                self._set(digest, phase=Phase.DRAINING)
                self._start(digest, self._retire(digest))
            case _:
                self._start(action.digest, self._delete(action.digest))

    def _serve(self, digest: Digest) -> None:
        before = self._serving
        self._tools.aliases.serve(self.name, digest)
        self._serving = digest
        self._set(digest, last_served=time.time())
        self._tools.cache.mark_used(self.name, digest)
        _log.info("adapter %s is served by %s, before by %s", self.name, digest, before or "nothing")

    def _start(self, digest: Digest, work: Coroutine[Any, Any, None]) -> None:
        if digest not in self._versions:
            self._versions[digest] = VersionState(Phase.QUEUED)
        self._set(digest, working=True, retry_at=None)
        task = asyncio.create_task(self._run(digest, work), name=f"adapter {self.name} {digest}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, digest: Digest, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self._failed(digest, error)
        if digest in self._versions:
            self._set(digest, working=False)
        self.step()

    def _failed(self, digest: Digest, error: Exception) -> None:
        attempts = self._versions[digest].attempts + 1
        finding = finding_of(error, attempts)
        due = None
        if finding.retry_seconds is not None:
            due = asyncio.get_running_loop().time() + finding.retry_seconds
        again = "" if finding.retry_seconds is None else f"; tried again in {finding.retry_seconds:g} s"
        _log.warning("adapter %s, %s: %s: %s%s", self.name, digest, finding.reason, finding.message, again)
        self._set(
            digest,
            phase=Phase.REFUSED if finding.refused else Phase.FAILED,
            reason=finding.reason,
            message=finding.message,
            attempts=attempts,
            retry_at=due,
        )

    async def _prepare(self, version: AdapterVersion) -> None:
        digest, tools = version.digest, self._tools
        self._set(digest, origin=version.uri)
        if self._versions[digest].phase is Phase.STORED:
            self._set(digest, phase=Phase.QUEUED)
        if version.uri is None:
            raise MergeNotSupported(
                f"adapter {self.name} is a merge, which this release can't make: name a trained adapter as its source"
            )
        async with tools.slots:
            self._manifests[digest] = await self._verified(digest, version.uri)
        self._set(digest, phase=Phase.VERIFIED)

    async def _verified(self, digest: Digest, uri: str) -> StoredManifest:
        cache, on_thread = self._tools.cache, self._tools.on_thread
        self._show(digest, Phase.VERIFYING)
        cached = await on_thread(cache.verify, self.name, digest)
        if cached is not None:
            return cached
        self._show(digest, Phase.DOWNLOADING)
        await on_thread(cache.download, self.name, digest, self._access.at(uri))
        self._show(digest, Phase.VERIFYING)
        return await on_thread(cache.verify_downloaded, self.name, digest)

    async def _load(self, digest: Digest) -> None:
        tools, known_as = self._tools, engine_name(self.name, digest)
        directory = tools.cache.directory(self.name, digest)
        async with tools.loading:
            await tools.on_thread(tools.engine.load, known_as, directory, self._manifests[digest].manifest)
        try:
            await tools.on_thread(tools.engine.probe, known_as)
        except Exception:
            await tools.on_thread(tools.engine.unload, known_as)
            raise
        self._set(digest, phase=Phase.LOADED, reason=None, message=None, attempts=0)

    async def _retire(self, digest: Digest) -> None:
        tools = self._tools
        await tools.aliases.wait_unused(self.name, digest)
        await tools.on_thread(tools.engine.unload, engine_name(self.name, digest))
        _log.info("adapter %s: %s is unloaded", self.name, digest)
        self._set(digest, phase=Phase.STORED)

    async def _delete(self, digest: Digest) -> None:
        self._set(digest, phase=Phase.DELETING)
        try:
            await self._tools.on_thread(self._tools.cache.delete, self.name, digest)
        except OSError as error:
            _log.warning("adapter %s: the files of %s can't be removed: %s", self.name, digest, error)
        self._manifests.pop(digest, None)
        del self._versions[digest]

    def _show(self, digest: Digest, phase: Phase) -> None:
        """Tell how far it is, unless that would hide for a moment that it was refused or failed before."""
        if self._versions[digest].reason is None:
            self._set(digest, phase=phase)
            self._changed(self.name)

    def _set(self, digest: Digest, **changes: Any) -> None:  # noqa: ANN401 - fields of VersionState
        self._versions[digest] = replace(self._versions[digest], **changes)
