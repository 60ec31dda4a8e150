"""Where the ``proxy`` subresources of Services and pods lead.

Sources: ``ResourceLocation`` in ``pkg/registry/core/service/storage/storage.go`` and
``pkg/registry/core/pod/strategy.go`` (v1.36).
"""

from __future__ import annotations

import random
from typing import NamedTuple

from adapter_devcluster.client import Client
from adapter_devcluster.network.endpoints import SERVICE_NAME, SERVICES, SLICES, ready_backends
from adapter_devcluster.objects import section
from adapter_devcluster.selectors import equality_selector
from adapter_devcluster.statuses import StatusError, bad_request, not_found, status_error


class Target(NamedTuple):
    """What to connect to. ``scheme`` is http or https."""

    scheme: str
    host: str
    port: int


def service_target(client: Client, namespace: str, name: str) -> Target:
    """Choose a ready endpoint of a Service, at random.

    ``name`` is ``name``, ``name:port`` or ``scheme:name:port``, the port by name or number; without one it is
    the unnamed port. Raises StatusError: 400, 404, or 503 where there is no such port or no ready endpoint.
    """
    scheme, service_name, port = _split(name, "service")
    service = client.get(SERVICES, namespace, service_name)
    if service is None:
        raise not_found(SERVICES, service_name)
    if port.isdecimal():
        ports = section(service, "spec").get("ports") or []
        names = [str(one.get("name") or "") for one in ports if one.get("port") == int(port)]
        if not names:
            raise _unavailable(f'no service port {int(port)} found for service "{service_name}"')
        port = names[0]
    slices = client.list(SLICES, namespace, equality_selector({SERVICE_NAME: service_name}))
    backends = ready_backends(slices, port)
    if not backends:
        raise _unavailable(f'no endpoints available for service "{name}"')
    chosen = random.choice(backends)  # noqa: S311 - balances load, keeps no secret
    return Target(scheme, chosen.address, chosen.port)


def pod_target(client: Client, namespace: str, name: str) -> Target:
    """Return where a pod listens.

    ``name`` is ``name``, ``name:port`` or ``scheme:name:port``; without a port it is the first one that a
    container declares, else that of the scheme. Raises StatusError: 400 or 404.
    """
    scheme, pod_name, port = _split(name, "pod")
    pod = client.get("pods", namespace, pod_name)
    if pod is None:
        raise not_found("pods", pod_name)
    containers = section(pod, "spec").get("containers") or []
    declared = [port["containerPort"] for one in containers for port in one.get("ports") or []]
    fallback = declared[0] if declared else 443 if scheme == "https" else 80
    if port and not port.isdecimal():
        raise bad_request(f'invalid pod request "{name}"')
    address = section(pod, "status").get("podIP")
    if not address:
        raise bad_request("address not allowed")
    return Target(scheme, str(address), int(port) if port else int(fallback))


def _split(name: str, kind: str) -> tuple[str, str, str]:
    """Read ``[scheme:]name[:port]``. Raises StatusError (400)."""
    match name.split(":"):
        case [found] if found:
            return "http", found, ""
        case [found, port] if found:
            return "http", found, port
        case ["" | "http" | "https" as scheme, found, port] if found:
            return scheme or "http", found, port
    raise bad_request(f'invalid {kind} request "{name}"')


def _unavailable(message: str) -> StatusError:
    return status_error(503, "ServiceUnavailable", message)
