"""Validation of pod specs, in pods and in templates (``ValidatePodSpec``, ``pkg/apis/core/validation``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, duplicate, invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.containers import check_containers, check_resources
from adapter_devcluster.builtin.security_contexts import check_pod_security
from adapter_devcluster.builtin.volumes import check_volumes
from adapter_devcluster.objects import Object

RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
_DNS_POLICIES: Final = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_EFFECTS: Final = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_NODE_OPERATORS: Final = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_MAX_INT32: Final = 2**31 - 1


def check_template(template: Object, path: str) -> Iterator[FieldError]:
    """Check a pod template."""
    found = template.get("metadata") or {}
    yield from checks.check_labels(found.get("labels") or {}, child(path, "labels"))
    yield from checks.check_annotations(found.get("annotations") or {}, child(path, "annotations"))
    yield from check_pod_spec(template["spec"], child(path, "spec"))


def check_pod_spec(spec: Object, path: str, *, is_pod: bool = False) -> Iterator[FieldError]:
    """Check a pod spec; ``is_pod``: with what is asked of pods only."""
    yield from check_volumes(spec, path, is_pod=is_pod)
    yield from check_containers(spec, path, is_pod=is_pod)
    yield from checks.one_of(spec, path, "restartPolicy", RESTART_POLICIES)
    yield from checks.one_of(spec, path, "dnsPolicy", _DNS_POLICIES)
    yield from checks.check_labels(spec.get("nodeSelector") or {}, child(path, "nodeSelector"))
    for name in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        yield from checks.named(spec, path, name)
    for name in ("hostname", "subdomain"):
        yield from checks.named(spec, path, name, names.check_dns_label)
    yield from checks.one_of_if_set(spec, path, "preemptionPolicy", ("Never", "PreemptLowerPriority"))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_INT32:
        detail = f"must be between 1 and {_MAX_INT32}, inclusive"
        yield invalid(child(path, "activeDeadlineSeconds"), deadline, detail)
    yield from check_pod_security(spec["securityContext"], child(path, "securityContext"))
    yield from _check_affinity(spec.get("affinity") or {}, child(path, "affinity"))
    yield from check_tolerations(spec, path)
    yield from _check_spread(spec, path)
    yield from _check_gates(spec, path)
    for at, gate in checks.items_of(spec, "readinessGates", path):
        for problem in names.check_label_key(gate.get("conditionType") or ""):
            yield invalid(child(at, "conditionType"), gate.get("conditionType") or "", problem)
    if "resources" in spec:
        yield from check_resources(spec["resources"], child(path, "resources"))


def check_tolerations(spec: Object, path: str) -> Iterator[FieldError]:
    """Check the tolerations of a pod spec."""
    for at, one in checks.items_of(spec, "tolerations", path):
        operator, effect = one.get("operator") or "", one.get("effect") or ""
        if one.get("key"):
            yield from checks.named(one, at, "key", names.check_label_key)
        elif operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield invalid(child(at, "operator"), operator, detail)
        if "tolerationSeconds" in one and effect != "NoExecute":
            yield invalid(child(at, "effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        value = one.get("value") or ""
        if operator in ("", "Equal"):
            for problem in names.check_label_value(value):
                yield invalid(child(at, "operator"), value, problem)
        elif operator == "Exists":
            if value:
                yield invalid(child(at, "operator"), one, "value must be empty when `operator` is 'Exists'")
        else:
            yield not_supported(child(at, "operator"), operator, ("Equal", "Exists"))
        yield from checks.one_of_if_set(one, at, "effect", _EFFECTS)


def _check_affinity(affinity: Object, path: str) -> Iterator[FieldError]:
    node, at = affinity.get("nodeAffinity") or {}, child(path, "nodeAffinity")
    wanted = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if wanted is not None:
        yield from _check_node_selector(wanted, child(at, "requiredDuringSchedulingIgnoredDuringExecution"))
    for where, one in checks.items_of(node, "preferredDuringSchedulingIgnoredDuringExecution", at):
        yield from _check_weight(one, where)
        yield from _check_node_term(one.get("preference") or {}, child(where, "preference"))
    for name in ("podAffinity", "podAntiAffinity"):
        found, at = affinity.get(name) or {}, child(path, name)
        for where, term in checks.items_of(found, "requiredDuringSchedulingIgnoredDuringExecution", at):
            yield from _check_pod_term(term, where)
        for where, one in checks.items_of(found, "preferredDuringSchedulingIgnoredDuringExecution", at):
            yield from _check_weight(one, where)
            yield from _check_pod_term(one.get("podAffinityTerm") or {}, child(where, "podAffinityTerm"))


def _check_node_selector(selector: Object, path: str) -> Iterator[FieldError]:
    if not selector.get("nodeSelectorTerms"):
        yield required(child(path, "nodeSelectorTerms"), "must have at least one node selector term")
    for at, term in checks.items_of(selector, "nodeSelectorTerms", path):
        yield from _check_node_term(term, at)


def _check_node_term(term: Object, path: str) -> Iterator[FieldError]:
    for at, one in checks.items_of(term, "matchExpressions", path):
        operator, values = one.get("operator") or "", one.get("values") or ()
        if operator in ("In", "NotIn") and not values:
            yield required(child(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Gt", "Lt") and len(values) != 1:
            yield required(child(at, "values"), "must be specified single value when `operator` is 'Lt' or 'Gt'")
        elif operator not in _NODE_OPERATORS:
            yield invalid(child(at, "operator"), operator, "not a valid selector operator")
        for problem in names.check_label_key(one.get("key") or ""):
            yield invalid(child(at, "key"), one.get("key") or "", problem)


def _check_pod_term(term: Object, path: str) -> Iterator[FieldError]:
    yield from checks.check_label_selector(term.get("labelSelector"), child(path, "labelSelector"))
    if not term.get("topologyKey"):
        yield required(child(path, "topologyKey"), "can not be empty")
    yield from checks.named(term, path, "topologyKey", names.check_label_key)


def _check_weight(preferred: Object, path: str) -> Iterator[FieldError]:
    weight = preferred.get("weight") or 0
    if not 1 <= weight <= 100:
        yield invalid(child(path, "weight"), weight, "must be in the range 1-100")


def _check_spread(spec: Object, path: str) -> Iterator[FieldError]:
    for at, one in checks.items_of(spec, "topologySpreadConstraints", path):
        if (one.get("maxSkew") or 0) <= 0:
            yield invalid(child(at, "maxSkew"), one.get("maxSkew") or 0, "must be greater than zero")
        if not one.get("topologyKey"):
            yield required(child(at, "topologyKey"), "can not be empty")
        found = one.get("whenUnsatisfiable") or ""
        if found not in ("DoNotSchedule", "ScheduleAnyway"):
            yield not_supported(child(at, "whenUnsatisfiable"), found, ("DoNotSchedule", "ScheduleAnyway"))
        yield from checks.check_label_selector(one.get("labelSelector"), child(at, "labelSelector"))


def _check_gates(spec: Object, path: str) -> Iterator[FieldError]:
    taken: set[str] = set()
    for at, gate in checks.items_of(spec, "schedulingGates", path):
        name = gate.get("name") or ""
        for problem in names.check_label_key(name):
            yield invalid(child(at, "name"), name, problem)
        if name in taken:
            yield duplicate(child(at, "name"), name)
        taken.add(name)
