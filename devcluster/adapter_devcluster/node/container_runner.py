"""Runs one container of a pod: again and again, as its restart policy says.

Source: ``pkg/kubelet/kuberuntime/kuberuntime_{manager,container}.go``, v1.36.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final

from adapter_devcluster.node.container_command import ContainerFiles, build_command
from adapter_devcluster.node.container_probes import ContainerProbes
from adapter_devcluster.node.container_process import Command, ContainerProcess, StartError, start
from adapter_devcluster.node.container_state import ContainerState
from adapter_devcluster.node.crash_backoff import CrashBackoff, seconds_text
from adapter_devcluster.node.environment import ConfigError
from adapter_devcluster.node.grace_period import GracePeriod
from adapter_devcluster.node.hooks import HookError, run_hook
from adapter_devcluster.node.image_pull import wait_for_image
from adapter_devcluster.node.images import ImageCommand, find_image
from adapter_devcluster.node.logs import LogWriter
from adapter_devcluster.node.pod_context import PodContext
from adapter_devcluster.node.probes import ProbeTarget
from adapter_devcluster.node.termination_message import termination_message
from adapter_devcluster.objects import meta, section, timestamp

_EPOCH: Final = "1970-01-01T00:00:00Z"
_START_FAILED: Final = 128


class ContainerRunner:
    """``initialized`` is set once the container has started: sidecars are waited for so."""

    def __init__(self, context: PodContext, state: ContainerState) -> None:
        self.state = state
        self.initialized = asyncio.Event()
        # By container id, of this run and of the one before.
        self.logs: dict[str, LogWriter] = {}
        self.task: asyncio.Task[None] | None = None
        self._context = context
        self._spec = state.spec
        config = context.node.config
        self._backoff = CrashBackoff(config.restart_backoff_seconds, config.max_backoff_seconds)
        self._process: ContainerProcess | None = None
        self._probes: ContainerProbes | None = None
        self._stopping = False
        self._restarts: set[asyncio.Task[None]] = set()

    def begin(self) -> asyncio.Task[None]:
        """Start to run the container; the task ends when it will not run again."""
        self.task = asyncio.get_running_loop().create_task(self._run(), name=f"container {self.state.name}")
        return self.task

    def files(self, attempt: int) -> ContainerFiles:
        """Return the files of an attempt."""
        return ContainerFiles(self._context.folder(self.state.name, attempt))

    def kill(self) -> None:
        """Kill the processes at once; the container does not run again."""
        self._stopping = True
        if self._process is not None:
            self._process.kill()
        elif self.task is not None:
            self.task.cancel()

    async def stop(self, grace: GracePeriod) -> None:
        """End the container: preStop hook, SIGTERM, and SIGKILL when the grace period is over."""
        self._stopping = True
        if self._process is None:
            if self.task is not None:
                self.task.cancel()
        else:
            self._context.event("Normal", "Killing", f"Stopping container {self.state.name}", self.state.name)
            await self._end(self._process, grace)
        if self.task is not None:
            await asyncio.wait([self.task])

    async def _run(self) -> None:
        while True:
            ended = await self._attempt()
            if self._stopping or not self._runs_again():
                return
            await self._wait_to_restart(ended)
            self.state.restart_count += 1

    def _runs_again(self) -> bool:
        if self.state.kind == "sidecar":
            return True
        policy = section(self._context.pod, "spec").get("restartPolicy", "Always")
        if self.state.kind == "main" and policy == "Always":
            return True
        return policy != "Never" and self.state.exit_code != 0

    async def _wait_to_restart(self, ended: float) -> None:
        wait = self._backoff.next(ended)
        if not wait:
            return
        about, name = meta(self._context.pod), self.state.name
        pod = f"{about['name']}_{about['namespace']}({about['uid']})"
        message = f"back-off {seconds_text(wait)} restarting failed container={name} pod={pod}"
        self.state.wait("CrashLoopBackOff", message)
        self._context.publish()
        self._warn("BackOff", f"Back-off restarting failed container {name} in pod {pod}")
        await asyncio.sleep(ended + wait - time.monotonic())

    async def _attempt(self) -> float:
        """Run the container once; return when it ended, by a monotonic clock."""
        files = self.files(self.state.restart_count)
        try:
            command = await self._prepare(files)
            self._normal("Created", "Container created")
            log = self._new_container(files)
            self._process = process = await start(command, log.write)
            self._normal("Started", "Container started")
            await self._attend(process, files)
        except StartError as error:
            message = f"failed to create containerd task: {error}"
            self._warn("Failed", f"Error: {message}")
            self.state.terminate(_EPOCH, timestamp(), _START_FAILED, "StartError", message)
            self._context.publish()
        finally:
            await self._leave()
            files.remove()
        return time.monotonic()

    def _new_container(self, files: ContainerFiles) -> LogWriter:
        self.state.new_id()
        self.logs[self.state.container_id] = log = LogWriter(files.log)
        for old in list(self.logs)[:-2]:
            self.logs.pop(old).path.unlink()
        return log

    async def _leave(self) -> None:
        """Leave no process behind, whatever has happened."""
        process = self._process
        if process is not None and not process.exited.done():
            process.kill()
            await asyncio.wait([process.exited])
        self._process = None
        self._close_log()

    async def _prepare(self, files: ContainerFiles) -> Command:
        """Wait for image and configuration. Raises StartError."""
        image = await self._find_image()
        reference = self._spec.get("image")
        self._normal(
            "Pulled", f'Container image "{reference}" already present on machine and can be accessed by the pod'
        )
        files.make()
        while True:
            try:
                return build_command(self._context, self._spec, image, files)
            except ConfigError as error:
                self.state.wait("CreateContainerConfigError", str(error))
                self._context.publish()
                self._warn("Failed", f"Error: {error}")
            await self._context.config_change()

    async def _find_image(self) -> ImageCommand:
        reference = str(self._spec.get("image"))
        found = find_image(reference, self._context.node.config.images)
        if found is None:
            problem = f'failed to pull and unpack image "{reference}": no command stands for it; name one (images)'
            await wait_for_image(self._context, [self.state], reference, problem)
        return found

    async def _attend(self, process: ContainerProcess, files: ContainerFiles) -> None:
        """Be with a running container until it ends."""
        started_at, clock = timestamp(), time.monotonic()
        try:
            if await self._post_start(process):
                started = "startupProbe" not in self._spec
                self.state.run(started_at, started=started, ready=started and "readinessProbe" not in self._spec)
                self._begin_probes(ProbeTarget(self._spec, process, self._context.address, clock))
                self._on_probed()
            code = await asyncio.shield(process.exited)
        finally:
            self._end_probes(readiness=True)
            await self._finish_tasks()
            self._close_log()
        policy = str(self._spec.get("terminationMessagePolicy"))
        message = termination_message(files.termination, files.log, policy, code)
        self.state.terminate(started_at, timestamp(), code, "Error" if code else "Completed", message)
        self._context.publish()

    async def _post_start(self, process: ContainerProcess) -> bool:
        """Run the postStart hook; where it fails, the container is ended. Return whether it still runs."""
        handler = section(self._spec, "lifecycle").get("postStart")
        if not handler:
            return True
        try:
            await _first_of(process, run_hook(handler, self._spec, process, self._context.address))
        except HookError as error:
            self._warn("FailedPostStartHook", f"PostStartHook failed: {error}")
            self._normal("Killing", "FailedPostStartHook")
            await self._end(process, GracePeriod(self._grace_seconds()))
        return not process.exited.done()

    def _begin_probes(self, target: ProbeTarget) -> None:
        self._probes = ContainerProbes(
            state=self.state,
            target=target,
            on_change=self._on_probed,
            on_dead=lambda kind: self._restart(kind.lower(), target.process),
            on_failure=lambda message: self._warn("Unhealthy", message),
        )
        self._probes.begin()

    def _on_probed(self) -> None:
        if self.state.started:
            self.initialized.set()
        self._context.publish()

    async def _finish_tasks(self) -> None:
        """Wait for probes, whose commands end with the container, and for what ended it."""
        tasks = [*self._restarts, *(self._probes.tasks.values() if self._probes is not None else ())]
        if tasks:
            await asyncio.wait(tasks)

    def _end_probes(self, *, readiness: bool) -> None:
        if self._probes is not None:
            self._probes.end(readiness=readiness)

    def _restart(self, kind: str, process: ContainerProcess) -> None:
        """End a container that failed a probe; what follows is up to its restart policy."""
        self._normal("Killing", f"Container {self.state.name} failed {kind} probe, will be restarted")
        seconds = section(self._spec, f"{kind}Probe").get("terminationGracePeriodSeconds")
        grace = GracePeriod(self._grace_seconds() if seconds is None else float(seconds))
        task = asyncio.get_running_loop().create_task(self._end(process, grace), name="restart")
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)

    async def _end(self, process: ContainerProcess, grace: GracePeriod) -> None:
        # Readiness goes on: endpoints may still want to know.
        self._end_probes(readiness=False)
        if handler := section(self._spec, "lifecycle").get("preStop"):
            hook = run_hook(handler, self._spec, process, self._context.address)
            try:
                await _first_of(process, hook, grace.over())
            except HookError as error:
                self._warn("FailedPreStopHook", f"PreStopHook failed: {error}")
        process.terminate()
        await _first_of(process, grace.over(minimum=True))
        if not process.exited.done():
            process.kill()
        await asyncio.wait([process.exited])

    def _grace_seconds(self) -> float:
        return float(section(self._context.pod, "spec").get("terminationGracePeriodSeconds", 30))

    def _close_log(self) -> None:
        if log := self.logs.get(self.state.container_id):
            log.close()

    def _normal(self, reason: str, message: str) -> None:
        self._context.event("Normal", reason, message, self.state.name)

    def _warn(self, reason: str, message: str) -> None:
        self._context.event("Warning", reason, message, self.state.name)


async def _first_of(process: ContainerProcess, *works: Coroutine[Any, Any, None]) -> None:
    """Wait for the first of some work, or for the end of the process; raise what the work raised."""
    tasks = [asyncio.get_running_loop().create_task(one) for one in works]
    try:
        done, _ = await asyncio.wait([*tasks, process.exited], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if task in done:
            task.result()
