"""Cluster IPs and node ports of Services: given out when one is stored, taken back when it goes.

As ``pkg/registry/core/service/storage/alloc.go`` (v1.36) does it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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

    def assigned(self, service: Object, old: Object | None = None, *, dry_run: bool) -> Object:
        """Return a new or a changed Service with its addresses. Raises StatusError (422) for one that can't be had.

        Those of ``old`` stay taken until they are released: the change may still be refused.
        """
        new = copy(service)
        undo: list[Callable[[], None]] = []
        errors = [*self._take_ip(old, new["spec"], undo), *self._take_ports(old, new["spec"], undo)]
        if errors or dry_run:
            for step in undo:
                step()
        if errors:
            raise invalid("", "Service", str(meta(service)["name"]), errors)
        return dict(new)

    def release(self, service: Object, kept: Object | None = None) -> None:
        """Take back what a Service held, but for what another state of it keeps."""
        ip = _ip(service)
        if ip and (kept is None or ip != _ip(kept)):
            self._ips.release(ip)
        for port in _node_ports(service) - (_node_ports(kept) if kept else set()):
            self._ports.release(port)

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
        if spec["type"] not in _WITH_NODE_PORTS:
            return []
        allocating = spec.get("allocateLoadBalancerNodePorts") is not False
        held, errors = _node_ports(old) if old else set(), []
        ports = spec.get("ports") or []
        # A new Service has one node port for all protocols of a port.
        shared = {} if old else {port["port"]: port["nodePort"] for port in ports if port.get("nodePort")}
        for position, port in enumerate(ports):
            wanted = port.get("nodePort") or (allocating and shared.get(port["port"])) or 0
            if not wanted and not allocating:
                continue
            if wanted not in held:
                try:
                    wanted = self._taken_port(wanted)
                except TakenError as error:
                    errors.append(field_errors.invalid(f"spec.ports[{position}].nodePort", wanted, str(error)))
                    continue
                undo.append(partial(self._ports.release, wanted))
                held.add(wanted)
            if old is None:
                shared.setdefault(port["port"], wanted)
            port["nodePort"] = wanted
        return errors

    def _taken_port(self, wanted: int) -> int:
        if not wanted:
            return self._ports.allocate()
        self._ports.take(wanted)
        return wanted


def _ip(service: Object) -> str:
    found = service["spec"].get("clusterIP") or ""
    return "" if found == _HEADLESS else str(found)


def _node_ports(service: Object) -> set[int]:
    return {port["nodePort"] for port in service["spec"].get("ports") or [] if port.get("nodePort")}
