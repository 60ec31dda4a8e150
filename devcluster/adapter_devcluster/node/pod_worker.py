"""The life of one pod on this node, from its binding to the end of its object.

Source: ``pkg/kubelet/kubelet.go`` (SyncPod, SyncTerminatingPod, SyncTerminatedPod) and ``pod_workers.go``, v1.36.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from adapter_devcluster.client import Client
from adapter_devcluster.node.addresses import AddressError, PodAddresses
from adapter_devcluster.node.broadcast import Broadcast
from adapter_devcluster.node.container_runner import ContainerRunner
from adapter_devcluster.node.container_state import container_states
from adapter_devcluster.node.devices import GPU, Devices, DeviceShortage
from adapter_devcluster.node.grace_period import GracePeriod
from adapter_devcluster.node.image_pull import wait_for_image
from adapter_devcluster.node.pod_containers import PodContainers
from adapter_devcluster.node.pod_context import NodeFacts
from adapter_devcluster.node.pod_status import TERMINAL, PodFacts, pod_status
from adapter_devcluster.node.service_links import api_environment, service_environment
from adapter_devcluster.node.volumes import MissingImage, PodVolumes, VolumeContext, VolumeError
from adapter_devcluster.node.volumes.pod_volumes import with_service_account
from adapter_devcluster.objects import (
    Object,
    annotations_of,
    is_deleting,
    key,
    labels_of,
    meta,
    parse_time,
    section,
    timestamp,
    uid,
)
from adapter_devcluster.recorder import Recorder
from adapter_devcluster.statuses import StatusError

logger = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 5.0
_TOKEN_RETRY_SECONDS: Final = 1.0
_NOT_FOUND: Final = 404
_TOO_LATE: Final = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodHost:
    """What pods need of the node that they run on. ``api_server`` is host and port."""

    client: Client
    recorder: Recorder
    facts: NodeFacts
    addresses: PodAddresses
    devices: Devices
    volumes: VolumeContext
    folder: Path
    api_server: tuple[str, int]


@dataclass(frozen=True, slots=True)
class PodEnd:
    """Why a pod ends before its containers do, and what its status says then.

    ``grace_seconds`` None: the pod's own. ``exact``: not even the usual minimum is left.
    """

    grace_seconds: float | None = None
    exact: bool = False
    phase: str = ""
    reason: str = ""
    message: str = ""


class PodWorker:
    """Runs a pod and keeps its status. `update` tells it what the API says."""

    def __init__(self, host: PodHost, pod: Object) -> None:
        self.node = host.facts
        self.volumes = PodVolumes(host.volumes, self._folder_of(host, pod) / "volumes")
        self.address = ""
        self._host = host
        self._pod = self._completed(pod)
        self._facts = PodFacts(host_address=host.facts.config.host_address)
        self._folder = self._folder_of(host, pod)
        self._containers = PodContainers(
            [ContainerRunner(self, state) for state in container_states(self._pod["spec"])], self._own_grace
        )
        self._changed = Broadcast()
        self._config_changed = Broadcast()
        self._ending: PodEnd | None = None
        self._grace: GracePeriod | None = None
        self._gone = False
        self._publishing = False
        self._silent = False
        self._deadline: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None

    # What the pod's containers ask for: `PodContext`.

    @property
    def pod(self) -> Object:
        """See `PodContext.pod`."""
        host = self._facts.host_address
        known: Object = {"hostIP": host, "hostIPs": [{"ip": host}]}
        if self.address:
            known |= {"podIP": self.address, "podIPs": [{"ip": self.address}]}
        return {**self._pod, "status": {**section(self._pod, "status"), **known}}

    def folder(self, container: str, attempt: int) -> Path:
        """See `PodContext.folder`."""
        parent = self._folder / "containers" / container
        parent.mkdir(parents=True, exist_ok=True)
        return parent / str(attempt)

    def node_environment(self, container: str) -> dict[str, str]:
        """See `PodContext.node_environment`."""
        spec = section(self._pod, "spec")
        services = self._host.client.list("services", key(self._pod)[0]) if spec.get("enableServiceLinks", True) else []
        return {
            **service_environment(services),
            **api_environment(*self._host.api_server),
            **self._host.devices.environment(uid(self._pod), container),
            "HOSTNAME": str(spec.get("hostname") or meta(self._pod)["name"]),
            "ADAPTER_BIND_ADDRESS": self.address,
        }

    def publish(self) -> None:
        """See `PodContext.publish`."""
        if not self._publishing:
            self._publishing = True
            asyncio.get_running_loop().call_soon(self._write_status)

    def event(self, kind: str, reason: str, message: str, container: str = "") -> None:
        """See `PodContext.event`."""
        part = ""
        if container:
            inits = section(self._pod, "spec").get("initContainers") or []
            is_init = any(one["name"] == container for one in inits)
            part = f"spec.{'initContainers' if is_init else 'containers'}{{{container}}}"
        self._host.recorder.event(self._pod, kind, reason, message, part)

    async def config_change(self) -> None:
        """See `PodContext.config_change`."""
        await self._config_changed.wait()

    # What the node says.

    def update(self, pod: Object) -> None:
        """Take in the pod as the API now has it."""
        old, self._pod = self._pod, self._completed(pod)
        status = section(pod, "status")
        if is_deleting(pod):
            seconds = meta(pod).get("deletionGracePeriodSeconds")
            self.end(PodEnd(grace_seconds=None if seconds is None else float(seconds)))
        elif status.get("phase") in TERMINAL and not self._facts.ended:
            told = (str(status.get("reason") or ""), str(status.get("message") or ""))
            self.end(PodEnd(phase=status["phase"], reason=told[0], message=told[1]))
        if (labels_of(old), annotations_of(old)) != (labels_of(pod), annotations_of(pod)):
            self._refresh_volumes()
        if section(pod, "spec").get("readinessGates"):
            self.publish()
        if section(pod, "spec").get("activeDeadlineSeconds") != section(old, "spec").get("activeDeadlineSeconds"):
            self._set_deadline()
        self._changed.tell()

    def remove(self) -> None:
        """The pod's object is gone; so its containers go."""
        self._gone = True
        self.end(PodEnd(grace_seconds=0))
        self._changed.tell()

    def config_changed(self, *, shown: bool) -> None:
        """A config map, secret, account or claim has changed; ``shown``: one that a volume shows."""
        if shown and self.node.config.volume_update_seconds == 0:
            self._refresh_volumes()
        self._config_changed.tell()

    def end(self, end: PodEnd) -> None:
        """End the pod before its time. Of several reasons the first counts, and the shortest grace period."""
        if self._ending is None:
            self._ending = end
            self._changed.tell()
        elif end.grace_seconds is not None:
            if self._grace is not None:
                self._grace.shorten(end.grace_seconds)
            else:
                self._ending = replace(self._ending, grace_seconds=end.grace_seconds)

    def evict(self, end: PodEnd, condition: Object) -> None:
        """End the pod with a DisruptionTarget condition, which is written at once."""
        self._facts.disruption = condition
        self._write_status()
        self.end(end)

    def runner(self, container: str) -> ContainerRunner:
        """Return what runs a container."""
        return next(one for one in self._containers.runners if one.state.name == container)

    # Its life.

    async def run(self) -> None:
        """Run the pod, and stay with it until its object is gone. Cancelled, it kills everything at once."""
        try:
            if section(self._pod, "status").get("phase") not in TERMINAL:
                await self._live()
            else:
                self._facts.ended = True
            await self._wait_until_gone()
        except Exception as error:
            logger.exception("pod %s", key(self._pod))
            await self._containers.kill()
            self._finish(PodEnd(phase="Failed", reason="NodeError", message=f"{type(error).__name__}: {error}"))
            await self._wait_until_gone()
        finally:
            # A node that stops leaves the pod's status as it is: nobody says that its containers were killed.
            self._silent = True
            await self._containers.kill()
            self._release()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _live(self) -> None:
        self._facts.start_time = str(section(self._pod, "status").get("startTime") or timestamp())
        try:
            self._host.devices.allocate(uid(self._pod), self._pod)
        except DeviceShortage as error:
            self.event("Warning", f"OutOf{GPU}", str(error))
            self._finish(PodEnd(phase="Failed", reason=f"OutOf{GPU}", message=f"Pod was rejected: {error}"))
            return
        self.publish()
        self._set_deadline()
        running = asyncio.get_running_loop().create_task(self._run_containers(), name=f"pod {key(self._pod)}")
        try:
            while self._ending is None and not running.done():
                await asyncio.wait([running, self._changed.next()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            running.cancel()
            await asyncio.wait([running])
        if self._ending is not None:
            self._grace = self._grace_for(self._ending)
            await self._containers.stop(self._grace)
        else:
            running.result()
        self._finish(self._ending)

    async def _run_containers(self) -> None:
        await self._prepare_volumes()
        while True:
            try:
                self.address = self._host.addresses.allocate()
                break
            except AddressError as error:
                self.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            await asyncio.sleep(_RETRY_SECONDS)
        self._facts.address = self.address
        self.publish()
        await self._containers.run()

    async def _prepare_volumes(self) -> None:
        while True:
            try:
                self.volumes.prepare(self.pod)
                break
            except MissingImage as error:
                states = [one.state for one in self._containers.runners]
                await wait_for_image(self, states, error.reference, str(error))
            except VolumeError as error:
                self.event("Warning", "FailedMount", str(error))
            try:
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self.config_change()
            except TimeoutError:
                continue  # what is missing may be a folder of this machine
        self._keeper = asyncio.get_running_loop().create_task(self._keep_volumes(), name="volumes")

    async def _keep_volumes(self) -> None:
        """Renew tokens, and bring volumes up to date at the period of the node."""
        while True:
            period = self.node.config.volume_update_seconds or None
            waits = [one for one in (self.volumes.renew_in(), period) if one is not None]
            if not waits:
                return
            await asyncio.sleep(max(min(waits), period or _TOKEN_RETRY_SECONDS))
            self._refresh_volumes()

    def _refresh_volumes(self) -> None:
        try:
            self.volumes.refresh(self.pod)
        except VolumeError as error:
            self.event("Warning", "FailedMount", str(error))

    def _finish(self, end: PodEnd | None) -> None:
        """No container runs any more, and none will."""
        self._facts.ended = True
        if end is not None:
            self._facts.phase, self._facts.reason, self._facts.message = end.phase, end.reason, end.message
        self._release()
        self.volumes.remove()
        self._write_status()

    def _release(self) -> None:
        """Give back what the pod holds of the node."""
        self._host.devices.release(uid(self._pod))
        self._host.addresses.release(self.address)
        for timer in (self._deadline, self._keeper):
            if timer is not None:
                timer.cancel()

    async def _wait_until_gone(self) -> None:
        while not self._gone and not (is_deleting(self._pod) and self._delete()):
            await self._changed.wait()
        while not self._gone:
            await self._changed.wait()

    def _delete(self) -> bool:
        """Finish the deletion of the pod's object, which may still wait for finalizers; return whether it is done."""
        try:
            self._host.client.delete("pods", *key(self._pod), uid=uid(self._pod), grace_seconds=0)
        except StatusError as error:
            if error.code != _NOT_FOUND:
                logger.warning("pod %s can't be deleted: %s", key(self._pod), error)
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._changed.tell)
                return False
        return True

    def _set_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        seconds = section(self._pod, "spec").get("activeDeadlineSeconds")
        if seconds is None:
            return
        left = parse_time(self._facts.start_time).timestamp() + float(seconds) - time.time()
        self._deadline = asyncio.get_running_loop().call_later(max(0.0, left), self._on_deadline)

    def _on_deadline(self) -> None:
        if self._ending is None:
            self.event("Normal", "DeadlineExceeded", _TOO_LATE)
            self.end(PodEnd(phase="Failed", reason="DeadlineExceeded", message=_TOO_LATE))

    def _own_grace(self) -> GracePeriod:
        return self._grace_for(PodEnd())

    def _grace_for(self, end: PodEnd) -> GracePeriod:
        seconds = end.grace_seconds
        if seconds is None:
            seconds = float(section(self._pod, "spec").get("terminationGracePeriodSeconds", 30))
        return GracePeriod(seconds, exact=end.exact)

    def _write_status(self) -> None:
        self._publishing = False
        if self._silent or not self._facts.start_time:
            return
        current = self._host.client.get("pods", *key(self._pod))
        if current is None or uid(current) != uid(self._pod):
            return
        status = pod_status(current, [one.state for one in self._containers.runners], self._facts, timestamp())
        if status == current.get("status"):
            return
        try:
            self._host.client.update("pods", {**current, "status": status}, "status")
        except StatusError as error:
            logger.warning("the status of pod %s was not written: %s", key(self._pod), error)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.publish)

    def _completed(self, pod: Object) -> Object:
        """Return a pod with its service account's token among the volumes."""
        account = str(section(pod, "spec").get("serviceAccountName") or "default")
        found = self._host.client.get("serviceaccounts", key(pod)[0], account)
        return with_service_account(pod, found, self._host.volumes.api_ca)

    @staticmethod
    def _folder_of(host: PodHost, pod: Object) -> Path:
        return host.folder / uid(pod)
