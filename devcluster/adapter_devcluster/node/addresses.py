"""Pod addresses: loopback addresses, 127.x.y.z, which Linux answers on without any setup."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from adapter_devcluster.loopback import LoopbackRange, RangeError

# Tried in turn when no range is asked for, so that several clusters find room on one machine.
_RANGES: Final = tuple(f"127.{second}.0.0/16" for second in range(64, 128))


class AddressError(Exception):
    """A range can't be had; the message names the setting to change."""


class PodAddresses:
    """Hands out the addresses of a range in turn, so that one is used again as late as possible."""

    def __init__(self, cidr: str = "") -> None:
        """Take a range, or a free one if none is given. Raises AddressError."""
        try:
            self._range = LoopbackRange((cidr,) if cidr else _RANGES)
        except RangeError as error:
            raise AddressError(f"no pod address range: {error}; set another one (pod_cidr)") from error
        self._network = self._range.network
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
        self._range.close()
