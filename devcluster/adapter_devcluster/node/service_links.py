"""Environment variables that tell of services (``pkg/kubelet/envvars``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterable

from adapter_devcluster.objects import Object, meta, section


def service_environment(services: Iterable[Object]) -> dict[str, str]:
    """Return the variables of services that have a cluster address."""
    env: dict[str, str] = {}
    for service in services:
        spec = section(service, "spec")
        address, ports = spec.get("clusterIP"), spec.get("ports") or []
        if address and address != "None" and ports:
            env |= _variables(_name(str(meta(service)["name"])), str(address), ports)
    return env


def api_environment(host: str, port: int) -> dict[str, str]:
    """Return where the API server is, as in-cluster clients look for it."""
    return _variables("KUBERNETES", host, [{"name": "https", "port": port, "protocol": "TCP"}])


def _variables(prefix: str, address: str, ports: list[Object]) -> dict[str, str]:
    env = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for index, port in enumerate(ports):
        number, protocol = port["port"], str(port.get("protocol") or "TCP")
        if port.get("name"):
            env[f"{prefix}_SERVICE_PORT_{_name(port['name'])}"] = str(number)
        url = f"{protocol.lower()}://{address}:{number}"
        if index == 0:
            env[f"{prefix}_PORT"] = url
        one = f"{prefix}_PORT_{number}_{protocol}"
        env |= {one: url, f"{one}_PROTO": protocol.lower(), f"{one}_PORT": str(number), f"{one}_ADDR": address}
    return env


def _name(name: str) -> str:
    return name.upper().replace("-", "_")
