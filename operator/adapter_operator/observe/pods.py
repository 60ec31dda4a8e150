"""Why a pod does not run yet, in the words of the scheduler and the kubelet.

Reasons of the kubelet: `pkg/kubelet/images/types.go` and `pkg/kubelet/kuberuntime` of Kubernetes. A missing volume and
an exceeded quota show in events alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

JSON = Mapping[str, Any]

WaitingReason = Literal["Unschedulable", "ImagePullFailed", "VolumeUnavailable", "QuotaExceeded"]

_IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "ImageInspectError",
    }
)
_CONFIG_REASONS = frozenset({"CreateContainerConfigError"})
_MOUNT_REASONS = frozenset({"FailedMount", "FailedAttachVolume"})


@dataclass(frozen=True)
class Waiting:
    """Why a pod does not run: a reason of the truth table, and the words of whoever said so."""

    reason: WaitingReason
    message: str


def is_terminal(pod: JSON) -> bool:
    """Whether no process of the pod runs or ever will."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def is_ready(pod: JSON) -> bool:
    """Whether the pod answers its readiness probe."""
    return condition_status(pod, "Ready") == "True"


def is_running(pod: JSON) -> bool:
    """Whether a container of the pod runs."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return any("running" in container.get("state", {}) for container in statuses)


def condition_status(document: JSON, type_: str) -> str | None:
    """Status of a condition of a built-in object."""
    for condition in document.get("status", {}).get("conditions") or ():
        if condition["type"] == type_:
            return str(condition["status"])
    return None


def waiting_for(pod: JSON, events: Iterable[JSON] = ()) -> Waiting | None:
    """What the pod waits for, where that needs attention; None while it simply starts, runs or has ended.

    Args:
        pod: as the API server has it.
        events: those about this pod; any others are left out by UID.

    """
    if is_terminal(pod) or is_running(pod):
        return None
    return _scheduling(pod) or _containers(pod) or _volumes(pod, events)


def quota_refusal(owner: JSON, events: Iterable[JSON]) -> Waiting | None:
    """The API server's words, where a quota did not let the owner (a Job, a ReplicaSet) create its pod.

    Ask only while the owner has no pod: the event outlives its cause.
    """
    for event in _newest_first(owner, events):
        message = str(event.get("message", ""))
        if event.get("reason") == "FailedCreate" and "exceeded quota" in message:
            return Waiting("QuotaExceeded", message)
    return None


def _scheduling(pod: JSON) -> Waiting | None:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Waiting("Unschedulable", str(condition.get("message") or "the scheduler gives no details"))
    return None


def _containers(pod: JSON) -> Waiting | None:
    status = pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = container.get("state", {}).get("waiting") or {}
        reason, image = waiting.get("reason"), container.get("image", "")
        if reason in _IMAGE_REASONS:
            return Waiting("ImagePullFailed", str(waiting.get("message") or f"{reason} for image {image}"))
        if reason in _CONFIG_REASONS:
            return Waiting("VolumeUnavailable", str(waiting.get("message") or reason))
    return None


def _volumes(pod: JSON, events: Iterable[JSON]) -> Waiting | None:
    for event in _newest_first(pod, events):
        if event.get("reason") in _MOUNT_REASONS:
            return Waiting("VolumeUnavailable", str(event.get("message") or "a volume can't be mounted"))
    return None


def _newest_first(about: JSON, events: Iterable[JSON]) -> list[JSON]:
    uid = about["metadata"].get("uid")
    mine = [event for event in events if (event.get("involvedObject") or {}).get("uid") == uid]
    return sorted(mine, key=_last_seen, reverse=True)


def _last_seen(event: JSON) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


def read_time(text: str | None) -> datetime | None:
    """A time of a built-in object."""
    return None if text is None else datetime.fromisoformat(text)
