"""Which addresses a Service leads to, read from its EndpointSlices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from adapter_devcluster.loopback import is_loopback
from adapter_devcluster.objects import Object

SERVICES: Final = "services"
SLICES: Final = "endpointslices.discovery.k8s.io"
SERVICE_NAME: Final = "kubernetes.io/service-name"


class Backend(NamedTuple):
    """An address and a port that something listens on."""

    address: str
    port: int


def ready_backends(slices: Iterable[Object], port_name: str) -> list[Backend]:
    """Return where new connections to a TCP port of a Service go, in a stable order.

    ``port_name`` is the name of the Service's port, "" for an unnamed one. Where no endpoint is ready, those
    that are terminating but still serve are taken, as kube-proxy does (``pkg/proxy/topology.go``, v1.36).
    """
    ready, serving = [], []
    for one in slices:
        ports = [
            port["port"]
            for port in one.get("ports") or []
            if (port.get("name") or "") == port_name and port.get("protocol", "TCP") == "TCP" and port.get("port")
        ]
        for endpoint in one.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            # A condition that is not set counts as true, but for "terminating".
            found = [Backend(address, port) for address in endpoint["addresses"][:1] for port in ports]
            if conditions.get("ready") is not False:
                ready += found
            elif conditions.get("serving") is not False and conditions.get("terminating"):
                serving += found
    return sorted({one for one in ready or serving if is_loopback(one.address)})
