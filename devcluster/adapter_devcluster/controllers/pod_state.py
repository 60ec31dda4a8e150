"""What the controllers of pods read from a pod.

Source: ``pkg/api/v1/pod/util.go`` and ``pkg/controller/controller_utils.go``, v1.36.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from adapter_devcluster.objects import Object, is_deleting, parse_time, section

TERMINAL_PHASES: Final = ("Succeeded", "Failed")


def phase(pod: Object) -> str:
    """Return the phase; a pod whose status says nothing is Pending."""
    return str(section(pod, "status").get("phase") or "Pending")


def is_terminal(pod: Object) -> bool:
    """Whether its containers have ended for good."""
    return phase(pod) in TERMINAL_PHASES


def is_active(pod: Object) -> bool:
    """Whether it counts as a replica: neither ended nor being deleted."""
    return not is_terminal(pod) and not is_deleting(pod)


def is_terminating(pod: Object) -> bool:
    """Whether it is being deleted while its containers may still run."""
    return not is_terminal(pod) and is_deleting(pod)


def node_name(pod: Object) -> str:
    """Return the node that it was bound to, "" before that."""
    return str(section(pod, "spec").get("nodeName") or "")


def condition(obj: Object, kind: str) -> Object | None:
    """Return a condition of any object's status by its type."""
    conditions: list[Object] = section(obj, "status").get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), None)


def is_ready(pod: Object) -> bool:
    """Whether its Ready condition is True."""
    found = condition(pod, "Ready")
    return found is not None and found.get("status") == "True"


def ready_since(pod: Object) -> dt.datetime | None:
    """Return when it became ready; None while it is not, or if nobody noted the time."""
    found = condition(pod, "Ready")
    moment = found.get("lastTransitionTime") if found and found.get("status") == "True" else None
    return parse_time(moment) if moment else None


def available_in(pod: Object, min_ready_seconds: int, now: dt.datetime) -> float | None:
    """Return the seconds until a ready pod counts as available, 0 if it does; None if it is not ready."""
    if not is_ready(pod):
        return None
    if min_ready_seconds <= 0:
        return 0.0
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, min_ready_seconds - (now - since).total_seconds())
