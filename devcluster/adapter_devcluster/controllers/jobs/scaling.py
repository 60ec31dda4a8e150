"""How many pods a job needs now: which to make, and which to remove.

Source: ``manageJob`` of ``pkg/controller/job/job_controller.go`` and ``indexed_job_utils.go``, v1.36.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.jobs import backoff
from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.controllers.jobs.situation import Situation
from adapter_devcluster.objects import Object

# More of them wait for the next sync, so that requests are served between.
MOST_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Scaling:
    """``create`` has the completion index of each new pod, or None where there are none; ``wait`` is in seconds."""

    create: tuple[int | None, ...] = ()
    delete: tuple[Object, ...] = ()
    wait: float = 0.0


def scale(situation: Situation) -> Scaling:
    """Decide on pods of a job that goes on. In one sync pods are made or removed, never both."""
    spec, active = situation.spec, len(situation.active)
    if spec.suspended:
        return Scaling(delete=tuple(situation.active))
    wanted = _wanted(situation)
    surplus = _surplus(situation, max(active - wanted, 0))
    if surplus:
        return Scaling(delete=tuple(surplus[:MOST_AT_ONCE]))
    missing = wanted - active - (0 if spec.replaces_terminating else situation.terminating)
    if missing <= 0:
        return Scaling()
    if spec.backoff_limit_per_index is None:
        wait = situation.backoff.remaining(situation.now, situation.base_delay)
        if wait > 0:
            return Scaling(wait=wait)
    missing = min(missing, MOST_AT_ONCE)
    if not spec.indexed:
        return Scaling(create=(None,) * missing)
    return _without_waiting(situation, _pending_indexes(situation, missing))


def _wanted(situation: Situation) -> int:
    """Return how many pods should be active; in a work queue none is added after the first success."""
    spec = situation.spec
    if spec.completions is None:
        return len(situation.active) if situation.succeeded else spec.parallelism
    return max(min(spec.completions - situation.succeeded, spec.parallelism), 0)


def _surplus(situation: Situation, at_least: int) -> list[Object]:
    """Return the active pods to remove: first those of an indexed job that have no valid index of their own."""
    remove: list[Object] = []
    left = sorted(situation.active, key=pod_facts.removal_order)
    if situation.spec.indexed:
        remove, left = _split_indexed(situation, left)
    return remove + left[: max(at_least - len(remove), 0)]


def _split_indexed(situation: Situation, pods: Sequence[Object]) -> tuple[list[Object], list[Object]]:
    remove = [pod for pod in pods if not situation.spec.has_valid_index(pod)]
    by_index: dict[int | None, list[Object]] = defaultdict(list)
    for pod in pods:
        if situation.spec.has_valid_index(pod):
            by_index[pod_facts.index_of(pod)].append(pod)
    left = []
    for same in by_index.values():
        remove += same[:-1]
        left.append(same[-1])
    return remove, sorted(left, key=pod_facts.removal_order)


def _pending_indexes(situation: Situation, count: int) -> list[int]:
    """Return the first indexes that have neither ended nor a pod."""
    spec = situation.spec
    taken = situation.succeeded_indexes | situation.failed_indexes | pod_facts.indexes_of(situation.active)
    if not spec.replaces_terminating:
        taken = taken | pod_facts.indexes_of(filter(pod_state.is_terminating, situation.pods))
    return [index for index in range(spec.completions or 0) if index not in taken][:count]


def _without_waiting(situation: Situation, indexes: Sequence[int]) -> Scaling:
    """Create what need not wait. Where failures count per index, so do delays."""
    waits = {index: _wait_of(situation, index) for index in indexes}
    due = tuple(index for index in indexes if not waits[index])
    return Scaling(create=due, wait=min((wait for wait in waits.values() if wait), default=0.0))


def _wait_of(situation: Situation, index: int) -> float:
    failed = situation.delayed.get(index)
    if failed is None:
        return 0.0
    failures = pod_facts.failures_before(failed) + pod_facts.ignored_failures_before(failed) + 1
    return backoff.remaining(failures, pod_facts.finished_at(failed), situation.now, situation.base_delay)
