"""What an object takes of a ResourceQuota.

Follows ``pkg/quota/v1/evaluator/core`` and ``apiserver/pkg/quota/v1`` (v1.36).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from adapter_devcluster.objects import Object, meta, parse_time, section
from adapter_devcluster.quotas.amounts import Quantities, largest, plus

# Kinds that are counted by their plain names too.
_COUNTED: Final = frozenset(
    {"configmaps", "persistentvolumeclaims", "resourcequotas", "secrets", "services", "replicationcontrollers"}
)
_STORAGE_CLASS: Final = "storageclass.storage.k8s.io"
_PLAIN_REQUESTS: Final = ("cpu", "memory", "ephemeral-storage")
# A quota of these wants every container to say what it asks for.
_COMPUTE: Final = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def usage_of(resource: str, obj: Object, now: dt.datetime) -> Quantities:
    """Return what one object takes, by the names that quotas use."""
    counted = {f"count/{resource}": "1"}
    if resource in _COUNTED:
        counted[resource] = "1"
    match resource:
        case "pods":
            return {**counted, **pod_usage(obj)} if is_running(obj, now) else counted
        case "services":
            return {**counted, **_service_usage(obj)}
        case "persistentvolumeclaims":
            return {**counted, **_claim_usage(obj)}
    return counted


def resources_counted(hard: Mapping[str, str]) -> set[str]:
    """Return the resources whose objects a quota counts."""
    found = set()
    for name in hard:
        if name.startswith("count/"):
            found.add(name.removeprefix("count/"))
        elif name in _COUNTED:
            found.add(name)
        elif name.startswith("services."):
            found.add("services")
        elif name == "requests.storage" or f".{_STORAGE_CLASS}/" in name:
            found.add("persistentvolumeclaims")
        else:
            found.add("pods")
    return found


def is_running(pod: Object, now: dt.datetime) -> bool:
    """Whether a pod still takes resources: it has not ended, and is not past the end of its grace."""
    if section(pod, "status").get("phase") in ("Failed", "Succeeded"):
        return False
    end = meta(pod).get("deletionTimestamp")
    return not isinstance(end, str) or parse_time(end) > now


def pod_usage(pod: Object) -> Quantities:
    """Return what a running pod takes."""
    found: Quantities = {"pods": "1"}
    for name, amount in pod_amounts(pod, "requests").items():
        found[f"requests.{name}"] = amount
        if name in _PLAIN_REQUESTS or name.startswith("hugepages-"):
            found[name] = amount
    for name, amount in pod_amounts(pod, "limits").items():
        if name in _PLAIN_REQUESTS:
            found[f"limits.{name}"] = amount
    return found


def pod_amounts(pod: Object, kind: str) -> Quantities:
    """Return the ``requests`` or ``limits`` of a whole pod: of all at once, or of the largest init container."""
    spec = section(pod, "spec")
    sidecars: Quantities = {}
    at_once = []
    for container in spec.get("initContainers") or []:
        asked = section(container, "resources").get(kind) or {}
        together = plus(sidecars, asked)
        if container.get("restartPolicy") == "Always":
            sidecars = together
        at_once.append(together)
    main = sidecars
    for container in spec.get("containers") or []:
        main = plus(main, section(container, "resources").get(kind) or {})
    total = {**largest([main, *at_once]), **(section(spec, "resources").get(kind) or {})}
    return plus(total, spec.get("overhead") or {}) if total else total


def missing_requests(pod: Object, hard: Mapping[str, str]) -> str:
    """Name what a quota wants to know of each container and is not told: "" where nothing is missing."""
    wanted = sorted(_COMPUTE & hard.keys())
    missing: dict[str, list[str]] = {}
    if section(pod, "spec", "resources"):
        return ""
    spec = section(pod, "spec")
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        told = pod_usage({"spec": {"containers": [container]}})
        for name in wanted:
            if name not in told:
                missing.setdefault(name, []).append(str(container["name"]))
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def in_scope(quota: Object, resource: str, obj: Object) -> bool:
    """Whether a quota's scopes hold an object. Quotas with scopes are about pods alone."""
    spec = section(quota, "spec")
    selectors = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or []]
    selectors += section(spec, "scopeSelector").get("matchExpressions") or []
    return not selectors or (resource == "pods" and all(_matches(one, obj) for one in selectors))


def _matches(selector: Object, pod: Object) -> bool:
    spec = section(pod, "spec")
    ends = spec.get("activeDeadlineSeconds") is not None
    best_effort = section(pod, "status").get("qosClass") == "BestEffort"
    scopes: dict[str, bool] = {
        "Terminating": ends,
        "NotTerminating": not ends,
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
    }
    name, operator = selector["scopeName"], selector["operator"]
    if name != "PriorityClass":
        return scopes.get(name, False)
    found, values = spec.get("priorityClassName") or "", selector.get("values") or []
    operators: dict[str, Callable[[], bool]] = {
        "In": lambda: found in values,
        "NotIn": lambda: found not in values,
        "Exists": lambda: bool(found),
        "DoesNotExist": lambda: not found,
    }
    return operators[operator]()


def _service_usage(service: Object) -> Quantities:
    spec = section(service, "spec")
    ports, kind = len(spec.get("ports") or []), spec.get("type")
    allocated = kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True))
    return {
        "services.loadbalancers": "1" if kind == "LoadBalancer" else "0",
        "services.nodeports": str(ports) if allocated else "0",
    }


def _claim_usage(claim: Object) -> Quantities:
    spec = section(claim, "spec")
    return dict(_storage(spec.get("storageClassName") or "", section(spec, "resources").get("requests") or {}))


def _storage(storage_class: str, requests: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    prefix = f"{storage_class}.{_STORAGE_CLASS}" if storage_class else ""
    if prefix:
        yield f"{prefix}/persistentvolumeclaims", "1"
    if "storage" in requests:
        yield "requests.storage", requests["storage"]
        if prefix:
            yield f"{prefix}/requests.storage", requests["storage"]
