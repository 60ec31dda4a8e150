"""Validation of the volumes of a pod (``ValidateVolumes``, ``pkg/apis/core/validation``, v1.36)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, duplicate, forbidden, invalid, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.containers import (
    PULL_POLICIES,
    VOLUME_FIELD_PATHS,
    check_descending,
    check_field_ref,
    check_resource_field_ref,
)
from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.objects import Object

_MODES: Final = "must be a number between 0 and 0777 (octal), both inclusive"
_PROJECTED: Final = (
    "secret",
    "configMap",
    "downwardAPI",
    "serviceAccountToken",
    "clusterTrustBundle",
    "podCertificate",
)
_SHORTEST_TOKEN: Final = 600


def check_volumes(spec: Object, path: str, *, is_pod: bool) -> Iterator[FieldError]:
    """Check the volumes of a pod spec. Only a pod's images need a reference; a template's may come later."""
    taken: set[str] = set()
    for at, volume in checks.items_of(spec, "volumes", path):
        name = volume.get("name") or ""
        if not name:
            yield required(child(at, "name"))
        yield from checks.named(volume, at, "name", names.check_dns_label)
        if name in taken:
            yield duplicate(child(at, "name"), name)
        taken.add(name)
        for position, kind in enumerate(kind for kind in volume if kind != "name"):
            if position:
                yield forbidden(child(at, kind), "may not specify more than 1 volume type")
            elif kind in _KINDS:
                yield from _KINDS[kind](volume[kind], child(at, kind))
        if is_pod and "image" in volume:
            yield from checks.needed(volume["image"], child(at, "image"), "reference")


def _check_empty_dir(source: Object, path: str) -> Iterator[FieldError]:
    if "sizeLimit" in source and value_of(source["sizeLimit"]) < 0:
        yield forbidden(child(path, "sizeLimit"), "SizeLimit field must be a valid resource quantity")


def _check_host_path(source: Object, path: str) -> Iterator[FieldError]:
    found = source.get("path") or ""
    if not found:
        yield required(child(path, "path"))
    if ".." in found.split("/"):
        yield invalid(child(path, "path"), found, "must not contain '..'")
    kinds = ("BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
    yield from checks.one_of_if_set(source, path, "type", kinds)


def _check_secret(source: Object, path: str) -> Iterator[FieldError]:
    yield from checks.needed(source, path, "secretName")
    yield from _check_mode(source, path, "defaultMode")
    yield from _check_keys(source, path)


def _check_config_map(source: Object, path: str) -> Iterator[FieldError]:
    yield from checks.needed(source, path, "name")
    yield from _check_mode(source, path, "defaultMode")
    yield from _check_keys(source, path)


def _check_mode(source: Mapping[str, Any], path: str, name: str) -> Iterator[FieldError]:
    mode = source.get(name)
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(child(path, name), mode, _MODES)


def _check_keys(source: Object, path: str) -> Iterator[FieldError]:
    for at, item in checks.items_of(source, "items", path):
        yield from checks.needed(item, at, "key", "path")
        yield from check_descending(item, at, "path")
        yield from _check_mode(item, at, "mode")


def _check_claim(source: Object, path: str) -> Iterator[FieldError]:
    yield from checks.needed(source, path, "claimName")


def _check_downward(source: Object, path: str) -> Iterator[FieldError]:
    yield from _check_mode(source, path, "defaultMode")
    for at, item in checks.items_of(source, "items", path):
        yield from checks.needed(item, at, "path")
        yield from check_descending(item, at, "path")
        yield from _check_mode(item, at, "mode")
        if "fieldRef" in item:
            yield from check_field_ref(item["fieldRef"], child(at, "fieldRef"), VOLUME_FIELD_PATHS)
            if "resourceFieldRef" in item:
                yield invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
        elif "resourceFieldRef" in item:
            yield from check_resource_field_ref(item["resourceFieldRef"], child(at, "resourceFieldRef"), volume=True)
        else:
            yield required(at, "one of fieldRef and resourceFieldRef is required")


def _check_projected(source: Object, path: str) -> Iterator[FieldError]:
    yield from _check_mode(source, path, "defaultMode")
    for at, one in checks.items_of(source, "sources", path):
        given = [kind for kind in _PROJECTED if kind in one]
        if not given:
            yield required(at, f"must specify one of {', '.join(_PROJECTED)}")
        for position, kind in enumerate(given):
            if position:
                yield forbidden(child(at, kind), "may not specify more than 1 volume type")
                continue
            where = child(at, kind)
            if kind in ("secret", "configMap"):
                yield from checks.needed(one[kind], where, "name")
                yield from _check_keys(one[kind], where)
            elif kind == "downwardAPI":
                yield from _check_downward(one[kind], where)
            elif kind == "serviceAccountToken":
                yield from _check_token(one[kind], where)


def _check_token(source: Object, path: str) -> Iterator[FieldError]:
    yield from checks.needed(source, path, "path")
    yield from check_descending(source, path, "path")
    seconds, at = source["expirationSeconds"], child(path, "expirationSeconds")
    if seconds < _SHORTEST_TOKEN:
        yield invalid(at, seconds, "may not specify a duration less than 10 minutes")
    elif seconds > 2**32:
        yield invalid(at, seconds, "may not specify a duration larger than 2^32 seconds")


def _check_image(source: Object, path: str) -> Iterator[FieldError]:
    yield from checks.one_of_if_set(source, path, "pullPolicy", PULL_POLICIES)


_KINDS: Final[Mapping[str, Callable[[Object, str], Iterator[FieldError]]]] = {
    "emptyDir": _check_empty_dir,
    "hostPath": _check_host_path,
    "secret": _check_secret,
    "configMap": _check_config_map,
    "persistentVolumeClaim": _check_claim,
    "downwardAPI": _check_downward,
    "projected": _check_projected,
    "image": _check_image,
}
