"""Pod addresses: loopback addresses, 127.x.y.z, which Linux answers on without any setup."""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Iterator
from typing import Final

LOOPBACK: Final = ipaddress.IPv4Network("127.0.0.0/8")
# Tried in turn when no range is asked for, so that several clusters find room on one machine.
_RANGES: Final = tuple(f"127.{second}.0.0/16" for second in range(64, 128))


class AddressError(Exception):
    """A range can't be had; the message names the setting to change."""


class PodAddresses:
    """Hands out the addresses of a range in turn, so that one is used again as late as possible.

    A range belongs to one process of a machine at a time: an abstract Unix socket, which goes with the process,
    holds it.
    """

    def __init__(self, cidr: str = "") -> None:
        """Take a range, or a free one if none is given. Raises AddressError."""
        self._network, self._claim = self._claim_first((cidr,) if cidr else _RANGES)
        self._next: Iterator[int] = itertools.cycle(range(1, self._network.num_addresses - 1))
        self._used: set[str] = set()

    @property
    def cidr(self) -> str:
        """The range."""
        return str(self._network)

    def allocate(self) -> str:
        """Return an address that no pod has. Raises AddressError when there is none."""
        for offset in itertools.islice(self._next, self._network.num_addresses - 2):
            address = str(self._network[offset])
            if address not in self._used:
                self._used.add(address)
                return address
        raise AddressError(f"the pod address range {self.cidr} is exhausted; set a larger one (pod_cidr)")

    def release(self, address: str) -> None:
        """Take an address back."""
        self._used.discard(address)

    def close(self) -> None:
        """Give up the range."""
        self._claim.close()

    @staticmethod
    def _claim_first(ranges: tuple[str, ...]) -> tuple[ipaddress.IPv4Network, socket.socket]:
        problem = ""
        for cidr in ranges:
            network = _network(cidr)
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0adapter-devcluster-pods-{network}")
                with socket.socket() as probe:
                    probe.bind((str(network[1]), 0))
            except OSError as error:
                claim.close()
                problem = f"the pod address range {cidr} can't be used: {error.strerror}; set another one (pod_cidr)"
                continue
            return network, claim
        raise AddressError(problem)


def _network(cidr: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise AddressError(f"the pod address range {cidr!r} is none (pod_cidr): {error}") from error
    if not network.subnet_of(LOOPBACK) or network.prefixlen > 30:
        raise AddressError(f"the pod address range {cidr} must lie in {LOOPBACK} and have 2 addresses (pod_cidr)")
    return network
