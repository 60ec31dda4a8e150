"""Validation of probes and of life cycle hooks (``validateProbe``, ``validateHandler``, v1.36)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions.errors import child, forbidden, invalid, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.objects import Object

_NUMBERS: Final = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def check_probe(probe: Object | None, path: str, kind: str) -> Iterator[FieldError]:
    """Check a probe. ``kind`` is the name of its field in the container."""
    if probe is None:
        return
    yield from _check_handler(probe, path, ("exec", "httpGet", "tcpSocket", "grpc"))
    yield from checks.non_negative(probe, path, *_NUMBERS)
    grace = probe.get("terminationGracePeriodSeconds")
    at = child(path, "terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        yield invalid(at, grace, "must be greater than 0")
    if kind == "readinessProbe":
        if grace is not None:
            yield invalid(at, grace, "must not be set for readinessProbes")
    elif probe.get("successThreshold", 1) != 1:
        yield invalid(child(path, "successThreshold"), probe["successThreshold"], "must be 1")


def check_lifecycle(lifecycle: Object | None, path: str) -> Iterator[FieldError]:
    """Check the hooks of a container."""
    for name in ("postStart", "preStop"):
        if lifecycle and name in lifecycle:
            at = child(path, name)
            yield from _check_handler(lifecycle[name], at, ("exec", "httpGet", "tcpSocket", "sleep"))


def _check_handler(handler: Object, path: str, kinds: tuple[str, ...]) -> Iterator[FieldError]:
    given = [name for name in kinds if name in handler]
    if not given:
        yield required(path, "must specify a handler type")
    for position, name in enumerate(given):
        if position:
            yield forbidden(child(path, name), "may not specify more than 1 handler type")
        else:
            yield from _HANDLERS[name](handler[name], child(path, name))


def _check_exec(action: Object, path: str) -> Iterator[FieldError]:
    yield from checks.needed(action, path, "command")


def _check_http(action: Object, path: str) -> Iterator[FieldError]:
    yield from checks.needed(action, path, "path")
    yield from checks.check_port_or_name(action.get("port"), child(path, "port"))
    yield from checks.one_of(action, path, "scheme", ("HTTP", "HTTPS"))
    for at, header in checks.items_of(action, "httpHeaders", path):
        yield from checks.needed(header, at, "name")


def _check_tcp(action: Object, path: str) -> Iterator[FieldError]:
    yield from checks.check_port_or_name(action.get("port"), child(path, "port"))


def _check_grpc(action: Object, path: str) -> Iterator[FieldError]:
    yield from checks.check_port(action.get("port"), child(path, "port"))


def _check_sleep(action: Object, path: str) -> Iterator[FieldError]:
    yield from checks.non_negative(action, path, "seconds")


_HANDLERS: Final[Mapping[str, Callable[[Object, str], Iterator[FieldError]]]] = {
    "exec": _check_exec,
    "httpGet": _check_http,
    "tcpSocket": _check_tcp,
    "grpc": _check_grpc,
    "sleep": _check_sleep,
}
