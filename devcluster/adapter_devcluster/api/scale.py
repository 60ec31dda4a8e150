"""The ``scale`` subresource: one small object, read from and written to fields of the object it belongs to.

Sources: ``pkg/registry/apps/deployment/storage/storage.go`` and ``apiextensions-apiserver/pkg/registry/
customresource/etcd.go`` (v1.36).
"""

from __future__ import annotations

from typing import Any

from adapter_devcluster.api.registry import Served
from adapter_devcluster.apiextensions import Scale
from adapter_devcluster.apiextensions import errors as field_errors
from adapter_devcluster.objects import Object, copy, meta, section
from adapter_devcluster.selectors import selector_text
from adapter_devcluster.statuses import bad_request, internal_error, invalid

_BUILT_IN = Scale(".spec.replicas", ".status.replicas", ".spec.selector")


def scale_of(served: Served, obj: Object, *, replacing: bool = False) -> Object:
    """Return the Scale object. Raises StatusError (500) where the object has no replicas, unless it gets them now."""
    paths = served.scale or _BUILT_IN
    found, replicas = meta(obj), _read(obj, paths.spec_replicas)
    if replicas is None and served.custom and not replacing:
        raise internal_error(f'the spec replicas field "{paths.spec_replicas}" does not exist')
    selector = _read(obj, paths.label_selector) if paths.label_selector else None
    text = selector_text(selector) if isinstance(selector, dict) else selector
    status: Object = {"replicas": _read(obj, paths.status_replicas) or 0}
    if text:
        status["selector"] = text
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: found[name] for name in kept if name in found},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def with_scale(served: Served, obj: Object, scale: Object) -> Object:
    """Return the object with the replicas of a Scale. Raises StatusError where the Scale is not one."""
    if not isinstance(scale.get("spec", {}), dict) or not isinstance(scale.get("metadata", {}), dict):
        raise bad_request('Scale in version "v1" cannot be handled as a Scale: spec and metadata must be objects')
    replicas = section(scale, "spec").get("replicas") or 0
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise bad_request('Scale in version "v1" cannot be handled as a Scale: spec.replicas must be an integer')
    found = meta(obj)
    if replicas < 0:
        error = field_errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("autoscaling", "Scale", found["name"], [error])
    new = copy(obj)
    _write(new, (served.scale or _BUILT_IN).spec_replicas, replicas)
    sent = section(scale, "metadata")
    for name in ("resourceVersion", "uid"):
        if sent.get(name):
            new["metadata"][name] = sent[name]
        elif name == "resourceVersion":
            new["metadata"][name] = found[name]
    return dict(new)


def applied_scale(served: Served, name: str, patch: Any) -> Object:  # noqa: ANN401 - a body of any kind
    """Return what an applied Scale says of the object itself. Raises StatusError (400) for what is no Scale."""
    if not isinstance(patch, dict) or (patch.get("apiVersion"), patch.get("kind")) != ("autoscaling/v1", "Scale"):
        raise bad_request("invalid object type: the path is of autoscaling/v1, Kind=Scale")
    sent = {one: value for one, value in section(patch, "metadata").items() if one in ("uid", "resourceVersion")}
    applied: Object = {
        "apiVersion": served.type.api_version,
        "kind": served.type.kind,
        "metadata": {"name": name, **sent},
    }
    if "replicas" in section(patch, "spec"):
        _write(applied, (served.scale or _BUILT_IN).spec_replicas, patch["spec"]["replicas"])
    return applied


def _read(obj: Object, path: str) -> Any:  # noqa: ANN401 - a JSON value of any kind
    found: Any = obj
    for name in path.lstrip(".").split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _write(obj: Object, path: str, value: int) -> None:
    *parents, last = path.lstrip(".").split(".")
    for name in parents:
        obj = obj.setdefault(name, {})
    obj[last] = value
