"""Things that are applied: their shape, and short ways to apply, update and refuse."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.builtin.definitions import definition
from adapter_devcluster.objects import Object, copy, meta
from adapter_devcluster.patching.apply import apply
from adapter_devcluster.patching.field_sets import FieldSet
from adapter_devcluster.patching.ownership import update_managers
from adapter_devcluster.patching.shapes import Shape, shape_of, shape_of_crd
from adapter_devcluster.statuses import StatusError

TEXT: Object = {"type": "string"}
ITEMS: Object = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name", "port"],
    "items": {
        "type": "object",
        "properties": {"name": TEXT, "port": {"type": "integer", "default": 80}, "value": TEXT, "other": TEXT},
    },
}
SHAPE = shape_of_crd(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "mode": TEXT,
                    "size": {"type": "integer"},
                    "on": {"type": "boolean"},
                    "labels": {"type": "object", "additionalProperties": TEXT},
                    "unit": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": TEXT},
                    "args": {"type": "array", "items": TEXT},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
                    "items": ITEMS,
                    "nested": {"type": "object", "properties": {"x": TEXT, "y": TEXT}},
                    "open": {"x-kubernetes-preserve-unknown-fields": True},
                },
            },
            "status": {"type": "object", "properties": {"phase": TEXT}},
        },
    }
)
DEPLOYMENT = shape_of(definition("io.k8s.api.apps.v1.Deployment"), definition)
NOW = "2026-01-02T00:00:00Z"


def thing(spec: Object | None = None, **more: Any) -> Object:
    return {"apiVersion": "x.dev/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec or {}, **more}


def applied(
    live: Object | None,
    obj: Object,
    manager: str = "one",
    *,
    force: bool = False,
    shape: Shape = SHAPE,
    subresource: str = "",
    now: str = NOW,
    ignore: FieldSet | None = None,
) -> Object:
    before = copy(live), copy(obj)
    result = apply(
        live,
        obj,
        manager=manager,
        force=force,
        api_version=obj.get("apiVersion", "x.dev/v1"),
        subresource=subresource,
        shape=shape,
        now=now,
        ignore=ignore,
    )
    assert (live, obj) == before
    return result


def specs(*steps: tuple[str, Object], force: bool = False) -> Any:
    """Let managers apply one spec after the other; returns the last result's spec."""
    live: Object | None = None
    for manager, spec in steps:
        live = applied(live, thing(spec), manager, force=force)
    return live["spec"] if live else None


def managers_of(obj: Object) -> dict[str, Any]:
    return {f"{one['manager']} {one['operation']}": one["fieldsV1"] for one in meta(obj).get("managedFields", [])}


def updated(old: Object, new: Object, manager: str = "u", subresource: str = "", version: str = "x.dev/v1") -> Object:
    """Return ``new`` as it is after an update by this manager."""
    entries = update_managers(
        old, new, manager=manager, api_version=version, subresource=subresource, shape=SHAPE, now=NOW
    )
    return {**new, "metadata": {**new["metadata"], "managedFields": entries}}


def refused(live: Object | None, obj: Object, **how: Any) -> StatusError:
    with pytest.raises(StatusError) as caught:
        applied(live, obj, **how)
    return caught.value
