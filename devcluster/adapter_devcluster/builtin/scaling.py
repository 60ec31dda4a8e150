"""HorizontalPodAutoscalers and PodDisruptionBudgets (``pkg/apis/{autoscaling,policy}``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks, spec_of
from adapter_devcluster.objects import Object

_SOURCES: Final[Mapping[str, str]] = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_TARGETS: Final = ("AverageValue", "Utilization", "Value")
_SELECT: Final = ("Disabled", "Max", "Min")
_FULL: Final = {"type": "Percent", "value": 100, "periodSeconds": 15}
_FOUR_PODS: Final = {"type": "Pods", "value": 4, "periodSeconds": 15}
_LONGEST_WINDOW: Final = 3600
_LONGEST_PERIOD: Final = 1800


def _default_autoscaler(obj: Object) -> None:
    spec = obj["spec"]
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior") or {}
    if "scaleUp" in behavior:
        behavior["scaleUp"].setdefault("stabilizationWindowSeconds", 0)
        behavior["scaleUp"].setdefault("selectPolicy", "Max")
        behavior["scaleUp"].setdefault("policies", [{**_FOUR_PODS}, {**_FULL}])
    if "scaleDown" in behavior:
        behavior["scaleDown"].setdefault("selectPolicy", "Max")
        behavior["scaleDown"].setdefault("policies", [{**_FULL}])


def _check_autoscaler(obj: Object) -> Iterator[FieldError]:
    spec = obj["spec"]
    least, most = spec["minReplicas"], spec["maxReplicas"]
    if least < 1:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than 0")
    if most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for name in ("kind", "name"):
        if not spec["scaleTargetRef"][name]:
            yield required(child("spec.scaleTargetRef", name))
        yield from checks.named(spec["scaleTargetRef"], "spec.scaleTargetRef", name, names.check_path_segment)
    for at, metric in checks.items_of(spec, "metrics", "spec"):
        yield from _check_metric(metric, at)
    for name, rules in (spec.get("behavior") or {}).items():
        yield from _check_scaling_rules(rules, child("spec.behavior", name))


def _check_metric(metric: Object, path: str) -> Iterator[FieldError]:
    kind = metric.get("type") or ""
    if not kind:
        yield required(child(path, "type"), "must specify a metric source type")
    elif kind not in _SOURCES:
        yield not_supported(child(path, "type"), kind, tuple(_SOURCES))
    else:
        source = _SOURCES[kind]
        if source not in metric:
            yield required(child(path, source), "must populate information for the given metric source")
        else:
            yield from _check_source(metric[source], child(path, source))


def _check_source(source: Object, path: str) -> Iterator[FieldError]:
    if "name" in source:
        yield from checks.needed(source, path, "name")
    if "metric" in source:
        yield from checks.needed(source["metric"], child(path, "metric"), "name")
    target, at = source["target"], child(path, "target")
    yield from checks.one_of(target, at, "type", _TARGETS)
    for name in ("value", "averageValue"):
        if name in target and value_of(target[name]) <= 0:
            yield invalid(child(at, name), target[name], "must be positive")
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        yield invalid(child(at, "averageUtilization"), utilization, "must be greater than 0")
    if not target.keys() & {"value", "averageValue", "averageUtilization"}:
        yield required(child(at, "averageValue"), "must specify a positive target")


def _check_scaling_rules(rules: Object, path: str) -> Iterator[FieldError]:
    yield from checks.non_negative(rules, path, "stabilizationWindowSeconds")
    window = rules.get("stabilizationWindowSeconds") or 0
    if window > _LONGEST_WINDOW:
        yield invalid(
            child(path, "stabilizationWindowSeconds"), window, f"must be less than or equal to {_LONGEST_WINDOW}"
        )
    yield from checks.one_of_if_set(rules, path, "selectPolicy", _SELECT)
    for at, policy in checks.items_of(rules, "policies", path):
        if policy.get("type") not in ("Percent", "Pods"):
            yield not_supported(child(at, "type"), policy.get("type") or "", ("Percent", "Pods"))
        for name in ("value", "periodSeconds"):
            if policy[name] <= 0:
                yield invalid(child(at, name), policy[name], "must be greater than zero")
        if policy["periodSeconds"] > _LONGEST_PERIOD:
            detail = f"must be less than or equal to {_LONGEST_PERIOD}"
            yield invalid(child(at, "periodSeconds"), policy["periodSeconds"], detail)


def _check_budget(obj: Object) -> Iterator[FieldError]:
    spec: Mapping[str, Any] = obj["spec"]
    amounts = ("minAvailable", "maxUnavailable")
    if all(name in spec for name in amounts):
        yield invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for name in amounts:
        at = child("spec", name)
        yield from checks.check_int_or_percent(spec.get(name), at)
        if (checks.percent_of(spec.get(name)) or 0) > 100:
            yield invalid(at, spec[name], "must not be greater than 100%")
    yield from checks.check_label_selector(spec.get("selector"), "spec.selector")
    supported = ("AlwaysAllow", "IfHealthyBudget")
    yield from checks.one_of_if_set(spec, "spec", "unhealthyPodEvictionPolicy", supported)


AUTOSCALERS: Final = Strategy(defaults=_default_autoscaler, check=_check_autoscaler, update=UpdateChecks(metadata=0))
BUDGETS: Final = Strategy(
    # The kind's own validation doesn't look at names, so only what can't stand in a path is refused.
    check_name=names.check_path_segment,
    check=_check_budget,
    update=UpdateChecks(metadata=0, changes=1),
    generation_of=spec_of,
)
