"""The containers of a pod in their order: init containers and sidecars one by one, then the others at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from adapter_devcluster.node.container_runner import ContainerRunner
from adapter_devcluster.node.grace_period import GracePeriod


class PodContainers:
    """``grace`` makes the grace period in which sidecars end once the main containers have ended."""

    def __init__(self, runners: Sequence[ContainerRunner], grace: Callable[[], GracePeriod]) -> None:
        self.runners = list(runners)
        self._grace = grace

    async def run(self) -> None:
        """Run the pod to its end. Cancelled, it leaves the containers running: `stop` them."""
        if await self._initialize():
            mains = [one for one in self.runners if one.state.kind == "main"]
            await _ends([one.begin() for one in mains])
        await self._stop_sidecars(self._grace())

    async def stop(self, grace: GracePeriod) -> None:
        """Stop all containers, sidecars after the others, in reverse order."""
        others = [one.stop(grace) for one in self.runners if one.state.kind != "sidecar"]
        await asyncio.gather(*others)
        await self._stop_sidecars(grace)

    async def kill(self) -> None:
        """Kill all processes at once."""
        for one in self.runners:
            one.kill()
        tasks = [one.task for one in self.runners if one.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    async def _initialize(self) -> bool:
        """Run the init containers; return whether the main ones may start."""
        for one in self.runners:
            if one.state.kind == "sidecar":
                await _either(one.begin(), one.initialized)
            elif one.state.kind == "init":
                await _ends([one.begin()])
                if one.state.exit_code != 0:
                    return False
        return True

    async def _stop_sidecars(self, grace: GracePeriod) -> None:
        for one in reversed(self.runners):
            if one.state.kind == "sidecar":
                await one.stop(grace)


async def _ends(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for tasks, and raise what one of them raised."""
    await asyncio.wait(tasks)
    for task in tasks:
        task.result()


async def _either(task: asyncio.Task[None], event: asyncio.Event) -> None:
    waiting = asyncio.get_running_loop().create_task(event.wait())
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if task.done():
        task.result()
