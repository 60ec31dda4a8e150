"""GPUs of the node, handed to containers as the device plugin does: by environment variable."""

from __future__ import annotations

import os
from typing import Final

from adapter_devcluster.node.pod_requests import requests_of
from adapter_devcluster.objects import Object, section

GPU: Final = "nvidia.com/gpu"


class DeviceShortage(Exception):
    """A pod that was bound to the node asks for more GPUs than are free."""


class Devices:
    """Which pod has which GPU. Numbers are those of the node's own CUDA_VISIBLE_DEVICES, where it has one."""

    def __init__(self, count: int) -> None:
        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        self._all = [visible[number] if number < len(visible) else str(number) for number in range(count)]
        self._held: dict[str, dict[str, list[str]]] = {}

    def allocate(self, uid: str, pod: Object) -> None:
        """Give a pod's containers what they ask for. Raises DeviceShortage.

        Init containers run before the others, so they share what the others get.
        """
        spec = section(pod, "spec")
        free = [
            one for one in self._all if not any(one in used for held in self._held.values() for used in held.values())
        ]
        had, found = len(free), {}
        for container in spec.get("containers") or []:
            wanted = int(requests_of(container).get(GPU, 0))
            if wanted > len(free):
                used = len(self._all) - had
                raise DeviceShortage(
                    f"Node didn't have enough resource: {GPU}, requested: {wanted}, used: {used}, "
                    f"capacity: {len(self._all)}"
                )
            found[container["name"]], free = free[:wanted], free[wanted:]
        available = [one for held in found.values() for one in held] + free
        for container in spec.get("initContainers") or []:
            found[container["name"]] = available[: int(requests_of(container).get(GPU, 0))]
        self._held[uid] = found

    def release(self, uid: str) -> None:
        """Take back what a pod has."""
        self._held.pop(uid, None)

    def environment(self, uid: str, container: str) -> dict[str, str]:
        """Return what tells CUDA's libraries which GPUs to use; none where none was asked for."""
        devices = ",".join(self._held.get(uid, {}).get(container, []))
        return {"CUDA_VISIBLE_DEVICES": devices, "NVIDIA_VISIBLE_DEVICES": devices or "void"}
