"""What a sync of a job has to do: the pods to make, remove and let go, and the new status. Pure.

Source: ``pkg/controller/job/job_controller.go``, v1.36. Counting takes two syncs, so that no crash or refusal between
can count a pod twice or not at all: the first lists ended pods in ``uncountedTerminatedPods`` and then takes the
finalizer from them; the next, which the loss of the finalizers brings about, moves them to the counters and, if
nothing is left to be counted or to end, finishes the job.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.jobs.backoff import BASE_SECONDS
from adapter_devcluster.controllers.jobs.counting import Counts, count_ended
from adapter_devcluster.controllers.jobs.ending import Ending, completion_of, ending_of, seconds_to_deadline
from adapter_devcluster.controllers.jobs.scaling import Scaling, scale
from adapter_devcluster.controllers.jobs.situation import Memory, Situation, assess
from adapter_devcluster.controllers.jobs.template import build_pod
from adapter_devcluster.objects import Object, copy, is_deleting, timestamp

# Type (Normal, Warning), reason, message.
Event: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """To be done in this order: ``delete`` and ``create`` pods, write ``status``, take the finalizer from ``untrack``.

    ``uncounted_removal``: the removed pods are to lose their finalizer first, as they count neither as succeeded nor
    as failed. ``wake_after`` is in seconds.
    """

    status: Object
    create: tuple[Object, ...]
    delete: tuple[Object, ...]
    uncounted_removal: bool
    untrack: tuple[Object, ...]
    events: tuple[Event, ...]
    memory: Memory
    wake_after: float | None


def make_plan(
    job: Object, pods: Sequence[Object], memory: Memory, now: dt.datetime, base_delay: float = BASE_SECONDS
) -> Plan:
    """Plan a sync of an unfinished job with the pods that it controls. ``base_delay`` of the backoff is in seconds."""
    situation = assess(job, pods, memory, now, base_delay)
    ending, scaling = ending_of(situation), Scaling()
    ended_early = ending is not None
    managed = not ended_early and not is_deleting(job)
    if managed:
        scaling = scale(situation)
    delete = tuple(situation.active) if ended_early else scaling.delete
    active = len(situation.active) - len(delete) + len(scaling.create)
    ending = ending or completion_of(situation, active)
    counts = count_ended(situation, ending)
    status, events, started = _Status(situation, counts).build(ending, delete, active, suspends=managed)
    waits = [scaling.wait or None, None if ending else seconds_to_deadline(situation)]
    return Plan(
        status=status,
        create=tuple(build_pod(job, index, situation.delayed.get(index)) for index in scaling.create),
        delete=delete,
        uncounted_removal=not ended_early,
        untrack=counts.untrack,
        events=tuple(events),
        memory=Memory(situation.backoff, started),
        wake_after=min((wait for wait in waits if wait is not None), default=None),
    )


def with_fewer_active(status: Object, missing: int) -> Object:
    """Return a planned status for the case that so many of the planned pods could not be made."""
    return _with_count(copy(status), "active", int(status.get("active") or 0) - missing)


class _Status:
    """Builds the new status of one sync."""

    def __init__(self, situation: Situation, counts: Counts) -> None:
        self._situation = situation
        self._counts = counts
        self._status = copy(situation.status)
        self._now = timestamp(situation.now)
        self._events: list[Event] = []
        self._started = situation.started

    def build(
        self, ending: Ending | None, delete: Sequence[Object], active: int, *, suspends: bool
    ) -> tuple[Object, list[Event], dt.datetime | None]:
        """Return status, events, and the moment that the start time stands for."""
        status, situation = self._status, self._situation
        if self._started is not None:
            status.setdefault("startTime", timestamp(self._started))
        _with_count(status, "active", active)
        deleted = {id(pod) for pod in delete}
        status["ready"] = sum(pod_state.is_ready(pod) for pod in situation.active if id(pod) not in deleted)
        status["terminating"] = situation.terminating + len(delete)
        self._counts.write_to(status, situation)
        if ending is not None:
            self._end(ending)
        elif suspends:
            self._suspend_or_resume()
        return status, self._events, self._started

    def _end(self, ending: Ending) -> None:
        if not ending.announced:
            self._set_condition(ending.announcement, "True", ending.reason, ending.message)
            return
        counts = self._counts
        if counts.untrack or counts.uncounted or self._status["terminating"]:
            return
        self._set_condition(ending.result, "True", ending.reason, ending.message)
        # The API requires it of a finished job, and one that never left suspension may have none.
        self._status.setdefault("startTime", self._now)
        if not ending.succeeded:
            self._events.append(("Warning", ending.reason, ending.message))
            return
        self._status["completionTime"] = self._now
        wanted = self._situation.spec.completions
        if wanted is not None and self._status.get("succeeded", 0) > wanted:
            message = "Too many succeeded pods running after completion count reached"
            self._events.append(("Warning", "TooManySucceededPods", message))
        self._events.append(("Normal", "Completed", "Job completed"))

    def _suspend_or_resume(self) -> None:
        """Show the suspension. The start time goes with it and is set anew, so that a deadline counts active time."""
        if self._situation.spec.suspended:
            if self._set_condition("Suspended", "True", "JobSuspended", "Job suspended"):
                self._events.append(("Normal", "Suspended", "Job suspended"))
                self._status.pop("startTime", None)
                self._started = None
        elif self._set_condition("Suspended", "False", "JobResumed", "Job resumed"):
            self._events.append(("Normal", "Resumed", "Job resumed"))
            self._status["startTime"] = self._now
            self._started = self._situation.now

    def _set_condition(self, kind: str, value: str, reason: str, message: str) -> bool:
        """Set a condition; True if that changes anything. One that is not there does not become False."""
        new = {
            "type": kind,
            "status": value,
            "lastProbeTime": self._now,
            "lastTransitionTime": self._now,
            "reason": reason,
            "message": message,
        }
        conditions: list[Object] = self._status.get("conditions") or []
        old = next((one for one in conditions if one.get("type") == kind), None)
        if old is None:
            if value == "False":
                return False
            self._status["conditions"] = [*conditions, new]
            return True
        if all(old.get(field, "") == new[field] for field in ("status", "reason", "message")):
            return False
        self._status["conditions"] = [new if one is old else one for one in conditions]
        return True


def _with_count(status: Object, field: str, count: int) -> Object:
    """Set a counter; one of 0 is not written."""
    status.pop(field, None)
    if count:
        status[field] = count
    return status
