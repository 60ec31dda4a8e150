"""Deployments, ReplicaSets, StatefulSets and DaemonSets (``pkg/apis/apps``, ``pkg/registry/apps``, v1.36)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, forbidden, invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.pod_defaults import default_template
from adapter_devcluster.builtin.pod_specs import check_template
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks, spec_of
from adapter_devcluster.objects import Object, annotations_of, labels_of, meta

_TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"
_SET_FIELDS: Final = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _check_workload(spec: Object, *, selector_of: str) -> Iterator[FieldError]:
    """Check what all of them have: numbers, selector, template."""
    yield from checks.non_negative(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
    selector, template = spec.get("selector"), spec["template"]
    problems = list(checks.check_label_selector(selector, "spec.selector"))
    yield from problems
    if selector is None:
        yield required("spec.selector")
    elif checks.is_empty_selector(selector):
        yield invalid("spec.selector", selector, f"empty selector is invalid for {selector_of}")
    if problems:
        # What can't be read selects nothing, and the template is not looked at.
        yield invalid("spec.selector", selector, "invalid label selector")
        return
    if not checks.selects(selector, labels_of(template)):
        detail = "`selector` does not match template `labels`"
        yield invalid("spec.template.metadata.labels", labels_of(template), detail)
    yield from check_template(template, "spec.template")
    policy, kind = template["spec"]["restartPolicy"], "ReplicaSet" if selector_of == "deployment" else selector_of
    if policy != "Always":
        yield not_supported("spec.template.spec.restartPolicy", policy, ("Always",))
    if "activeDeadlineSeconds" in template["spec"]:
        yield forbidden("spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def _same_selector(new: Object, old: Object) -> Iterator[FieldError]:
    yield from checks.unchanged(new["spec"], old["spec"], "spec", "selector")


def _check_counts(*fields: str) -> Callable[[Object, Object], Iterator[FieldError]]:
    """Check the numbers of a status; those named but ``replicas`` can't be greater than it."""

    def check(new: Object, _: Object) -> Iterator[FieldError]:
        status = new["status"]
        yield from checks.non_negative(status, "status", "replicas", *fields, "observedGeneration")
        replicas = status.get("replicas") or 0
        for name in fields:
            if (status.get(name) or 0) > replicas:
                yield invalid(child("status", name), status.get(name) or 0, "cannot be greater than status.replicas")
        available, ready = status.get("availableReplicas") or 0, status.get("readyReplicas") or 0
        if available > ready:
            yield invalid("status.availableReplicas", available, "cannot be greater than readyReplicas")

    return check


# --- Deployments ---------------------------------------------------------------------------------------------


def _default_deployment(obj: Object) -> None:
    spec = obj["spec"]
    default_template(spec["template"])
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec["strategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _check_deployment(obj: Object) -> Iterator[FieldError]:
    spec = obj["spec"]
    yield from _check_workload(spec, selector_of="deployment")
    yield from _check_rollout(spec["strategy"], "spec.strategy")
    deadline, ready = spec["progressDeadlineSeconds"], spec.get("minReadySeconds") or 0
    yield from checks.non_negative(spec, "spec", "progressDeadlineSeconds")
    if deadline <= ready:
        yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _check_rollout(strategy: Object, path: str) -> Iterator[FieldError]:
    kind, at = strategy["type"], child(path, "rollingUpdate")
    if kind == "Recreate":
        if "rollingUpdate" in strategy:
            yield forbidden(at, "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        rolling = strategy["rollingUpdate"]
        for name in ("maxUnavailable", "maxSurge"):
            yield from checks.check_int_or_percent(rolling[name], child(at, name))
        if not _amount(rolling["maxUnavailable"]) and not _amount(rolling["maxSurge"]):
            detail = "may not be 0 when `maxSurge` is 0"
            yield invalid(child(at, "maxUnavailable"), rolling["maxUnavailable"], detail)
        if (checks.percent_of(rolling["maxUnavailable"]) or 0) > 100:
            yield invalid(child(at, "maxUnavailable"), rolling["maxUnavailable"], "must not be greater than 100%")
    else:
        yield not_supported(child(path, "type"), kind, ("Recreate", "RollingUpdate"))


def _amount(value: object) -> int:
    percent = checks.percent_of(value)
    return percent if percent is not None else value if isinstance(value, int) else 1


def _deployment_content(obj: Mapping[str, Any]) -> object:
    """Annotations count, too: they are copied to the replica sets."""
    return obj.get("spec"), annotations_of(obj)


# --- ReplicaSets, StatefulSets, DaemonSets -------------------------------------------------------------------


def _default_replica_set(obj: Object) -> None:
    default_template(obj["spec"]["template"])
    obj["spec"].setdefault("replicas", 1)


def _check_replica_set(obj: Object) -> Iterator[FieldError]:
    yield from _check_workload(obj["spec"], selector_of="deployment")


def _default_stateful_set(obj: Object) -> None:
    spec = obj["spec"]
    default_template(spec["template"])
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec["updateStrategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    policy = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    policy.setdefault("whenDeleted", "Retain")
    policy.setdefault("whenScaled", "Retain")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
        claim["spec"].setdefault("volumeMode", "Filesystem")
        claim["status"].setdefault("phase", "Pending")


def _check_stateful_set(obj: Object) -> Iterator[FieldError]:
    yield from checks.one_of(obj["spec"], "spec", "podManagementPolicy", ("OrderedReady", "Parallel"))
    yield from checks.one_of(
        obj["spec"]["updateStrategy"], "spec.updateStrategy", "type", ("OnDelete", "RollingUpdate")
    )
    yield from _check_workload(obj["spec"], selector_of="statefulset")


def _check_stateful_set_update(new: Object, old: Object) -> Iterator[FieldError]:
    kept, stored = ({n: v for n, v in one["spec"].items() if n not in _SET_FIELDS} for one in (new, old))
    if kept != stored:
        listed = f"{', '.join(repr(name) for name in _SET_FIELDS[:-1])} and {_SET_FIELDS[-1]!r}"
        yield forbidden("spec", f"updates to statefulset spec for fields other than {listed} are forbidden")


def _default_daemon_set(obj: Object) -> None:
    spec = obj["spec"]
    default_template(spec["template"])
    strategy = spec["updateStrategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _count_templates(new: Object, old: Object | None = None) -> None:
    generation = 1
    if old is not None:
        generation = int(annotations_of(old).get(_TEMPLATE_GENERATION, "1"))
        generation += new["spec"]["template"] != old["spec"]["template"]
    meta(new)["annotations"] = {**annotations_of(new), _TEMPLATE_GENERATION: str(generation)}


def _check_daemon_set(obj: Object) -> Iterator[FieldError]:
    yield from checks.one_of(
        obj["spec"]["updateStrategy"], "spec.updateStrategy", "type", ("OnDelete", "RollingUpdate")
    )
    yield from _check_workload(obj["spec"], selector_of="daemonset")


DEPLOYMENTS: Final = Strategy(
    defaults=_default_deployment,
    check=_check_deployment,
    check_update=_same_selector,
    check_status=_check_counts("updatedReplicas", "readyReplicas", "availableReplicas"),
    update=UpdateChecks(metadata=0),
    status_keeps=("labels",),
    generation_of=_deployment_content,
)
REPLICA_SETS: Final = Strategy(
    defaults=_default_replica_set,
    check=_check_replica_set,
    check_update=_same_selector,
    check_status=_check_counts("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
    update=UpdateChecks(content=2),
    generation_of=spec_of,
)
STATEFUL_SETS: Final = Strategy(
    check_name=names.check_dns_label,
    defaults=_default_stateful_set,
    check=_check_stateful_set,
    check_update=_check_stateful_set_update,
    check_status=_check_counts("readyReplicas", "currentReplicas", "updatedReplicas"),
    update=UpdateChecks(metadata=0),
    generation_of=spec_of,
)
DAEMON_SETS: Final = Strategy(
    defaults=_default_daemon_set,
    prepare_create=_count_templates,
    prepare_update=_count_templates,
    check=_check_daemon_set,
    check_update=_same_selector,
    update=UpdateChecks(content=2),
    generation_of=spec_of,
)
