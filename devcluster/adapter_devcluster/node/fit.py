"""Whether a pod may run on a node, in the scheduler's words (``pkg/scheduler/framework/plugins``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapter_devcluster.node.pod_requests import Amounts
from adapter_devcluster.objects import Object, labels_of, meta, section

_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def problems(pod: Object, node: Object, asked: Amounts, free: Amounts) -> list[str]:
    """Return why a pod can't run on a node; empty if it can. Reasons that name resources count them all."""
    spec = section(pod, "spec")
    if section(node, "spec").get("unschedulable") is True and not _tolerated(
        {"key": _UNSCHEDULABLE, "effect": "NoSchedule"}, spec
    ):
        return ["node(s) were unschedulable"]
    for taint in section(node, "spec").get("taints") or []:
        if taint.get("effect") != "PreferNoSchedule" and not _tolerated(taint, spec):
            return ["node(s) had untolerated taint(s)"]
    if not _selected(spec, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    return list(_shortages(asked, free))


def _shortages(asked: Amounts, free: Amounts) -> Iterator[str]:
    for resource, amount in sorted(asked.items(), key=lambda one: one[0] != "pods"):
        if amount > 0 and amount > free.get(resource, 0):
            yield "Too many pods" if resource == "pods" else f"Insufficient {resource}"


def _tolerated(taint: Object, spec: Object) -> bool:
    return any(_tolerates(one, taint) for one in spec.get("tolerations") or [])


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if (toleration.get("operator") or "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _selected(spec: Object, node: Object) -> bool:
    labels = labels_of(node)
    if any(labels.get(name) != value for name, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = section(spec, "affinity", "nodeAffinity").get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_matches(term, node) for term in required["nodeSelectorTerms"])


def _matches(term: Object, node: Object) -> bool:
    expressions: Sequence[Object] = term.get("matchExpressions") or []
    fields: Sequence[Object] = term.get("matchFields") or []
    name = {"metadata.name": str(meta(node)["name"])}
    if not expressions and not fields:
        return False
    return all(_holds(one, labels_of(node)) for one in expressions) and all(_holds(one, name) for one in fields)


def _holds(requirement: Object, values: dict[str, str]) -> bool:
    key, wanted = requirement["key"], requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return key in values and values[key] in wanted
        case "NotIn":
            return values.get(key) not in wanted
        case "Exists":
            return key in values
        case "DoesNotExist":
            return key not in values
        case operator:
            try:
                have, limit = int(values[key]), int(wanted[0])
            except (KeyError, ValueError):
                return False
            return have > limit if operator == "Gt" else have < limit


def refusal(reasons: Sequence[Sequence[str]], for_all: str = "") -> str:
    """Write why no node would take a pod, as the scheduler does; one entry per node, or one reason ``for_all``."""
    total = len(reasons)
    counts: dict[str, int] = {}
    for reason in (one for node in reasons for one in node):
        counts[reason] = counts.get(reason, 0) + 1
    if not total:
        return "no nodes available to schedule pods"
    listed = for_all or ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    # Another pod's end would help only where resources are short.
    short = sum(
        1 for node in reasons if not for_all and all(one.startswith(("Insufficient", "Too many")) for one in node)
    )
    hopes = [f"{short} No preemption victims found for incoming pod"] if short else []
    hopes += [f"{total - short} Preemption is not helpful for scheduling"] if total - short else []
    preemption = f"preemption: 0/{total} nodes are available: {', '.join(sorted(hopes))}."
    return f"0/{total} nodes are available: {listed}. no new claims to deallocate, {preemption}"
