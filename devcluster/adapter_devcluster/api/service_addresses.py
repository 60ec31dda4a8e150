"""Cluster IPs and node ports of Services: given out when one is stored, taken back when it goes.

As ``pkg/registry/core/service/storage/alloc.go`` (v1.36) does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions import errors as field_errors
from adapter_devcluster.builtin.addresses import ClusterIps, NodePorts, TakenError
from adapter_devcluster.objects import Object, copy, meta
from adapter_devcluster.statuses import invalid

_HEADLESS: Final = "None"
_WITH_NODE_PORTS: Final = ("LoadBalancer", "NodePort")


class ServiceAddresses:
    """Fills in and keeps account of what Services hold."""

    def __init__(self, service_range: str) -> None:
        self._ips = ClusterIps(service_range)
        self._ports = NodePorts()

    def assigned(self, service: Object, *, dry_run: bool) -> Object:
        """Return a new Service with its addresses. Raises StatusError (422) for one that can't be had."""
        return self.reassigned(None, service, dry_run=dry_run)

    def reassigned(self, old: Object | None, service: Object, *, dry_run: bool) -> Object:
        """Return a changed Service with its addresses; what it does not need any more is free again."""
        new = copy(service)
        undo: list[Callable[[], None]] = []
        errors = [*self._take_ip(old, new["spec"], undo), *self._take_ports(old, new["spec"], undo)]
        if errors or dry_run:
            for step in undo:
                step()
        if errors:
            raise invalid("", "Service", str(meta(service)["name"]), errors)
        if old is not None and not dry_run:
            self._release(_ip(old), _node_ports(old), kept=new)
        return dict(new)

    def released(self, service: Object) -> None:
        """Take back what a Service held that is gone."""
        self._release(_ip(service), _node_ports(service), kept=None)

    def _take_ip(self, old: Object | None, spec: Object, undo: list[Callable[[], None]]) -> list[FieldError]:
        wanted = spec.get("clusterIP") or ""
        if spec["type"] == "ExternalName" or wanted == _HEADLESS or (wanted and old is not None and wanted == _ip(old)):
            return []
        try:
            if wanted:
                self._ips.take(wanted)
            else:
                wanted = self._ips.allocate()
        except TakenError as error:
            return [field_errors.invalid("spec.clusterIPs", [wanted], str(error))]
        undo.append(lambda: self._ips.release(wanted))
        spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]
        return []

    def _take_ports(self, old: Object | None, spec: Object, undo: list[Callable[[], None]]) -> list[FieldError]:
        if spec["type"] not in _WITH_NODE_PORTS or spec.get("allocateLoadBalancerNodePorts") is False:
            return []
        held, errors = _node_ports(old) if old else set(), []
        for position, port in enumerate(spec.get("ports") or []):
            wanted = port.get("nodePort") or 0
            if wanted in held:
                continue
            try:
                if wanted:
                    self._ports.take(wanted)
                else:
                    wanted = self._ports.allocate()
            except TakenError as error:
                errors.append(field_errors.invalid(f"spec.ports[{position}].nodePort", wanted, str(error)))
                continue
            port["nodePort"] = wanted
            undo.append(self._port_release(wanted))
        return errors

    def _port_release(self, port: int) -> Callable[[], None]:
        return lambda: self._ports.release(port)

    def _release(self, ip: str, ports: set[int], *, kept: Object | None) -> None:
        if ip and (kept is None or ip != _ip(kept)):
            self._ips.release(ip)
        for port in ports - (_node_ports(kept) if kept else set()):
            self._ports.release(port)


def _ip(service: Object) -> str:
    found = service["spec"].get("clusterIP") or ""
    return "" if found == _HEADLESS else str(found)


def _node_ports(service: Object) -> set[int]:
    return {port["nodePort"] for port in service["spec"].get("ports") or [] if port.get("nodePort")}
