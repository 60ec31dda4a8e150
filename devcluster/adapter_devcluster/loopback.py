"""Ranges of loopback addresses: Linux answers on all of 127.0.0.0/8 without any setup."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

LOOPBACK: Final = ipaddress.IPv4Network("127.0.0.0/8")


def is_loopback(address: str) -> bool:
    """Whether a text is an address of the loopback: nothing here listens or connects elsewhere."""
    try:
        return ipaddress.IPv4Address(address) in LOOPBACK
    except ValueError:
        return False


class RangeError(Exception):
    """A range can't be had; the message says why."""


class LoopbackRange:
    """A range that belongs to one process of a machine at a time, so that several clusters find room.

    An abstract Unix socket, which goes with the process, holds it.
    """

    def __init__(self, ranges: Sequence[str]) -> None:
        """Take the first range that is free. Raises RangeError."""
        self.network, self._claim = _claim_first(ranges)

    def close(self) -> None:
        """Give the range up."""
        self._claim.close()


def _claim_first(ranges: Sequence[str]) -> tuple[ipaddress.IPv4Network, socket.socket]:
    problem = "none was given"
    for cidr in ranges:
        network = _network(cidr)
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0adapter-devcluster-range-{network}")
            with socket.socket() as probe:
                probe.bind((str(network[1]), 0))
        except OSError as error:
            claim.close()
            problem = f"{cidr} can't be used: {error.strerror}"
            continue
        return network, claim
    raise RangeError(problem)


def _network(cidr: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise RangeError(f"{cidr!r} is no range: {error}") from error
    if not network.subnet_of(LOOPBACK) or network.prefixlen > 30:
        raise RangeError(f"{cidr} must lie in {LOOPBACK} and have 2 addresses")
    return network
