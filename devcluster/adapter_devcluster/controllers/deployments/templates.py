"""Pod templates: which ReplicaSet has a Deployment's, and the ReplicaSet that is made for a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from adapter_devcluster.controllers.ownership import controller_reference
from adapter_devcluster.controllers.replica_sets import min_ready_seconds
from adapter_devcluster.objects import Object, copy, key, labels_of, meta, section

HASH_LABEL: Final = "pod-template-hash"
_SAFE: Final = "bcdfghjklmnpqrstvwxz2456789"
_FNV_OFFSET: Final = 2166136261
_FNV_PRIME: Final = 16777619
_LONGEST_NAME: Final = 253
# Go's maps and lists have no difference between empty and absent; its optional structs do.
_MAPS: Final = frozenset({"labels", "annotations", "nodeSelector", "matchLabels", "limits", "requests"})


def template_hash(template: Object, collisions: int | None) -> str:
    """Return what tells ReplicaSets of one Deployment apart, in characters that spell no words.

    Unlike upstream's it is computed over JSON, so the same template has another hash on a real cluster.
    ``collisions`` is ``status.collisionCount``: it leads to another hash once a name was taken.
    """
    number = _FNV_OFFSET
    for byte in orjson.dumps([_comparable(template), collisions], option=orjson.OPT_SORT_KEYS):
        number = ((number ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(number))


def equal_templates(one: Object, other: Object) -> bool:
    """Whether two pod templates mean the same, the hash label aside."""
    return bool(_comparable(one) == _comparable(other))


def _comparable(template: Object) -> Any:  # noqa: ANN401 - a JSON value
    found = _without_empty(template)
    metadata = section(found, "metadata")
    labels = {name: value for name, value in labels_of(found).items() if name != HASH_LABEL}
    # A creation timestamp of null was written by older clients; nobody sets another.
    metadata = {name: value for name, value in metadata.items() if name not in {"labels", "creationTimestamp"}}
    return {"metadata": {**metadata, "labels": labels}, "spec": section(found, "spec")}


def _without_empty(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, dict):
        return {
            field: _without_empty(item)
            for field, item in value.items()
            if item is not None and item != [] and not (item == {} and field in _MAPS)
        }
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


def age(replica_set: Object) -> tuple[str, str]:
    """Return a sort key by age, the oldest first."""
    return str(meta(replica_set).get("creationTimestamp")), key(replica_set)[1]


def find_new(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """Return the oldest ReplicaSet that has the Deployment's template."""
    template = section(deployment, "spec", "template")
    found = [one for one in replica_sets if equal_templates(section(one, "spec", "template"), template)]
    return min(found, key=age, default=None)


def new_replica_set(deployment: Object) -> Object:
    """Return a ReplicaSet to create for the Deployment's template, with no replicas and no annotations yet."""
    spec = section(deployment, "spec")
    template = copy(section(spec, "template"))
    found = template_hash(template, section(deployment, "status").get("collisionCount"))
    template["metadata"] = {**meta(template), "labels": {**labels_of(template), HASH_LABEL: found}}
    template["metadata"].pop("creationTimestamp", None)
    selector = copy(section(spec, "selector"))
    selector["matchLabels"] = {**selector.get("matchLabels", {}), HASH_LABEL: found}
    namespace, name = key(deployment)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name[: _LONGEST_NAME - 1 - len(found)]}-{found}",
            "namespace": namespace,
            "labels": dict(labels_of(template)),
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": min_ready_seconds(deployment),
            "selector": selector,
            "template": template,
        },
    }
