"""Small kinds: leases, priority classes, runtime classes, quotas and limit ranges (v1.36)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, forbidden, index, invalid, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks
from adapter_devcluster.objects import Object, meta

_HIGHEST_PRIORITY: Final = 1_000_000_000
_SYSTEM: Final = "system-"
_SYSTEM_CLASSES: Final = frozenset({"system-cluster-critical", "system-node-critical"})
_PREEMPTION: Final = ("Never", "PreemptLowerPriority")

_COMPUTE_QUOTAS: Final = frozenset(
    f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in ("cpu", "memory", "ephemeral-storage")
) | {"requests.storage"}
_COUNT_QUOTAS: Final = frozenset(
    {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    }
)


def _check_lease(lease: Object) -> Iterator[FieldError]:
    spec = lease["spec"]
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        yield invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    yield from checks.non_negative(spec, "spec", "leaseTransitions")
    if spec.get("preferredHolder") and not spec.get("strategy"):
        detail = "may only be specified if strategy is defined"
        yield forbidden("spec.preferredHolder", detail)


def _default_priority_class(obj: Object) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _check_priority_class(obj: Object) -> Iterator[FieldError]:
    name, value = str(meta(obj).get("name") or ""), obj["value"]
    if name in _SYSTEM_CLASSES:
        return
    if name.startswith(_SYSTEM):
        detail = f"priority class names with '{_SYSTEM}' prefix are reserved for system use only"
        yield forbidden("metadata.name", detail)
    if value > _HIGHEST_PRIORITY:
        detail = f"maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"
        yield forbidden("value", detail)
    yield from checks.one_of(obj, "", "preemptionPolicy", _PREEMPTION)


def _check_priority_class_update(new: Object, old: Object) -> Iterator[FieldError]:
    if new["value"] != old["value"]:
        yield forbidden("value", "may not be changed in an update.")
    yield from checks.unchanged(new, old, "", "preemptionPolicy")


def _priority(obj: Mapping[str, Any]) -> object:
    """The generation stays 1: what it could count can't change."""
    return obj["value"]


def _check_runtime_class(obj: Object) -> Iterator[FieldError]:
    handler = obj.get("handler") or ""
    for problem in names.check_dns_label(handler):
        yield invalid("handler", handler, problem)


def _check_runtime_class_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from checks.unchanged(new, old, "", "handler")


def _check_quota(obj: Object) -> Iterator[FieldError]:
    for name, amount in (obj["spec"].get("hard") or {}).items():
        at = index("spec.hard", name)
        for problem in names.check_label_key(name):
            yield invalid(at, name, problem)
        if "/" not in name and name not in _COMPUTE_QUOTAS | _COUNT_QUOTAS:
            yield invalid(at, name, "must be a standard resource for quota")
        if value_of(amount) < 0:
            yield invalid(at, amount, checks.NON_NEGATIVE)
        if name in _COUNT_QUOTAS and value_of(amount) % 1:
            yield invalid(at, amount, "must be an integer")


def _check_quota_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from checks.unchanged(new["spec"], old["spec"], "spec", "scopes")


def _default_limit_range(obj: Object) -> None:
    for item in obj["spec"].get("limits") or ():
        if item.get("type") != "Container":
            continue
        limits = {**(item.get("max") or {}), **(item.get("default") or {})}
        requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
        for name, amounts in (("default", limits), ("defaultRequest", requests)):
            if amounts:
                item[name] = amounts


def _check_limit_range(obj: Object) -> Iterator[FieldError]:
    for at, item in checks.items_of(obj["spec"], "limits", "spec"):
        if not item.get("type"):
            yield required(child(at, "type"))
        least, most = item.get("min") or {}, item.get("max") or {}
        for name in least.keys() & most.keys():
            if value_of(least[name]) > value_of(most[name]):
                detail = f"min value {least[name]} is greater than max value {most[name]}"
                yield invalid(index(child(at, "min"), name), least[name], detail)


LEASES: Final = Strategy(check=_check_lease, update=UpdateChecks(metadata=0))
PRIORITY_CLASSES: Final = Strategy(
    generation_of=_priority,
    defaults=_default_priority_class,
    check=_check_priority_class,
    check_update=_check_priority_class_update,
    update=UpdateChecks(content=0, metadata=0),
)
RUNTIME_CLASSES: Final = Strategy(
    check=_check_runtime_class,
    check_update=_check_runtime_class_update,
    update=UpdateChecks(content=0, metadata=0),
)
QUOTAS: Final = Strategy(check=_check_quota, check_update=_check_quota_update, update=UpdateChecks(metadata=0))
LIMIT_RANGES: Final = Strategy(defaults=_default_limit_range, check=_check_limit_range, update=UpdateChecks(changes=1))
