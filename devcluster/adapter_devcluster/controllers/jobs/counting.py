"""Which ended pods are counted, and how the status shows it.

Source: ``trackJobStatusAndRemoveFinalizers`` of ``pkg/controller/job/job_controller.go``, v1.36.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.jobs import failure_policy
from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.controllers.jobs.ending import Ending
from adapter_devcluster.controllers.jobs.indexes import format_indexes
from adapter_devcluster.controllers.jobs.situation import Situation
from adapter_devcluster.objects import Object, is_deleting, uid


@dataclass(frozen=True, slots=True)
class Counts:
    """``uncounted`` is what ``uncountedTerminatedPods`` is to hold, ``untrack`` the pods that lose the finalizer."""

    succeeded: int
    failed: int
    uncounted: dict[str, list[str]]
    untrack: tuple[Object, ...]

    def write_to(self, status: Object, situation: Situation) -> None:
        """Put the counts into a status. Indexed jobs show indexes too."""
        spec = situation.spec
        for field, count in (("succeeded", self.succeeded), ("failed", self.failed)):
            status.pop(field, None)
            if count:
                status[field] = count
        status["uncountedTerminatedPods"] = self.uncounted
        status.pop("completedIndexes", None)
        status.pop("failedIndexes", None)
        if situation.succeeded_indexes:
            status["completedIndexes"] = format_indexes(situation.succeeded_indexes)
        if spec.indexed and spec.backoff_limit_per_index is not None:
            status["failedIndexes"] = format_indexes(situation.failed_indexes)


def count_ended(situation: Situation, ending: Ending | None) -> Counts:
    """Count the pods that lost their finalizer since they were listed, and list those that have ended since."""
    tracked = [pod for pod in situation.pods if pod_facts.is_tracked(pod)]
    waiting = {uid(pod) for pod in tracked}
    counted = {}
    uncounted: dict[str, list[str]] = {}
    for outcome in ("succeeded", "failed"):
        listed = situation.uncounted(outcome)
        uncounted[outcome] = [one for one in listed if one in waiting]
        counted[outcome] = int(situation.status.get(outcome) or 0) + len(listed) - len(uncounted[outcome])
    untrack = [pod for pod in tracked if _may_go(situation, pod, ending)]
    for pod in untrack:
        outcome = _outcome(situation, pod, ending)
        if outcome and uid(pod) not in (*situation.uncounted("succeeded"), *situation.uncounted("failed")):
            uncounted[outcome].append(uid(pod))
    return Counts(
        succeeded=len(situation.succeeded_indexes) if situation.spec.indexed else counted["succeeded"],
        failed=counted["failed"],
        uncounted={outcome: listed for outcome, listed in uncounted.items() if listed},
        untrack=tuple(untrack),
    )


def _may_go(situation: Situation, pod: Object, ending: Ending | None) -> bool:
    """Whether nothing more is to be learned from a pod."""
    if is_deleting(situation.job) or ending is not None or pod_state.phase(pod) == "Succeeded":
        return True
    kept = situation.delayed.get(pod_facts.index_of(pod))
    return situation.spec.has_failed(pod) and (kept is None or uid(kept) != uid(pod))


def _outcome(situation: Situation, pod: Object, ending: Ending | None) -> str:
    """Return as what a pod is listed, "" for not at all. A failed job's pods that still run count as failed."""
    spec = situation.spec
    if pod_state.phase(pod) == "Succeeded":
        # The index alone keeps an indexed job from counting it again.
        return "" if spec.indexed else "succeeded"
    stopped = ending is not None and not ending.succeeded
    if not spec.has_valid_index(pod) or not (spec.has_failed(pod) or stopped):
        return ""
    return "failed" if failure_policy.judge(spec.failure_rules, pod).counts else ""
