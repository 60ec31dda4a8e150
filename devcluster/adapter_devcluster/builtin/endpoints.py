"""Endpoints and EndpointSlices (``pkg/apis/{core,discovery}``, v1.36)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, duplicate, index, invalid, required, too_many
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks
from adapter_devcluster.objects import Object

_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_ADDRESS_TYPES: Final = ("FQDN", "IPv4", "IPv6")
_MOST_ADDRESSES: Final = 100
_MOST_ENDPOINTS: Final = 1000
_MOST_PORTS: Final = 20000


def _default_endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _check_endpoints(obj: Object) -> Iterator[FieldError]:
    for at, subset in checks.items_of(obj, "subsets", ""):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield required(at, "must specify `addresses` or `notReadyAddresses`")
        for name in ("addresses", "notReadyAddresses"):
            for where, address in checks.items_of(subset, name, at):
                yield from _check_ip(address.get("ip") or "", child(where, "ip"))
        for where, port in checks.items_of(subset, "ports", at):
            if len(subset["ports"]) > 1 and not port.get("name"):
                yield required(child(where, "name"))
            yield from checks.named(port, where, "name", names.check_dns_label)
            yield from checks.check_port(port.get("port", 0), child(where, "port"))
            yield from checks.one_of(port, where, "protocol", _PROTOCOLS)


def _check_ip(text: str, path: str) -> Iterator[FieldError]:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        yield invalid(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def _default_slice(obj: Object) -> None:
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _content(obj: Mapping[str, Any]) -> object:
    """A slice's generation counts all but its metadata."""
    return {name: value for name, value in obj.items() if name not in ("metadata", "kind", "apiVersion")}


def _check_slice(obj: Object) -> Iterator[FieldError]:
    yield from checks.one_of(obj, "", "addressType", _ADDRESS_TYPES)
    for name, most in (("endpoints", _MOST_ENDPOINTS), ("ports", _MOST_PORTS)):
        if len(obj.get(name) or ()) > most:
            yield too_many(name, len(obj[name]), most)
    for at, endpoint in checks.items_of(obj, "endpoints", ""):
        addresses, where = endpoint.get("addresses") or [], child(at, "addresses")
        if not addresses:
            yield required(where, "must contain at least 1 address")
        elif len(addresses) > _MOST_ADDRESSES:
            yield too_many(where, len(addresses), _MOST_ADDRESSES)
        for position, address in enumerate(addresses):
            if obj.get("addressType") in ("IPv4", "IPv6"):
                yield from _check_ip(address, index(where, position))
        yield from checks.named(endpoint, at, "nodeName")
        yield from checks.named(endpoint, at, "hostname", names.check_dns_label)
    taken: set[str] = set()
    for at, port in checks.items_of(obj, "ports", ""):
        name = port["name"]
        yield from checks.named(port, at, "name", names.check_dns_label)
        if name in taken:
            yield duplicate(child(at, "name"), name)
        taken.add(name)
        yield from checks.one_of(port, at, "protocol", _PROTOCOLS)
        yield from checks.check_port(port.get("port"), child(at, "port"))


def _check_slice_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from checks.unchanged(new, old, "", "addressType")


ENDPOINTS: Final = Strategy(defaults=_default_endpoints, check=_check_endpoints, update=UpdateChecks(metadata=0))
ENDPOINT_SLICES: Final = Strategy(
    defaults=_default_slice,
    check=_check_slice,
    check_update=_check_slice_update,
    update=UpdateChecks(changes=1),
    generation_of=_content,
)
