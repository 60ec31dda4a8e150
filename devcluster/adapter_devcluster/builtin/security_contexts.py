"""Validation of security contexts, of pods and of containers (``pkg/apis/core/validation``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions.errors import child, invalid, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.objects import Object

_PROFILES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_MAX_INT32: Final = 2**31 - 1


def check_pod_security(context: Object, path: str) -> Iterator[FieldError]:
    """Check the security context of a pod."""
    yield from _check_ids(context, path, "runAsUser", "runAsGroup", "fsGroup")
    yield from checks.one_of_if_set(context, path, "fsGroupChangePolicy", ("Always", "OnRootMismatch"))
    yield from _check_profiles(context, path)


def check_container_security(context: Object, path: str) -> Iterator[FieldError]:
    """Check the security context of a container."""
    yield from _check_ids(context, path, "runAsUser", "runAsGroup")
    yield from checks.one_of_if_set(context, path, "procMount", ("Default", "Unmasked"))
    yield from _check_profiles(context, path)
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield invalid(path, context, detail)


def _check_ids(context: Object, path: str, *fields: str) -> Iterator[FieldError]:
    for name in fields:
        found = context.get(name)
        if found is not None and not 0 <= found <= _MAX_INT32:
            yield invalid(child(path, name), found, f"must be between 0 and {_MAX_INT32}, inclusive")


def _check_profiles(context: Object, path: str) -> Iterator[FieldError]:
    for field in ("seccompProfile", "appArmorProfile"):
        if field not in context:
            continue
        profile, at = context[field], child(path, field)
        yield from checks.one_of(profile, at, "type", _PROFILES)
        local, given = profile.get("type") == "Localhost", profile.get("localhostProfile")
        if local and not given:
            yield required(child(at, "localhostProfile"), "must be set when the type is Localhost")
        elif given and not local:
            yield invalid(child(at, "localhostProfile"), given, "can only be set when the type is Localhost")
