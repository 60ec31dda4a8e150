"""The whole operator: what it is made of, how it starts and how it ends.

    watches -> store -> wakeups -> queue -> workers -> reconciler -> executor -> API server
                          pod streams ^

It acts from `run` on. Where several replicas stand by, `run` is for the one that was elected, and its end is the end of
the process: nothing here survives the loss of a lease.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import kopf

from adapter_operator.api.settings import OperatorSettings
from adapter_operator.handlers.kinds import ADAPTER_DEPLOYMENTS, ADAPTER_TRAININGS, OWN, WATCHED, index_words
from adapter_operator.handlers.planners import DeploymentPlanner, Planner, TrainingPlanner
from adapter_operator.handlers.pod_reports import PodReports
from adapter_operator.handlers.pod_targets import stream_target
from adapter_operator.handlers.reconciler import Reconciler
from adapter_operator.handlers.waiting_events import WaitingEvents
from adapter_operator.handlers.wakeups import Wakeups, labelled_owners
from adapter_operator.handlers.watches import EventType, watch_registry, watch_settings
from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.connection import Credentials
from adapter_operator.runtime.event_recorder import EventRecorder
from adapter_operator.runtime.executor import Executor
from adapter_operator.runtime.metrics import Metrics
from adapter_operator.runtime.objects import Key, Object, uid_of
from adapter_operator.runtime.pod_streams import HttpTransport, PodStreams, PodTransport, StreamTarget
from adapter_operator.runtime.probes import serve_probes
from adapter_operator.runtime.queue import WorkQueue
from adapter_operator.runtime.relist import EVERY_SECONDS, Relisting
from adapter_operator.runtime.resources import PODS, Resources
from adapter_operator.runtime.store import Change, Store
from adapter_operator.runtime.workers import COUNT, Workers

_LOG = logging.getLogger(__name__)

GRACE_SECONDS: Final = 20.0
"""What is under way at the end may take so long; a pod's own grace period must be longer."""

_PROGRESS_SECONDS: Final = 1.0
"""Trainers report several times a second; their resource is looked at this often at most for that."""


class StartError(Exception):
    """The operator can't begin; the message says what to do."""


class PartEnded(Exception):
    """A part that should run for ever has ended, so the operator must not go on."""


@dataclass(frozen=True)
class Options:
    """What may differ between a cluster, a laptop and a test.

    Attributes:
        probe_host, probe_port: where probes and metrics are served; port 0 takes a free one, None host is all.
        workers: reconciliations at the same time.
        relist_seconds: how often everything is listed anew.
        grace_seconds: how long work under way may go on at the end.

    """

    probe_host: str | None = None
    probe_port: int = 8080
    workers: int = COUNT
    relist_seconds: float = EVERY_SECONDS
    grace_seconds: float = GRACE_SECONDS


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Operator:
    """One operator. It runs once."""

    def __init__(
        self,
        settings: OperatorSettings,
        credentials: Credentials,
        *,
        options: Options | None = None,
        transport: PodTransport | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._options = options or Options()
        self._transport = transport
        self._now = now
        self.metrics = Metrics()
        self.queue: WorkQueue[Key] = WorkQueue(meter=self.metrics)
        self.store = Store(index_words, self._note)
        self._wakeups = Wakeups()
        self._noted: list[Change] = []
        self._listed: set[str] = set()
        self.synced = False
        self._ready = asyncio.Event()
        self._streams: PodStreams | None = None
        self._relisting: Relisting | None = None
        self.probe_port = 0

    async def run(self, stop: asyncio.Event, on_start: Callable[[], None] = lambda: None) -> None:
        """Run until `stop` is set; what is under way is finished first.

        Args:
            stop: ends the operator in good order.
            on_start: is called when the watches are about to begin.

        Raises:
            StartError: the custom resource definitions are missing.
            CredentialsError: there is no way to log in.
            PartEnded: something failed that can't be repaired by going on.

        """
        async with AsyncExitStack() as at_end:
            resources = Resources(OWN)
            client = await at_end.enter_async_context(ApiClient(self._credentials, resources, meter=self.metrics))
            await _require_definitions(client)
            transport = self._transport
            if transport is None:
                transport = await at_end.enter_async_context(HttpTransport())
            streams = self._streams = PodStreams(transport, self._pod_spoke, now=self._now)
            executor = Executor(client, self.store, resources, EventRecorder(client, instance=socket.gethostname()))
            reconciler = Reconciler(self.store, executor, self._planners(client, streams))
            workers = Workers(self.queue, reconciler, count=self._options.workers, meter=self.metrics)
            self._relisting = Relisting(
                client,
                self.store,
                watched=WATCHED,
                namespaces=self._settings.namespaces or ("",),
                every_seconds=self._options.relist_seconds,
            )
            probes = serve_probes(
                host=self._options.probe_host,
                port=self._options.probe_port,
                live=(workers.problem,),
                ready=(self._unready,),
                metrics=self.metrics,
            )
            self.probe_port = await at_end.enter_async_context(probes)
            workers.start()
            relisting = asyncio.create_task(self._relisting.run(), name="relisting")
            await self._watch_until(stop, workers, streams, relisting, on_start)

    async def _watch_until(
        self,
        stop: asyncio.Event,
        workers: Workers[Key],
        streams: PodStreams,
        relisting: "asyncio.Task[None]",
        on_start: Callable[[], None],
    ) -> None:
        """Run Kopf beside the parts that are there; end everything when one ends, or when we are to stop."""
        stopping = asyncio.create_task(stop.wait(), name="stop")
        kopf_stop = asyncio.Event()
        watching = asyncio.create_task(self._watch(kopf_stop, on_start), name="watches")
        parts = {*workers.tasks, relisting, watching}
        failed: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait({stopping, *parts}, return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in parts if task.done()]
        finally:
            stopping.cancel()
            # After a failure nobody knows whether work under way can end at all, and it may be cut off at any point.
            grace = 0.0 if failed else self._options.grace_seconds
            _LOG.info("stopping: %d keys wait, %d are worked on", self.queue.depth, self.queue.working)
            if not await workers.stop(grace):
                _LOG.warning("work under way was cut off after %.0f s", grace)
            await streams.close()
            await _cancel(relisting)
            kopf_stop.set()
            await asyncio.wait({watching})
        for task in failed:
            error = None if task.cancelled() else task.exception()
            raise PartEnded(f"{task.get_name()}: {error or 'ended'}") from error
        watching.result()

    async def _watch(self, stop: asyncio.Event, on_start: Callable[[], None]) -> None:
        namespaces = self._settings.namespaces
        ignored = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=watch_registry(self._credentials, self._see, self._take),
            settings=watch_settings(),
            clusterwide=namespaces is None,
            namespaces=namespaces or (),
            stop_flag=stop,
            ready_flag=self._ready,
        )
        # Kopf takes the signals of the process; who started us may want them back.
        on_start()
        await kopf.run_tasks(tasks, ignored=ignored)

    def _planners(self, client: ApiClient, streams: PodStreams) -> Mapping[str, Planner]:
        reports, events = PodReports(streams), WaitingEvents(client, self._now)
        parts = (self.store, reports, events, self._settings, self._now)
        return {
            ADAPTER_TRAININGS.kind: TrainingPlanner(*parts),
            ADAPTER_DEPLOYMENTS.kind: DeploymentPlanner(*parts),
        }

    def _see(self, obj: Object) -> None:
        self.store.put(obj)

    def _take(self, event: EventType, obj: Object) -> None:
        """Take in an event of a watch. The first one finds all that is there in the store already."""
        if not self.synced:
            self.synced = True
            _LOG.info("everything is listed: %s", dict(self.store.count()))
            noted, self._noted = self._noted, []
            for change in noted:
                self._act(change)
        if event == "DELETED":
            self._listed.discard(uid_of(obj))
            self.store.remove(obj)
            return
        if event is None and uid_of(obj) in self._listed and self._relisting is not None:
            # A watch begins anew, and will never tell what was deleted in between.
            self._relisting.request(Resources(OWN).of(obj))
        self._listed.add(uid_of(obj))
        self.store.put(obj)

    def _note(self, change: Change) -> None:
        """Hear of each change of the store. Nothing is done before all kinds were listed."""
        if self.synced:
            self._act(change)
        else:
            self._noted.append(change)

    def _act(self, change: Change) -> None:
        if change.object["kind"] == PODS.kind and self._streams is not None:
            target = stream_target(change.after) if change.after is not None else None
            if target is not None:
                self._streams.follow(target)
            else:
                self._streams.drop(uid_of(change.object))
        for key in self._wakeups.keys(change):
            self.queue.add(key)

    def _pod_spoke(self, target: StreamTarget) -> None:
        pod = self.store.get(PODS.kind, target.namespace, target.name)
        for key in labelled_owners(pod) if pod is not None else ():
            self.queue.add_after(key, _PROGRESS_SECONDS if key.kind == ADAPTER_TRAININGS.kind else 0.0)

    def _unready(self) -> str | None:
        return None if self._ready.is_set() else "the watches have not begun"


async def _require_definitions(client: ApiClient) -> None:
    for kind in OWN:
        if not await client.serves(kind):
            raise StartError(
                f"the cluster does not know {kind.plural}.{kind.group}: install the chart adapter-operator-crds "
                "(or apply crds/) first"
            )


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})
