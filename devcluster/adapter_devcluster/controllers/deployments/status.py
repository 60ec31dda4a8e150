"""The status of a Deployment: counts, conditions, and whether a rollout gets on. Pure.

A condition keeps its times and its message while its status and reason stay; ``lastTransitionTime`` stays
while the status does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from adapter_devcluster.controllers.deployments import scaling
from adapter_devcluster.controllers.pod_state import condition
from adapter_devcluster.controllers.replica_sets import wanted_replicas
from adapter_devcluster.objects import Object, key, meta, parse_time, section, timestamp

AVAILABLE_REASON: Final = "NewReplicaSetAvailable"
TIMED_OUT_REASON: Final = "ProgressDeadlineExceeded"
PAUSED_REASON: Final = "DeploymentPaused"
_NO_DEADLINE: Final = 2**31 - 1


def deadline(deployment: Object) -> int | None:
    """Return ``progressDeadlineSeconds``, None where it is not to be watched."""
    found = section(deployment, "spec").get("progressDeadlineSeconds")
    return None if found is None or found == _NO_DEADLINE else int(found)


def set_condition(
    deployment: Object, kind: str, state: str, reason: str, message: str, now: dt.datetime, *, renew: bool = False
) -> None:
    """Set a condition in place. ``renew`` writes it anew although its status and reason are the same."""
    present = condition(deployment, kind)
    same_status = present is not None and present.get("status") == state
    if present is not None and same_status and present.get("reason") == reason and not renew:
        return
    moment = timestamp(now)
    drop_condition(deployment, kind)
    deployment.setdefault("status", {}).setdefault("conditions", []).append(
        {
            "type": kind,
            "status": state,
            "lastUpdateTime": moment,
            "lastTransitionTime": present["lastTransitionTime"] if present is not None and same_status else moment,
            "reason": reason,
            "message": message,
        }
    )


def drop_condition(deployment: Object, kind: str) -> None:
    """Remove a condition in place."""
    status = section(deployment, "status")
    kept = [one for one in status.get("conditions") or [] if one.get("type") != kind]
    if kept:
        status["conditions"] = kept
    else:
        status.pop("conditions", None)


def note_pause(deployment: Object, now: dt.datetime) -> None:
    """Note a pause or its end, so that the time of a pause doesn't count against the deadline."""
    present = condition(deployment, "Progressing") or {}
    if deadline(deployment) is None or present.get("reason") == TIMED_OUT_REASON:
        return
    paused, noted = bool(section(deployment, "spec").get("paused")), present.get("reason") == PAUSED_REASON
    if paused and not noted:
        set_condition(deployment, "Progressing", "Unknown", PAUSED_REASON, "Deployment is paused", now)
    elif noted and not paused:
        set_condition(deployment, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now)


def set_counts(deployment: Object, new: Object | None, old: Sequence[Object], now: dt.datetime) -> None:
    """Count pods by what the ReplicaSets report, and set the condition Available, in place."""
    every = [*([new] if new else []), *old]
    available = scaling.counted(every, "availableReplicas")
    counts = {
        "replicas": scaling.counted(every, "replicas"),
        "updatedReplicas": scaling.counted([new], "replicas") if new else 0,
        "readyReplicas": scaling.counted(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, scaling.total_size(every) - available),
    }
    before = section(deployment, "status")
    kept = {field: before[field] for field in ("collisionCount", "conditions") if field in before}
    deployment["status"] = {
        "observedGeneration": int(meta(deployment).get("generation") or 0),
        **{field: count for field, count in counts.items() if count},
        "terminatingReplicas": scaling.counted(every, "terminatingReplicas"),
        **kept,
    }
    if available >= wanted_replicas(deployment) - scaling.max_unavailable(deployment):
        reason, message = "MinimumReplicasAvailable", "Deployment has minimum availability."
        set_condition(deployment, "Available", "True", reason, message, now)
    else:
        reason, message = "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
        set_condition(deployment, "Available", "False", reason, message, now)


def is_complete(deployment: Object) -> bool:
    """Whether all pods are of the new template and available, and no others are left."""
    status, wanted = section(deployment, "status"), wanted_replicas(deployment)
    counts = [int(status.get(field) or 0) for field in ("updatedReplicas", "replicas", "availableReplicas")]
    observed = int(status.get("observedGeneration") or 0) >= int(meta(deployment).get("generation") or 0)
    return observed and counts == [wanted] * 3


def set_progress(
    deployment: Object, before: Object, new: Object | None, old: Sequence[Object], now: dt.datetime
) -> None:
    """Set Progressing and ReplicaFailure in place; ``before`` is the Deployment with the status it had."""
    _set_progressing(deployment, before, new, now)
    failure = next((one for one in map(_failure, [*([new] if new else []), *old]) if one), None)
    if failure is None:
        drop_condition(deployment, "ReplicaFailure")
    elif (condition(deployment, "ReplicaFailure") or {}).get("reason") != failure.get("reason"):
        drop_condition(deployment, "ReplicaFailure")
        updated = {"lastUpdateTime": failure.get("lastTransitionTime"), **failure}
        section(deployment, "status").setdefault("conditions", []).append(updated)


def _failure(replica_set: Object) -> Object | None:
    return condition(replica_set, "ReplicaFailure")


def _set_progressing(deployment: Object, before: Object, new: Object | None, now: dt.datetime) -> None:
    if deadline(deployment) is None:
        drop_condition(deployment, "Progressing")
        return
    present = condition(deployment, "Progressing") or {}
    status = section(deployment, "status")
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if settled and present.get("reason") == AVAILABLE_REASON:
        # No rollout is under way: a pod that fails now is no lack of progress.
        return
    subject = f'ReplicaSet "{key(new)[1]}"' if new else f'Deployment "{key(deployment)[1]}"'
    if is_complete(deployment):
        message = f"{subject} has successfully progressed."
        set_condition(deployment, "Progressing", "True", AVAILABLE_REASON, message, now)
    elif _has_progressed(status, section(before, "status")):
        message = f"{subject} is progressing."
        set_condition(deployment, "Progressing", "True", "ReplicaSetUpdated", message, now, renew=True)
    elif _has_timed_out(deployment, present, now):
        message = f"{subject} has timed out progressing."
        set_condition(deployment, "Progressing", "False", TIMED_OUT_REASON, message, now)


def _has_progressed(status: Object, before: Object) -> bool:
    """Whether there are more new, ready or available pods, or fewer old ones, than ``before``."""

    def old_pods(found: Object) -> int:
        return int(found.get("replicas") or 0) - int(found.get("updatedReplicas") or 0)

    fields = ("updatedReplicas", "readyReplicas", "availableReplicas")
    more = any(int(status.get(field) or 0) > int(before.get(field) or 0) for field in fields)
    return more or old_pods(status) < old_pods(before)


def _has_timed_out(deployment: Object, present: Object, now: dt.datetime) -> bool:
    if not present or present.get("reason") == AVAILABLE_REASON:
        return False
    if present.get("reason") == TIMED_OUT_REASON:
        return True
    left = seconds_left(deployment, now)
    return left is not None and left < 0


def seconds_left(deployment: Object, now: dt.datetime) -> float | None:
    """Return how long a rollout may go on without progress; None while no deadline runs."""
    present = condition(deployment, "Progressing") or {}
    limit, since = deadline(deployment), present.get("lastUpdateTime")
    if limit is None or not since or present.get("reason") in {TIMED_OUT_REASON, AVAILABLE_REASON}:
        return None
    return (parse_time(since) - now).total_seconds() + limit
