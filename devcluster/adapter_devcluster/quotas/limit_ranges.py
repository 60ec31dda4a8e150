"""LimitRanges: requests and limits of containers that say none, and their bounds.

Follows ``plugin/pkg/admission/limitranger/admission.go`` (v1.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Final

from adapter_devcluster.builtin.quality_of_service import quality_of_service
from adapter_devcluster.builtin.quantities import canonical, value_of
from adapter_devcluster.objects import Object, annotations_of, asked_name, meta, section
from adapter_devcluster.quotas.usage import pod_amounts
from adapter_devcluster.statuses import forbidden

_ANNOTATION: Final = "kubernetes.io/limit-ranger"
_LISTS: Final = (("containers", "container"), ("initContainers", "init container"))


def with_defaults(pod: Object, ranges: Iterable[Object]) -> Object:
    """Return a new pod with the defaults of its namespace's limit ranges, noted in an annotation."""
    for one in ranges:
        requests: dict[str, str] = {}
        limits: dict[str, str] = {}
        for item in _items(one, "Container"):
            requests |= {name: canonical(amount) for name, amount in (item.get("defaultRequest") or {}).items()}
            limits |= {name: canonical(amount) for name, amount in (item.get("default") or {}).items()}
        pod = _merged(pod, requests, limits)
    return pod


def _merged(pod: Object, requests: Mapping[str, str], limits: Mapping[str, str]) -> Object:
    spec, notes = dict(pod["spec"]), []
    for name, word in _LISTS:
        containers = []
        for container in spec.get(name) or []:
            resources = section(container, "resources")
            for kind, shown, defaults in (("requests", "request", requests), ("limits", "limit", limits)):
                given = resources.get(kind) or {}
                added = sorted(defaults.keys() - given.keys())
                if added:
                    resources = {**resources, kind: {**given, **{one: defaults[one] for one in added}}}
                    notes.append(f"{', '.join(added)} {shown} for {word} {container['name']}")
            containers.append({**container, "resources": resources})
        if containers:
            spec[name] = containers
    if not notes:
        return pod
    annotations = {**annotations_of(pod), _ANNOTATION: f"LimitRanger plugin set: {'; '.join(notes)}"}
    status = {**section(pod, "status"), "qosClass": quality_of_service(spec)}
    return {**pod, "metadata": {**meta(pod), "annotations": annotations}, "spec": spec, "status": status}


def check_limits(resource: str, obj: Object, ranges: Iterable[Object]) -> None:
    """Check a new pod or a claim. Raises StatusError (403)."""
    problems = [problem for one in ranges for problem in _problems(resource, obj, one)]
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise forbidden(resource, asked_name(obj), text)


def _problems(resource: str, obj: Object, limit_range: Object) -> Iterator[str]:
    if resource == "persistentvolumeclaims":
        requests = section(obj, "spec", "resources", "requests")
        for item in _items(limit_range, "PersistentVolumeClaim"):
            yield from _bounds(item, requests, {}, maximum_of_requests=True)
        return
    containers = [one for name, _ in _LISTS for one in section(obj, "spec").get(name) or []]
    for item in _items(limit_range, "Container"):
        for container in containers:
            resources = section(container, "resources")
            yield from _bounds(item, section(resources, "requests"), section(resources, "limits"))
    for item in _items(limit_range, "Pod"):
        yield from _bounds(item, pod_amounts(obj, "requests"), pod_amounts(obj, "limits"))


def _items(limit_range: Object, kind: str) -> list[Object]:
    return [item for item in section(limit_range, "spec").get("limits") or [] if item.get("type") == kind]


def _bounds(
    item: Object, requests: Mapping[str, str], limits: Mapping[str, str], *, maximum_of_requests: bool = False
) -> Iterator[str]:
    kind = item["type"]
    for name, least in (item.get("min") or {}).items():
        prefix = f"minimum {name} usage per {kind} is {least}"
        if name not in requests:
            yield f"{prefix}.  No request is specified"
        elif value_of(requests[name]) < value_of(least):
            yield f"{prefix}, but request is {requests[name]}"
        elif name in limits and value_of(limits[name]) < value_of(least):
            yield f"{prefix}, but limit is {limits[name]}"
    for name, most in (item.get("max") or {}).items():
        prefix = f"maximum {name} usage per {kind} is {most}"
        word, bounded = ("request", requests) if maximum_of_requests else ("limit", limits)
        if name not in bounded:
            yield f"{prefix}.  No {word} is specified"
        elif value_of(bounded[name]) > value_of(most):
            yield f"{prefix}, but {word} is {bounded[name]}"
        elif name in requests and value_of(requests[name]) > value_of(most):
            yield f"{prefix}, but request is {requests[name]}"
    for name, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        yield from _ratio(kind, name, ratio, requests, limits)


def _ratio(kind: str, name: str, ratio: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> Iterator[str]:
    prefix = f"{name} max limit to request ratio per {kind} is {ratio}"
    request, limit = (value_of(found.get(name, "0")) for found in (requests, limits))
    if not request:
        yield f"{prefix}, but no request is specified or request is 0"
    elif not limit:
        yield f"{prefix}, but no limit is specified or limit is 0"
    elif Fraction(limit, request) > value_of(ratio):
        yield f"{prefix}, but provided ratio is {float(limit / request):f}"
