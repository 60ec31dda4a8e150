"""What the server gives out to Services: cluster IPs and node ports (``pkg/registry/core/service``, v1.36)."""

from __future__ import annotations

import ipaddress
from typing import Final

NODE_PORTS: Final = range(30000, 32768)


class TakenError(ValueError):
    """An address or a port that can't be given out: it is in use, out of range, or none is left."""


class ClusterIps:
    """Gives out addresses of one network, such as ``127.96.0.0/16``. The first and the last stay free."""

    def __init__(self, network: str) -> None:
        self._network = ipaddress.IPv4Network(network)
        self._taken: set[int] = set()
        self._next = 1

    def allocate(self) -> str:
        """Return an address that is free now. Raises TakenError where none is left."""
        size = self._network.num_addresses - 2
        for step in range(size):
            offset = (self._next - 1 + step) % size + 1
            if offset not in self._taken:
                self._taken.add(offset)
                # A released address comes back late: clients may still hold it.
                self._next = offset % size + 1
                return str(self._network[offset])
        raise TakenError("failed to allocate a serviceIP: range is full")

    def take(self, ip: str) -> None:
        """Give out an address that was asked for. Raises TakenError."""
        offset = self._offset(ip)
        if offset is None:
            raise TakenError(f"failed to allocate IP {ip}: the provided IP is not in the valid range {self._network}")
        if offset in self._taken:
            raise TakenError(f"failed to allocate IP {ip}: provided IP is already allocated")
        self._taken.add(offset)

    def release(self, ip: str) -> None:
        """Take an address back; nothing happens where it was not given out."""
        self._taken.discard(self._offset(ip) or 0)

    def _offset(self, ip: str) -> int | None:
        try:
            offset = int(ipaddress.IPv4Address(ip)) - int(self._network.network_address)
        except ValueError:
            return None
        return offset if 0 < offset < self._network.num_addresses - 1 else None


class NodePorts:
    """Gives out node ports, 30000 to 32767."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def allocate(self) -> int:
        """Return a port that is free now. Raises TakenError where none is left."""
        port = next((one for one in NODE_PORTS if one not in self._taken), None)
        if port is None:
            raise TakenError("failed to allocate a nodePort: range is full")
        self._taken.add(port)
        return port

    def take(self, port: int) -> None:
        """Give out a port that was asked for. Raises TakenError."""
        if port not in NODE_PORTS:
            raise TakenError(
                f"provided port is not in the valid range. The range of valid ports is {NODE_PORTS[0]}-{NODE_PORTS[-1]}"
            )
        if port in self._taken:
            raise TakenError("provided port is already allocated")
        self._taken.add(port)

    def release(self, port: int) -> None:
        """Take a port back; nothing happens where it was not given out."""
        self._taken.discard(port)
