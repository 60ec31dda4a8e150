"""Startup, liveness and readiness probes of one running container (``pkg/kubelet/prober``, v1.36)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from adapter_devcluster.node.container_process import ContainerProcess, StartError
from adapter_devcluster.node.http_checks import CheckError, http_get, port_number, request_url, tcp_connect
from adapter_devcluster.objects import Object

Kind = Literal["Startup", "Liveness", "Readiness"]

_OUTPUT_LIMIT: Final = 10 * 1024


class ProbeError(Exception):
    """A probe could not be made at all; it counts as no result."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What is probed; ``started_at`` is by a monotonic clock."""

    container: Object
    process: ContainerProcess
    pod_address: str
    started_at: float


async def check(probe: Object, target: ProbeTarget) -> None:
    """Probe once. Raises CheckError for a failure, ProbeError where the probe can't be made."""
    seconds = float(probe.get("timeoutSeconds") or 1)
    if action := probe.get("exec"):
        await _execute(action["command"], target.process, seconds)
    elif action := probe.get("httpGet"):
        await http_get(action, request_url(action, target.container, target.pod_address), seconds)
    elif action := probe.get("tcpSocket"):
        host = str(action.get("host") or target.pod_address)
        await tcp_connect(host, port_number(action["port"], target.container), seconds)
    else:
        raise ProbeError("gRPC probes are not supported by this node")


async def _execute(command: list[str], process: ContainerProcess, seconds: float) -> None:
    output = bytearray()
    try:
        async with asyncio.timeout(seconds):
            code = await process.run_inside(command, output.extend)
    except TimeoutError:
        quoted = f'"{" ".join(command)}"'
        raise CheckError(f"command timed out: {quoted} timed out after {seconds:g}s") from None
    except StartError as error:
        raise ProbeError(f"rpc error: code = Unknown desc = failed to exec in container: {error}") from error
    if code != 0:
        raise CheckError(output[:_OUTPUT_LIMIT].decode(errors="replace"))


class Prober:
    """Probes a container again and again and tells of results that count.

    ``on_result`` gets True or False each time that a threshold is reached; ``on_failure`` the text of each single
    failure, for an event.
    """

    def __init__(
        self,
        kind: Kind,
        probe: Object,
        target: ProbeTarget,
        on_result: Callable[[bool], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._kind = kind
        self._probe = probe
        self._target = target
        self._on_result = on_result
        self._on_failure = on_failure
        self._last: bool | None = None
        self._run = 0

    async def run(self) -> None:
        """Probe until cancelled; a startup probe until its first result that counts."""
        period = float(self._probe.get("periodSeconds") or 10)
        delay = float(self._probe.get("initialDelaySeconds") or 0)
        await asyncio.sleep(self._target.started_at + delay - time.monotonic())
        while True:
            began = time.monotonic()
            if await self._once() and self._kind == "Startup":
                return
            await asyncio.sleep(max(0.0, began + period - time.monotonic()))

    async def _once(self) -> bool:
        """Probe once. Return whether a threshold was reached."""
        try:
            await check(self._probe, self._target)
        except CheckError as error:
            self._on_failure(f"{self._kind} probe failed: {error}")
            return self._count(good=False)
        except ProbeError as error:
            self._on_failure(f"{self._kind} probe errored and resulted in unknown state: {error}")
            return False
        return self._count(good=True)

    def _count(self, *, good: bool) -> bool:
        self._run = self._run + 1 if good is self._last else 1
        self._last = good
        threshold = int(self._probe.get("successThreshold" if good else "failureThreshold") or (1 if good else 3))
        if self._run < threshold:
            return False
        if not good and self._kind != "Readiness":
            self._run = 0
        self._on_result(good)
        return True
