"""Fields that a field selector names otherwise than objects do (``pkg/registry/*/strategy.go``, v1.36)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from adapter_devcluster.builtin.events import new_event
from adapter_devcluster.objects import Object, section
from adapter_devcluster.resource_types import ResourceType


def _event(event: Object) -> Object:
    component = section(event, "source").get("component") or event.get("reportingComponent") or ""
    return {**event, "source": component}


def _job(job: Object) -> Object:
    return {**job, "status": {"successful": section(job, "status").get("succeeded") or 0}}


def _node(node: Object) -> Object:
    return {**node, "spec": {"unschedulable": False, **section(node, "spec")}}


def _pod(pod: Object) -> Object:
    return {**pod, "spec": {"hostNetwork": False, **section(pod, "spec")}}


def _same(obj: Object) -> Object:
    return obj


_VIEWS: Final[Mapping[str, Callable[[Object], Object]]] = {
    "events": _event,
    "events.events.k8s.io": new_event,
    "jobs.batch": _job,
    "nodes": _node,
    "pods": _pod,
}


def selectable_view(resource_type: ResourceType) -> Callable[[Object], Object]:
    """Return what gives a stored object the form in which field selectors of its type see it."""
    return _VIEWS.get(resource_type.resource, _same)
