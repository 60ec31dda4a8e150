"""The probes of one container while it runs, and what their results do to its state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from adapter_devcluster.node.container_state import ContainerState
from adapter_devcluster.node.probes import Kind, Prober, ProbeTarget


@dataclass(slots=True, kw_only=True)
class ContainerProbes:
    """``on_change``: started or ready has changed; ``on_dead``: startup or liveness failed; ``on_failure``: a text.

    Liveness and readiness begin when the startup probe has succeeded.
    """

    state: ContainerState
    target: ProbeTarget
    on_change: Callable[[], None]
    on_dead: Callable[[Kind], None]
    on_failure: Callable[[str], None]
    tasks: dict[Kind, asyncio.Task[None]] = field(default_factory=dict)

    def begin(self) -> None:
        """Start to probe."""
        if not self._start("Startup", self._on_startup):
            self._begin_others()

    def end(self, *, readiness: bool) -> None:
        """Stop startup and liveness probes, and readiness probes too if asked."""
        kinds: tuple[Kind, ...] = ("Startup", "Liveness", "Readiness") if readiness else ("Startup", "Liveness")
        for kind in kinds:
            if kind in self.tasks:
                self.tasks[kind].cancel()

    def _begin_others(self) -> None:
        self._start("Liveness", self._on_liveness)
        self._start("Readiness", self._on_readiness)

    def _start(self, kind: Kind, on_result: Callable[[bool], None]) -> bool:
        probe = self.state.spec.get(f"{kind.lower()}Probe")
        if not probe:
            return False
        prober = Prober(kind, probe, self.target, on_result, self.on_failure)
        self.tasks[kind] = asyncio.get_running_loop().create_task(prober.run(), name=f"{kind} probe")
        return True

    def _on_startup(self, good: bool) -> None:
        if not good:
            self.on_dead("Startup")
            return
        self.state.started = True
        self.state.ready = "readinessProbe" not in self.state.spec
        self._begin_others()
        self.on_change()

    def _on_liveness(self, good: bool) -> None:
        if not good:
            self.on_dead("Liveness")

    def _on_readiness(self, good: bool) -> None:
        if self.state.ready is not good:
            self.state.ready = good
            self.on_change()
