"""`DevCluster`: a cluster in a thread of its own, for tests and scripts that are no asyncio programs."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from adapter_devcluster.cluster import Cluster, ClusterConfig
from adapter_devcluster.serving.audit import AuditEntry
from adapter_devcluster.serving.faults import FaultPlan, Match

T = TypeVar("T")


class DevCluster:
    """A running cluster: ``with DevCluster(gpus=1) as cluster: ...``.

    Options are the fields of `ClusterConfig`; without ``directory`` a temporary one is made at the start, and removed
    at the end. It runs once. Methods may be called from any thread.
    """

    def __init__(self, directory: Path | None = None, **options: Any) -> None:  # noqa: ANN401 - the fields of ClusterConfig
        self.config = ClusterConfig(directory=directory or Path(), **options)
        self._temporary = directory is None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="devcluster", daemon=True)
        self._ended = asyncio.Event()
        self._cluster: Cluster | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the cluster; returns when it is ready. Raises what kept it from starting."""
        if self._temporary:
            self.config = replace(self.config, directory=Path(tempfile.mkdtemp(prefix="devcluster-")))
        self._thread.start()
        try:
            self._cluster = self.run(self._create())
            self.run(self._cluster.start())
        except BaseException:
            self.stop()
            raise

    async def _create(self) -> Cluster:
        return Cluster(self.config)

    def stop(self) -> None:
        """Stop the cluster and all its pods. Nothing happens where it was stopped before."""
        if not self._thread.is_alive():
            return
        cluster, self._cluster = self._cluster, None
        try:
            if cluster is not None:
                self.run(cluster.stop())
        finally:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
            if self._temporary:
                shutil.rmtree(self.config.directory, ignore_errors=True)

    @property
    def cluster(self) -> Cluster:
        """The cluster itself, to be used by `run` or `call`. Raises RuntimeError where it is not running."""
        if self._cluster is None:
            raise RuntimeError("the cluster is not running: use `with DevCluster() as cluster`")
        return self._cluster

    @property
    def url(self) -> str:
        """The API server's URL."""
        return self.cluster.url

    @property
    def token(self) -> str:
        """The administrator's token."""
        return self.config.token

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.cluster.kubeconfig_path

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the cluster's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def call(self, work: Callable[[], T]) -> T:
        """Call a function on the cluster's loop: the way to its in-process client."""

        async def called() -> T:
            return work()

        return self.run(called())

    def set_faults(self, plan: FaultPlan) -> None:
        """Put faults in force, in place of those before."""
        self.call(lambda: self.cluster.faults.set(plan))

    def cut_watches(self, match: Match | None = None) -> int:
        """Break the watches that match, all by default."""
        return self.call(lambda: self.cluster.faults.cut_watches(match))

    def forget_history(self) -> None:
        """Drop the history, so that watches from an earlier revision get 410."""
        self.call(self.cluster.api.store.forget_history)

    def pause(self) -> None:
        """Let every request hang until `resume`."""
        self.call(self.cluster.faults.pause)

    def resume(self) -> None:
        """Go on."""
        self.call(self.cluster.faults.resume)

    def audit(self) -> list[AuditEntry]:
        """Return the calls so far, the newest 100,000."""
        return self.call(lambda: list(self.cluster.audit.entries))

    def _run(self) -> None:
        # The runner ends what is left of tasks and generators before it closes the loop.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_ended())

    async def _until_ended(self) -> None:
        await self._ended.wait()
        # Connections that were aborted are closed in the next turns of the loop.
        await asyncio.sleep(0.01)
