"""Validation of the containers of a pod (``ValidateContainers``, ``pkg/apis/core/validation``, v1.36)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import (
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    not_found,
    not_supported,
    required,
)
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.probes import check_lifecycle, check_probe
from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.builtin.security_contexts import check_container_security
from adapter_devcluster.objects import Object

PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_STANDARD_RESOURCES: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
_FIELD_PATHS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELD_PATHS: Final = ("metadata.name", "metadata.namespace", "metadata.uid")
_SUBSCRIPTED: Final = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_RESOURCE_FIELDS: Final = frozenset(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)


def check_containers(spec: Object, path: str, *, is_pod: bool) -> Iterator[FieldError]:
    """Check the containers and init containers of a pod spec."""
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    taken: set[str] = set()
    at = child(path, "containers")
    if not spec.get("containers"):
        yield required(at)
    for where, container in checks.items_of(spec, "containers", path):
        yield from _check_container(container, volumes, where, taken, is_pod=is_pod)
        yield from checks.one_of_if_set(container, where, "restartPolicy", _RESTART_POLICIES)
        yield from check_lifecycle(container.get("lifecycle"), child(where, "lifecycle"))
        for name in _PROBES:
            yield from check_probe(container.get(name), child(where, name), name)
    for where, container in checks.items_of(spec, "initContainers", path):
        yield from _check_container(container, volumes, where, taken, is_pod=is_pod)
        yield from _check_init(container, where)
    if spec.get("ephemeralContainers"):
        yield forbidden(child(path, "ephemeralContainers"), "cannot be set on create")


def _check_init(container: Object, path: str) -> Iterator[FieldError]:
    """Check what is special in an init container; one that always restarts is a sidecar."""
    policy = container.get("restartPolicy")
    yield from checks.one_of_if_set(container, path, "restartPolicy", ("Always",))
    if policy == "Always":
        yield from check_lifecycle(container.get("lifecycle"), child(path, "lifecycle"))
    for name in ("lifecycle", *_PROBES):
        if policy != "Always" and name in container:
            yield forbidden(child(path, name), "may not be set for init containers without restartPolicy=Always")
        elif name in _PROBES:
            yield from check_probe(container.get(name), child(path, name), name)


def _check_container(
    container: Object, volumes: Collection[object], path: str, taken: set[str], *, is_pod: bool
) -> Iterator[FieldError]:
    name, image = container.get("name") or "", container.get("image") or ""
    if not name:
        yield required(child(path, "name"))
    else:
        yield from checks.named(container, path, "name", names.check_dns_label)
        if name in taken:
            yield duplicate(child(path, "name"), name)
        taken.add(name)
    if not image:
        yield required(child(path, "image"))
    elif is_pod and image != image.strip():
        yield invalid(child(path, "image"), image, "must not have leading or trailing whitespace")
    yield from checks.one_of(container, path, "terminationMessagePolicy", ("File", "FallbackToLogsOnError"))
    yield from checks.one_of(container, path, "imagePullPolicy", PULL_POLICIES)
    yield from _check_ports(container, path)
    yield from _check_env(container, path)
    yield from _check_mounts(container, volumes, path)
    yield from check_resources(container["resources"], child(path, "resources"))
    yield from check_container_security(container.get("securityContext") or {}, child(path, "securityContext"))


def _check_ports(container: Object, path: str) -> Iterator[FieldError]:
    taken: set[str] = set()
    for at, port in checks.items_of(container, "ports", path):
        name = port.get("name") or ""
        if name:
            problems = checks.port_name_problems(name)
            yield from (invalid(child(at, "name"), name, problem) for problem in problems)
            if not problems and name in taken:
                yield duplicate(child(at, "name"), name)
            taken.add(name)
        if not port.get("containerPort"):
            yield required(child(at, "containerPort"))
        else:
            yield from checks.check_port(port["containerPort"], child(at, "containerPort"))
        yield from checks.check_port(port.get("hostPort"), child(at, "hostPort"))
        yield from checks.one_of(port, at, "protocol", _PROTOCOLS)


def _check_env(container: Object, path: str) -> Iterator[FieldError]:
    for at, env in checks.items_of(container, "env", path):
        if not env.get("name"):
            yield required(child(at, "name"))
        yield from checks.named(env, at, "name", checks.env_name_problems)
        if "valueFrom" in env:
            yield from _check_source(env, child(at, "valueFrom"))
    for at, source in checks.items_of(container, "envFrom", path):
        yield from checks.named(source, at, "prefix", checks.env_name_problems)
        given = [name for name in ("configMapRef", "secretRef") if name in source]
        for name in given:
            yield from checks.needed(source[name], child(at, name), "name")
            yield from checks.named(source[name], child(at, name), "name")
        if len(given) > 1:
            yield invalid(at, "", "may not have more than one field specified at a time")
        elif not given:
            yield invalid(at, "", "must specify one of: `configMapRef` or `secretRef`")


def _check_source(env: Object, path: str) -> Iterator[FieldError]:
    source = env["valueFrom"]
    given = [name for name in _SOURCES if name in source]
    if "fieldRef" in source:
        yield from check_field_ref(source["fieldRef"], child(path, "fieldRef"), _FIELD_PATHS)
    if "resourceFieldRef" in source:
        yield from check_resource_field_ref(source["resourceFieldRef"], child(path, "resourceFieldRef"))
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in source:
            at = child(path, name)
            yield from checks.needed(source[name], at, "name", "key")
            yield from checks.named(source[name], at, "key", checks.config_key_problems)
    if not given:
        yield invalid(path, "", f"must specify one of: {', '.join(f'`{name}`' for name in _SOURCES)}")
    elif env.get("value"):
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(given) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def check_field_ref(ref: Object, path: str, supported: tuple[str, ...]) -> Iterator[FieldError]:
    """Check a reference to a field of the pod."""
    found, at = ref.get("fieldPath") or "", child(path, "fieldPath")
    if not found:
        yield required(at)
        return
    match = _SUBSCRIPTED.fullmatch(found)
    if match:
        for problem in names.check_label_key(match[2].lower() if match[1] == "annotations" else match[2]):
            yield invalid(at, found, problem)
    elif found not in supported:
        yield not_supported(at, found, supported)


def check_resource_field_ref(ref: Object, path: str, *, volume: bool = False) -> Iterator[FieldError]:
    """Check a reference to a container's resources."""
    if volume and not ref.get("containerName"):
        yield required(child(path, "containerName"))
    found = ref.get("resource") or ""
    if not found:
        yield required(child(path, "resource"))
    elif found not in _RESOURCE_FIELDS and ".hugepages-" not in found:
        yield not_supported(child(path, "resource"), found, sorted(_RESOURCE_FIELDS))


def _check_mounts(container: Object, volumes: Collection[object], path: str) -> Iterator[FieldError]:
    taken: set[str] = set()
    for at, mount in checks.items_of(container, "volumeMounts", path):
        name, where = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            yield required(child(at, "name"))
        if name not in volumes:
            yield not_found(child(at, "name"), name)
        if not where:
            yield required(child(at, "mountPath"))
        elif where in taken:
            yield invalid(child(at, "mountPath"), where, "must be unique")
        taken.add(where)
        for field in ("subPath", "subPathExpr"):
            yield from check_descending(mount, at, field)
        if mount.get("subPath") and mount.get("subPathExpr"):
            yield invalid(
                child(at, "subPathExpr"), mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
            )
        supported = ("Bidirectional", "HostToContainer", "None")
        yield from checks.one_of_if_set(mount, at, "mountPropagation", supported)


def check_descending(obj: Mapping[str, Any], path: str, name: str) -> Iterator[FieldError]:
    """Check a relative path that stays inside of its folder."""
    found = obj.get(name) or ""
    if found.startswith("/"):
        yield invalid(child(path, name), found, "must be a relative path")
    if ".." in found.split("/"):
        yield invalid(child(path, name), found, "must not contain '..'")


def check_resources(resources: Object, path: str) -> Iterator[FieldError]:
    """Check limits and requests of a container, or of a pod."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    limits_at, requests_at = child(path, "limits"), child(path, "requests")
    for amounts, at in ((limits, limits_at), (requests, requests_at)):
        for name, amount in amounts.items():
            yield from _check_resource_name(name, index(at, name))
            yield from _check_amount(name, amount, index(at, name))
    for name, amount in requests.items():
        if name in limits:
            difference = value_of(amount) - value_of(limits[name])
            if difference and not _overcommits(name):
                yield invalid(requests_at, amount, f"must be equal to {name} limit of {limits[name]}")
            elif difference > 0:
                yield invalid(requests_at, amount, f"must be less than or equal to {name} limit of {limits[name]}")
        elif not _overcommits(name):
            yield required(limits_at, "Limit must be set for non overcommitable resources")


def _check_resource_name(name: str, path: str) -> Iterator[FieldError]:
    problems = names.check_label_key(name)
    yield from (invalid(path, name, problem) for problem in problems)
    if not problems and "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        yield invalid(path, name, "must be a standard resource type or fully qualified")
        yield invalid(path, name, "must be a standard resource for containers")


def _check_amount(name: str, amount: str, path: str) -> Iterator[FieldError]:
    value = value_of(amount)
    if value < 0:
        yield invalid(path, amount, checks.NON_NEGATIVE)
    if _is_extended(name) and value.denominator != 1:
        yield invalid(path, amount, "must be an integer")


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name


def _overcommits(name: str) -> bool:
    """Whether requests of a resource may be lower than its limits."""
    return not _is_extended(name) and not name.startswith("hugepages-")


def names_of(containers: Iterable[Object] | None) -> list[str]:
    """Return the names of containers."""
    return [str(one.get("name") or "") for one in containers or ()]
