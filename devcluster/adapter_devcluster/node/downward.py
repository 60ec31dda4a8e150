"""The downward API: what a container may know of its pod (``pkg/fieldpath``, ``pkg/api/v1/resource``, v1.36)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from adapter_devcluster.apiextensions.go_text import quote
from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.objects import Object, annotations_of, labels_of, section

_SUBSCRIPT: Final = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
_FIELDS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
)
_LISTS: Final = ("status.hostIPs", "status.podIPs")


def field_value(pod: Object, path: str) -> str:
    """Return a field of the pod as text. Raises ValueError for a path that the downward API lacks."""
    part, _, name = path.partition(".")
    if found := _SUBSCRIPT.fullmatch(path):
        pairs = labels_of(pod) if found.group(1) == "labels" else annotations_of(pod)
        return pairs.get(found.group(2), "")
    if path == "metadata.labels":
        return _pairs(labels_of(pod))
    if path == "metadata.annotations":
        return _pairs(annotations_of(pod))
    if path in _LISTS:
        return ",".join(one["ip"] for one in section(pod, part).get(name) or [])
    if path in _FIELDS:
        return str(section(pod, part).get(name) or "")
    raise ValueError(f"unsupported fieldPath: {path}")


def resource_value(pod: Object, container: Object, reference: Object, allocatable: Mapping[str, str]) -> str:
    """Return a request or a limit, rounded up in units of ``divisor``.

    Where there is none, a limit is what the node has and a request is 0. Raises ValueError.
    """
    kind, _, resource = str(reference.get("resource")).partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise ValueError(f"unsupported container resource: {reference.get('resource')}")
    if name := reference.get("containerName"):
        containers = [*(section(pod, "spec").get("initContainers") or []), *section(pod, "spec")["containers"]]
        container = next((one for one in containers if one["name"] == name), {})
    resources = section(container, "resources")
    limits = resources.get("limits") or {}
    stated = limits if kind == "limits" else {**limits, **(resources.get("requests") or {})}
    missing = allocatable.get(resource, "0") if kind == "limits" else "0"
    divisor = value_of(reference.get("divisor") or "1") or value_of("1")
    return str(math.ceil(value_of(stated.get(resource, missing)) / divisor))


def _pairs(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{name}={quote(value)}" for name, value in sorted(pairs.items()))
