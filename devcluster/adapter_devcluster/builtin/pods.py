"""Pods: what is filled in on creation, what an update may change (``pkg/registry/core/pod/strategy.go``, v1.36).

A pod also gets here what the default admission plugins give it: tolerations (DefaultTolerationSeconds) and its
priority (Priority).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions.errors import child, forbidden, index, invalid, required
from adapter_devcluster.builtin.pod_defaults import add_tolerations, default_pod
from adapter_devcluster.builtin.pod_specs import check_pod_spec, check_tolerations
from adapter_devcluster.builtin.quality_of_service import quality_of_service
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks, spec_of
from adapter_devcluster.objects import Object, is_deleting, timestamp

_MAX_INT32: Final = 2**31 - 1
_CHANGEABLE: Final = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_SYSTEM_PRIORITIES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def graceful_seconds(resource: str, obj: Object, requested: int | None) -> int:
    """Return how long a deletion has to wait, in seconds; ``requested`` is what the request says.

    Only pods wait: those that run on a node. Negative requests mean one second.
    """
    if resource != "pods" or not obj["spec"].get("nodeName"):
        return 0
    if obj.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    seconds = requested if requested is not None else obj["spec"].get("terminationGracePeriodSeconds", 0)
    return 1 if seconds < 0 else int(seconds)


def _prepare(pod: Object) -> None:
    spec = pod["spec"]
    add_tolerations(spec)
    if spec.get("priorityClassName") in _SYSTEM_PRIORITIES:
        spec.setdefault("priority", _SYSTEM_PRIORITIES[spec["priorityClassName"]])
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    pod["status"] = {"phase": "Pending", "qosClass": quality_of_service(spec)}
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": None,
                "lastTransitionTime": timestamp(),
            }
        ]


def _check(pod: Object) -> Iterator[FieldError]:
    yield from check_pod_spec(pod["spec"], "spec", is_pod=True)


def _prepare_update(new: Object, old: Object) -> None:
    # The plugins run on updates, too: what they set is not lost by an update that leaves it out.
    spec, stored = new["spec"], old["spec"]
    if not is_deleting(old):
        add_tolerations(spec)
    new["spec"] = {name: stored[name] for name in ("priority", "preemptionPolicy") if name in stored} | spec


def _check_update(new: Object, old: Object) -> Iterator[FieldError]:
    spec, stored = new["spec"], old["spec"]
    for name in ("containers", "initContainers"):
        errors, comparable = _check_images(spec.get(name) or (), stored.get(name) or (), f"spec.{name}")
        yield from errors
        if not comparable:
            return
    yield from _check_deadline(spec.get("activeDeadlineSeconds"), stored.get("activeDeadlineSeconds"))
    yield from _check_added_tolerations(spec, stored)
    yield from _check_removed_gates(spec, stored)
    if _comparable(spec, stored) != stored:
        yield forbidden("spec", _CHANGEABLE)


def _check_images(new: Sequence[Object], old: Sequence[Object], path: str) -> tuple[list[FieldError], bool]:
    if len(new) != len(old):
        return [forbidden(path, "pod updates may not add or remove containers")], False
    errors = []
    for position, container in enumerate(new):
        image, at = container.get("image") or "", child(index(path, position), "image")
        if not image:
            errors.append(required(at))
        elif image != image.strip():
            errors.append(invalid(at, image, "must not have leading or trailing whitespace"))
    return errors, True


def _check_deadline(new: int | None, old: int | None) -> Iterator[FieldError]:
    """A deadline may be set, and come nearer."""
    at = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            yield invalid(at, None, "must not update from a positive integer to nil value")
    elif not 0 <= new <= _MAX_INT32:
        yield invalid(at, new, f"must be between 0 and {_MAX_INT32}, inclusive")
    elif old is not None and old < new:
        yield invalid(at, new, "must be less than or equal to previous value")


def _check_added_tolerations(spec: Object, stored: Object) -> Iterator[FieldError]:
    kept = [_without_seconds(one) for one in spec.get("tolerations") or ()]
    if any(_without_seconds(one) not in kept for one in stored.get("tolerations") or ()):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    yield from check_tolerations(spec, "spec")


def _without_seconds(toleration: Object) -> Object:
    return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}


def _check_removed_gates(spec: Object, stored: Object) -> Iterator[FieldError]:
    gates = stored.get("schedulingGates") or ()
    for position, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate not in gates:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            yield forbidden(index("spec.schedulingGates", position), detail)


def _comparable(spec: Object, stored: Object) -> Object:
    """Return the new spec with everything that may change taken from the stored one."""
    munged: Object = dict(spec)
    for name in ("containers", "initContainers"):
        if spec.get(name):
            munged[name] = [_with(one, "image", before) for one, before in zip(spec[name], stored[name], strict=True)]
    for name in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        munged = _with(munged, name, stored)
    if stored.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        munged = _with(munged, "terminationGracePeriodSeconds", stored)
    if stored.get("schedulingGates"):
        # While a pod is held back, it may be told where to run.
        if (stored.get("nodeSelector") or {}).items() <= (spec.get("nodeSelector") or {}).items():
            munged = _with(munged, "nodeSelector", stored)
        if not (stored.get("affinity") or {}).get("nodeAffinity"):
            munged = _with_node_affinity(munged, stored)
    return munged


def _with(spec: Object, name: str, source: Object) -> Object:
    found = {key: value for key, value in spec.items() if key != name}
    return {**found, name: source[name]} if name in source else found


def _with_node_affinity(spec: Object, stored: Object) -> Object:
    affinity = {name: value for name, value in (spec.get("affinity") or {}).items() if name != "nodeAffinity"}
    if affinity or "affinity" in stored:
        return {**spec, "affinity": affinity}
    return {name: value for name, value in spec.items() if name != "affinity"}


def _prepare_status(new: Object, old: Object) -> None:
    status = new["status"]
    stored = old.get("status") or {}
    if stored.get("qosClass"):
        status.setdefault("qosClass", stored["qosClass"])
    status.setdefault("phase", "Pending")
    # The single address and the list are kept equal.
    for one, many in (("podIP", "podIPs"), ("hostIP", "hostIPs")):
        if status.get(one) and not status.get(many):
            status[many] = [{"ip": status[one]}]
        elif status.get(many):
            status[one] = status[many][0]["ip"]
    if stored.get("observedGeneration"):
        status.setdefault("observedGeneration", stored["observedGeneration"])


def _check_status(new: Object, old: Object) -> Iterator[FieldError]:
    policy = old["spec"].get("restartPolicy")
    qos, before = new["status"].get("qosClass"), (old.get("status") or {}).get("qosClass")
    if before and qos != before:
        yield invalid("status.qosClass", qos, "field is immutable")
    if policy == "Always":
        return
    for name in ("containerStatuses", "initContainerStatuses"):
        yield from _check_states(new, old, name, policy)


def _check_states(new: Object, old: Object, name: str, policy: Any) -> Iterator[FieldError]:  # noqa: ANN401 - of a spec
    """A container that has ended for good stays so. Sidecars start again whatever the policy."""
    always = {one["name"] for one in old["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"}
    found = {one.get("name"): (at, one) for at, one in enumerate(new["status"].get(name) or ())}
    for before in (old.get("status") or {}).get(name) or ():
        ended = before.get("state", {}).get("terminated")
        if not ended or before.get("name") in always or before.get("name") not in found:
            continue
        if policy == "OnFailure" and ended.get("exitCode"):
            continue
        at, after = found[before.get("name")]
        if not after.get("state", {}).get("terminated"):
            path = child(index(f"status.{name}", at), "state")
            yield forbidden(path, "may not be transitioned to non-terminated state")


PODS: Final = Strategy(
    defaults=default_pod,
    prepare_create=_prepare,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    check=_check,
    check_update=_check_update,
    update=UpdateChecks(content=0, metadata=0),
    check_status=_check_status,
    status_keeps=("ownerReferences",),
    generation_of=spec_of,
)
