"""A job and its pods as one sync sees them, all counts made.

Source: ``syncJob`` of ``pkg/controller/job/job_controller.go`` and ``indexed_job_utils.go``, v1.36.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.jobs import failure_policy
from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.controllers.jobs.backoff import BASE_SECONDS, Backoff
from adapter_devcluster.controllers.jobs.indexes import parse_indexes
from adapter_devcluster.controllers.jobs.spec import JobSpec
from adapter_devcluster.objects import Object, parse_time, section, timestamp, uid


@dataclass(frozen=True, slots=True)
class Memory:
    """What the controller remembers of a job between syncs, as no object holds it.

    ``started`` is the moment behind ``status.startTime``, which has whole seconds only: a deadline of one second
    would else come at any time within it.
    """

    backoff: Backoff = field(default_factory=Backoff)
    started: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """``succeeded`` and ``failed`` are what the status will come to.

    ``delayed`` are failed pods by index that are kept until their replacement carries on their count.
    """

    job: Object
    spec: JobSpec
    pods: Sequence[Object]
    now: dt.datetime
    base_delay: float
    started: dt.datetime | None
    active: Sequence[Object]
    terminating: int
    succeeded: int
    failed: int
    succeeded_indexes: frozenset[int]
    failed_indexes: frozenset[int]
    delayed: Mapping[int | None, Object]
    backoff: Backoff

    @property
    def status(self) -> Object:
        """The status as it is, not as it will be."""
        return section(self.job, "status")

    def uncounted(self, outcome: str) -> list[str]:
        """Return the pods that the status lists as ``succeeded`` or ``failed`` but not counted yet."""
        found: list[str] = section(self.status, "uncountedTerminatedPods").get(outcome) or []
        return found


def assess(
    job: Object, pods: Sequence[Object], memory: Memory, now: dt.datetime, base_delay: float = BASE_SECONDS
) -> Situation:
    """Look at a job, at the pods that it controls and at what is remembered of it. ``base_delay`` is in seconds."""
    spec, status = JobSpec.of(job), section(job, "status")
    uncounted = section(status, "uncountedTerminatedPods")
    known = {*(uncounted.get("succeeded") or ()), *(uncounted.get("failed") or ())}
    fresh = [p for p in pods if pod_facts.is_tracked(p) and uid(p) not in known and spec.has_valid_index(p)]
    new_succeeded = [pod for pod in fresh if pod_state.phase(pod) == "Succeeded"]
    new_failed = [pod for pod in fresh if spec.has_failed(pod)]
    succeeded_indexes = _succeeded_indexes(status, spec, pods)
    failed_indexes = _failed_indexes(status, spec, pods)
    active = [pod for pod in pods if pod_state.is_active(pod)]
    succeeded = int(status.get("succeeded") or 0) + len(new_succeeded) + len(uncounted.get("succeeded") or ())
    counting = sum(failure_policy.judge(spec.failure_rules, pod).counts for pod in new_failed)
    settled = succeeded_indexes | failed_indexes | pod_facts.indexes_of(active)
    return Situation(
        job=job,
        spec=spec,
        pods=pods,
        now=now,
        base_delay=base_delay,
        started=_started(status, spec, memory, now),
        active=active,
        terminating=sum(map(pod_state.is_terminating, pods)),
        succeeded=len(succeeded_indexes) if spec.indexed else succeeded,
        failed=int(status.get("failed") or 0) + counting + len(uncounted.get("failed") or ()),
        succeeded_indexes=succeeded_indexes,
        failed_indexes=failed_indexes,
        delayed=_delayed(spec, pods, settled) if spec.backoff_limit_per_index is not None else {},
        backoff=memory.backoff.after(new_succeeded, new_failed),
    )


def _started(status: Object, spec: JobSpec, memory: Memory, now: dt.datetime) -> dt.datetime | None:
    written = status.get("startTime")
    if written is None:
        return None if spec.suspended else now
    if memory.started and timestamp(memory.started) == written:
        return memory.started
    return parse_time(written)


def _succeeded_indexes(status: Object, spec: JobSpec, pods: Sequence[Object]) -> frozenset[int]:
    if not spec.indexed:
        return frozenset()
    earlier = parse_indexes(status.get("completedIndexes") or "", spec.completions or 0)
    ended = [pod for pod in pods if pod_state.phase(pod) == "Succeeded" and pod_facts.is_tracked(pod)]
    return earlier | pod_facts.indexes_of(pod for pod in ended if spec.has_valid_index(pod))


def _failed_indexes(status: Object, spec: JobSpec, pods: Sequence[Object]) -> frozenset[int]:
    if not spec.indexed or spec.backoff_limit_per_index is None:
        return frozenset()
    earlier = parse_indexes(status.get("failedIndexes") or "", spec.completions or 0)
    tracked = [pod for pod in pods if pod_facts.is_tracked(pod) and spec.has_valid_index(pod)]
    return earlier | pod_facts.indexes_of(pod for pod in tracked if _fails_index(spec, pod))


def _fails_index(spec: JobSpec, pod: Object) -> bool:
    """Whether a pod is the last of its index that is tried."""
    if not spec.has_failed(pod):
        return False
    verdict = failure_policy.judge(spec.failure_rules, pod)
    used_up = pod_facts.failures_before(pod) >= (spec.backoff_limit_per_index or 0)
    return verdict.action == "FailIndex" or (verdict.counts and used_up)


def _delayed(spec: JobSpec, pods: Sequence[Object], settled: frozenset[int]) -> dict[int | None, Object]:
    """Return the last failed pod of each index that needs another."""

    def order(pod: Object) -> tuple[int, dt.datetime]:
        failures = pod_facts.failures_before(pod) + pod_facts.ignored_failures_before(pod)
        return failures, pod_facts.finished_at(pod)

    found: dict[int | None, Object] = {}
    for pod in sorted((pod for pod in pods if pod_facts.is_tracked(pod) and spec.has_failed(pod)), key=order):
        index = pod_facts.index_of(pod)
        if index is not None and spec.has_valid_index(pod) and index not in settled:
            found[index] = pod
    return found
