"""The node: a scheduler and a kubelet that runs pods as processes of this machine."""

from __future__ import annotations

import asyncio
import datetime as dt
import fcntl
import logging
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import IO

from adapter_devcluster.client import Client
from adapter_devcluster.node.addresses import AddressError, PodAddresses
from adapter_devcluster.node.config import NodeConfig
from adapter_devcluster.node.devices import Devices
from adapter_devcluster.node.isolation import find_isolation
from adapter_devcluster.node.kubelet import Kubelet
from adapter_devcluster.node.logs import LogOptions, LogWriter, read_log
from adapter_devcluster.node.node_object import capacity, keep_lease, register
from adapter_devcluster.node.pod_context import NodeFacts
from adapter_devcluster.node.pod_logs import container_id, container_name
from adapter_devcluster.node.pod_worker import PodEnd, PodHost
from adapter_devcluster.node.scheduler import Scheduler
from adapter_devcluster.node.volumes import Tokens, VolumeContext
from adapter_devcluster.objects import Object
from adapter_devcluster.recorder import Recorder
from adapter_devcluster.statuses import internal_error, not_found

logger = logging.getLogger(__name__)


class NodeError(OSError):
    """The node can't start; the message names the setting to change."""


class Node:
    """A node and the scheduler. Say by `api_server` where pods find the API before it starts."""

    def __init__(self, client: Client, config: NodeConfig, tokens: Tokens) -> None:
        self._client = client
        self._config = config
        self._tokens = tokens
        self._api = ("127.0.0.1", 443, "")
        self._addresses: PodAddresses | None = None
        self._scheduler: Scheduler | None = None
        self._kubelet: Kubelet | None = None
        self._lease: asyncio.Task[None] | None = None
        self._lock: IO[str] | None = None

    def api_server(self, host: str, port: int, authority: str) -> None:
        """Tell pods where the API server is, and its certificate authority in PEM."""
        self._api = (host, port, authority)

    async def start(self) -> None:
        """Register the node and begin to run pods. Raises NodeError, StatusError."""
        config = self._config
        folder = self._take_folder()
        try:
            self._addresses = PodAddresses(config.pod_cidr)
        except AddressError as error:
            raise NodeError(str(error)) from error
        isolation, why = await find_isolation(config.namespaces, config.directory / "trial")
        if why:
            logger.info("mount paths are translated in arguments and environment: %s", why)
        facts = NodeFacts(config, isolation, self._client.get, capacity(config))
        host = PodHost(
            client=self._client,
            recorder=Recorder(self._client, "kubelet", config.name),
            facts=facts,
            addresses=self._addresses,
            devices=Devices(config.gpus),
            volumes=VolumeContext(
                lookup=self._client.get,
                tokens=self._tokens,
                allocatable=facts.allocatable,
                claims=config.claims_folder,
                image_volumes=config.image_volumes,
                api_ca=self._api[2],
            ),
            folder=folder,
            api_server=self._api[:2],
        )
        register(self._client, config, self._addresses.cidr)
        self._lease = asyncio.get_running_loop().create_task(keep_lease(self._client, config.name), name="node lease")
        self._kubelet = Kubelet(host)
        self._kubelet.start()
        self._scheduler = Scheduler(self._client)
        self._scheduler.start()

    async def stop(self) -> None:
        """Stop: no process of a pod is left. The pods' objects stay as they are."""
        if self._scheduler is not None:
            self._scheduler.stop()
        if self._kubelet is not None:
            await self._kubelet.stop()
        if self._lease is not None:
            self._lease.cancel()
        if self._addresses is not None:
            self._addresses.close()
        if self._lock is not None:
            self._lock.close()

    def _take_folder(self) -> Path:
        """Make the node's folders and return the one for pods; another node may not have them. Raises NodeError."""
        config = self._config
        folder = config.directory / "pods"
        try:
            config.directory.mkdir(parents=True, exist_ok=True)
            self._lock = (config.directory / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
            for one in (folder, config.directory / "trial", config.claims_folder):
                one.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            problem = "another node uses it" if isinstance(error, BlockingIOError) else str(error)
            raise NodeError(
                f"the node's folder {config.directory} can't be used: {problem}; set another one (directory)"
            ) from error
        return folder

    def evict(
        self,
        namespace: str,
        name: str,
        *,
        message: str,
        reason: str = "Evicted",
        condition_reason: str = "TerminationByKubelet",
        grace_seconds: float | None = None,
    ) -> None:
        """End a pod as the kubelet does under pressure, and as others do through the API.

        The condition DisruptionTarget is there at once, phase Failed with ``reason`` and ``message`` when the
        processes have ended: after SIGTERM and, ``grace_seconds`` later (default: the pod's own), SIGKILL. The
        pod's object stays. Raises StatusError (404).
        """
        pod = self._client.get("pods", namespace, name)
        worker = self._kubelet.worker(pod) if self._kubelet and pod else None
        if pod is None or worker is None:
            raise not_found("pods", name)
        condition = {"status": "True", "reason": condition_reason, "message": message}
        worker.event("Warning", reason, message)
        worker.evict(PodEnd(grace_seconds, grace_seconds is not None, "Failed", reason, message), condition)

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        follow: bool = False,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        since_seconds: int | None = None,
        since_time: dt.datetime | None = None,
        previous: bool = False,
        timestamps: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """Return the parts of a container's log.

        Raises StatusError: 404 without the pod, 400 where a container has to be named or has no log yet.
        """
        found = self._client.get("pods", namespace, pod)
        if found is None:
            raise not_found("pods", pod)
        name = container_name(found, container)
        number = container_id(found, name, previous=previous)
        since = since_time
        if since_seconds is not None:
            since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=since_seconds)
        options = LogOptions(
            follow=follow, tail_lines=tail_lines, limit_bytes=limit_bytes, since=since, timestamps=timestamps
        )
        log = self._log(found, name, number)
        return read_log(log.path, options, log)

    def _log(self, pod: Object, container: str, number: str) -> LogWriter:
        worker = self._kubelet.worker(pod) if self._kubelet else None
        found = worker.runner(container).logs.get(number) if worker else None
        if found is None:
            raise internal_error(f"the log of container {number} is not on this node any more")
        return found
