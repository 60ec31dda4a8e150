"""What a job reads off its pods.

Source: ``pkg/controller/controller_utils.go``, ``pkg/controller/job/{tracking_utils,backoff_utils}.go``, v1.36.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.objects import Object, annotations_of, is_deleting, meta, parse_time, section, uid

TRACKING_FINALIZER: Final = "batch.kubernetes.io/job-tracking"
INDEX_KEY: Final = "batch.kubernetes.io/job-completion-index"
FAILURES_KEY: Final = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES_KEY: Final = "batch.kubernetes.io/job-index-ignored-failure-count"
_LARGEST_INT32: Final = 2**31 - 1


def is_tracked(pod: Object) -> bool:
    """Whether the pod is still to be counted in the job's status."""
    return TRACKING_FINALIZER in (meta(pod).get("finalizers") or ())


def container_statuses(pod: Object) -> list[Object]:
    """Return the statuses of the ordinary containers."""
    found: list[Object] = section(pod, "status").get("containerStatuses") or []
    return found


def init_container_statuses(pod: Object) -> list[Object]:
    """Return the statuses of the init containers."""
    found: list[Object] = section(pod, "status").get("initContainerStatuses") or []
    return found


def restarts(pod: Object) -> int:
    """Return how often containers were restarted, init containers included."""
    return sum(int(one.get("restartCount") or 0) for one in init_container_statuses(pod) + container_statuses(pod))


def index_of(pod: Object) -> int | None:
    """Return the completion index that an indexed job gave the pod."""
    return _count(annotations_of(pod).get(INDEX_KEY))


def indexes_of(pods: Iterable[Object]) -> set[int]:
    """Return the completion indexes of pods."""
    return {index for index in map(index_of, pods) if index is not None}


def failures_before(pod: Object) -> int:
    """Return how many pods of this index had failed before this one, the ignored ones left out."""
    return _count(annotations_of(pod).get(FAILURES_KEY)) or 0


def ignored_failures_before(pod: Object) -> int:
    """Return how many pods of this index had failed before this one and were ignored by the failure policy."""
    return _count(annotations_of(pod).get(IGNORED_FAILURES_KEY)) or 0


def finished_at(pod: Object) -> dt.datetime:
    """Return when a pod ended, as near as it can be told.

    The end of its last container; else the moment it stopped to be ready; else the moment of its deletion; else
    that of its creation.
    """
    ends = [section(one, "state", "terminated").get("finishedAt") for one in container_statuses(pod)]
    if ends and all(ends):
        return max(parse_time(str(end)) for end in ends)
    ready = pod_state.condition(pod, "Ready")
    if ready and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    about = meta(pod)
    if is_deleting(pod):
        grace = dt.timedelta(seconds=int(about.get("deletionGracePeriodSeconds") or 0))
        return parse_time(about["deletionTimestamp"]) - grace
    return parse_time(about["creationTimestamp"])


def removal_order(pod: Object) -> tuple[Any, ...]:
    """Return the sort key of active pods by which the least costly ones are removed first.

    Unscheduled before scheduled, pending before running, not ready before ready, then the ones that were ready for
    less time, restarted more often, or are younger.
    """
    since = pod_state.ready_since(pod)
    return (
        bool(pod_state.node_name(pod)),
        {"Pending": 0, "Unknown": 1, "Running": 2}.get(pod_state.phase(pod), 0),
        pod_state.is_ready(pod),
        -since.timestamp() if since else 0.0,
        -restarts(pod),
        -parse_time(meta(pod)["creationTimestamp"]).timestamp(),
        uid(pod),
    )


def _count(text: str | None) -> int | None:
    """Read a number that a pod carries; None for what is no count, as a user may write anything there."""
    try:
        found = int(text or "")
    except ValueError:
        return None
    return found if 0 <= found <= _LARGEST_INT32 else None
