"""Gives each pod that is bound to this node a worker, and tells the workers what changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from adapter_devcluster.client import Change
from adapter_devcluster.node.pod_worker import PodHost, PodWorker
from adapter_devcluster.node.volumes.pod_volumes import shows
from adapter_devcluster.objects import Object, key, section, uid

# What pods may wait for, or show.
_CONFIG: Final = ("configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims")


class Kubelet:
    """Runs the pods of one node. All on the event loop."""

    def __init__(self, host: PodHost) -> None:
        self._host = host
        self._name = host.facts.config.name
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancels: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to watch pods and what they show."""
        client = self._host.client
        self._cancels.append(client.watch("pods", self._on_pod))
        for resource in _CONFIG:
            self._cancels.append(client.watch(resource, self._on_config(resource)))

    async def stop(self) -> None:
        """Kill all processes; the pods' objects stay as they are."""
        for cancel in self._cancels:
            cancel()
        self._cancels.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def worker(self, pod: Object) -> PodWorker | None:
        """Return what runs a pod, if it is here."""
        return self._workers.get(uid(pod))

    def _on_pod(self, change: Change) -> None:
        pod, number = change.object, uid(change.object)
        worker = self._workers.get(number)
        if change.type == "DELETED":
            if worker is not None:
                worker.remove()
            return
        if worker is None:
            if section(pod, "spec").get("nodeName") != self._name:
                return
            worker = self._workers[number] = PodWorker(self._host, pod)
            task = asyncio.get_running_loop().create_task(worker.run(), name=f"pod {key(pod)}")
            self._tasks[number] = task
            task.add_done_callback(lambda _: self._forget(number))
        worker.update(pod)

    def _forget(self, number: str) -> None:
        del self._workers[number], self._tasks[number]

    def _on_config(self, resource: str) -> Callable[[Change], None]:
        def changed(change: Change) -> None:
            namespace, name = key(change.object)
            for worker in self._workers.values():
                if key(worker.pod)[0] == namespace:
                    worker.config_changed(shown=shows(worker.pod, resource, name))

        return changed
