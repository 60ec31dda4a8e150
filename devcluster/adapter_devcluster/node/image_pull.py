"""Images that no command or folder stands for: as if they could not be pulled (``pkg/kubelet/images``, v1.36)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from adapter_devcluster.node.container_state import ContainerState
from adapter_devcluster.node.pod_context import PodContext


async def wait_for_image(
    context: PodContext, states: Sequence[ContainerState], reference: str, problem: str
) -> NoReturn:
    """Report containers whose image is missing, and wait until the pod is stopped: the tables don't change."""
    names = [one.name for one in states]
    _report(context, states, "ErrImagePull", problem)
    for name in names:
        context.event("Warning", "Failed", f'Failed to pull image "{reference}": {problem}', name)
        context.event("Warning", "Failed", "Error: ErrImagePull", name)
    await asyncio.sleep(context.node.config.restart_backoff_seconds)
    _report(context, states, "ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {problem}')
    for name in names:
        context.event("Normal", "BackOff", f'Back-off pulling image "{reference}"', name)
        context.event("Warning", "Failed", "Error: ImagePullBackOff", name)
    while True:
        await asyncio.get_running_loop().create_future()


def _report(context: PodContext, states: Sequence[ContainerState], reason: str, message: str) -> None:
    for state in states:
        state.wait(reason, message)
    context.publish()
