"""Each Service with a cluster IP listens there, on this machine, and passes connections on to its ready endpoints.

Cluster IPs and pod IPs are addresses of the loopback. As behind kube-proxy, a connection is given an endpoint
when it is opened and keeps it, a Service without ready endpoints refuses connections, and connections that are
open outlive the Service.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.loopback import is_loopback
from adapter_devcluster.network.endpoints import SERVICE_NAME, SERVICES, SLICES, Backend, ready_backends
from adapter_devcluster.network.listener import Listener
from adapter_devcluster.network.relay import Accepted, Relays, Side
from adapter_devcluster.objects import Key, Object, key, labels_of, section
from adapter_devcluster.recorder import Recorder

logger = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 2.0
_AFFINITY_SECONDS: Final = 10800


@dataclass(slots=True)
class _Port:
    """A port of a Service that is listened on."""

    listener: Listener | None = None
    backends: list[Backend] = field(default_factory=list)
    affinity_seconds: int = 0
    turn: int = 0
    clients: dict[str, tuple[Backend, float]] = field(default_factory=dict)

    def choose(self, client: str) -> Backend:
        """Return the next backend in turn, or the one that this client had."""
        now = time.monotonic()
        if self.affinity_seconds:
            backend, used = self.clients.get(client, (None, 0.0))
            if backend in self.backends and now - used < self.affinity_seconds:
                self.clients[client] = backend, now
                return backend
        chosen = self.backends[self.turn % len(self.backends)]
        self.turn += 1
        if self.affinity_seconds:
            self.clients[client] = chosen, now
        return chosen


class ServiceNetwork:
    """Keeps one listener for each TCP port of each Service that has ready endpoints."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._recorder = Recorder(client, "kube-proxy")
        self._services: dict[Key, Object] = {}
        self._slices: dict[Key, dict[str, Object]] = {}
        self._ports: dict[Key, dict[tuple[str, int], _Port]] = {}
        self._reported: dict[tuple[str, int], str] = {}
        self._relays = Relays()
        self._changed: dict[Key, None] = {}
        self._retries: dict[Key, asyncio.TimerHandle] = {}
        self._cancels: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Begin to follow Services and EndpointSlices."""
        self._cancels = [
            self._client.watch(SERVICES, self._on_service),
            self._client.watch(SLICES, self._on_slice),
        ]

    async def stop(self) -> None:
        """Stop listening and break off what is open."""
        for cancel in [*self._cancels, *(timer.cancel for timer in self._retries.values())]:
            cancel()
        self._changed.clear()
        for ports in self._ports.values():
            for port in ports.values():
                _close(port)
        self._ports.clear()
        await self._relays.abort()

    def _on_service(self, change: Change) -> None:
        item = key(change.object)
        if change.type == "DELETED":
            self._services.pop(item, None)
        else:
            self._services[item] = change.object
        self._mark(item)

    def _on_slice(self, change: Change) -> None:
        namespace, name = key(change.object)
        for obj in (change.old, change.object):
            service = (namespace, labels_of(obj).get(SERVICE_NAME, "")) if obj else None
            if service and service in self._slices:
                self._slices[service].pop(name, None)
                self._mark(service)
        service = (namespace, labels_of(change.object).get(SERVICE_NAME, ""))
        if change.type != "DELETED" and service[1]:
            self._slices.setdefault(service, {})[name] = change.object
        elif not self._slices.get(service):
            self._slices.pop(service, None)
        self._mark(service)

    def _mark(self, item: Key) -> None:
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._settle_changed)
        self._changed[item] = None

    def _settle_changed(self) -> None:
        changed, self._changed = self._changed, {}
        for item in changed:
            self._settle(item)

    def _settle(self, item: Key) -> None:
        """Bring the listeners of one Service to where they should be."""
        wanted = self._wanted(item)
        ports = self._ports.setdefault(item, {})
        for address in [one for one in ports if one not in wanted]:
            _close(ports.pop(address))
            self._reported.pop(address, None)
        for address, (backends, affinity) in wanted.items():
            port = ports.setdefault(address, _Port())
            port.backends, port.affinity_seconds = backends, affinity
            if port.listener is None:
                self._listen(item, address, port)
        if not ports:
            del self._ports[item]

    def _wanted(self, item: Key) -> dict[tuple[str, int], tuple[list[Backend], int]]:
        """Return what to listen on, with the backends and for how many seconds a client keeps its own."""
        spec = section(self._services.get(item, {}), "spec")
        address, slices = str(spec.get("clusterIP") or ""), self._slices.get(item, {})
        if not is_loopback(address):
            return {}
        affinity = 0
        if spec.get("sessionAffinity") == "ClientIP":
            affinity = section(spec, "sessionAffinityConfig", "clientIP").get("timeoutSeconds") or _AFFINITY_SECONDS
        found = {}
        for port in spec.get("ports") or []:
            backends = ready_backends(slices.values(), str(port.get("name") or ""))
            if backends and port.get("protocol", "TCP") == "TCP":
                found[address, int(port["port"])] = backends, affinity
        return found

    def _listen(self, item: Key, address: tuple[str, int], port: _Port) -> None:
        async def connect(accepted: Accepted, client: str) -> None:
            await asyncio.get_running_loop().create_connection(lambda: Side(accepted), *port.choose(client))

        try:
            port.listener = Listener(address, connect, self._relays)
        except OSError as error:
            self._report(item, address, str(error))
        else:
            self._reported.pop(address, None)

    def _report(self, item: Key, address: tuple[str, int], problem: str) -> None:
        """Say once why a port is not listened on, and try again later."""
        if self._reported.get(address) != problem:
            self._reported[address] = problem
            message = f"{address[0]}:{address[1]} can't be listened on: {problem}"
            logger.warning("service %s/%s: %s", *item, message)
            self._recorder.event(self._services[item], "Warning", "ListenFailed", message)
        if item not in self._retries:
            self._retries[item] = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._again, item)

    def _again(self, item: Key) -> None:
        del self._retries[item]
        self._mark(item)


def _close(port: _Port) -> None:
    if port.listener is not None:
        port.listener.close()
