"""Whether a job has to end, and why.

Source: ``syncJob`` of ``pkg/controller/job/job_controller.go``, v1.36. An end is announced by FailureTarget or
SuccessCriteriaMet, and becomes Failed or Complete once all pods have ended and are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.jobs import failure_policy
from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.controllers.jobs.indexes import matching_success_rule
from adapter_devcluster.controllers.jobs.situation import Situation
from adapter_devcluster.objects import Object


@dataclass(frozen=True, slots=True)
class Ending:
    """``announced``: the status tells of it already."""

    succeeded: bool
    reason: str
    message: str
    announced: bool = False

    @property
    def announcement(self) -> str:
        """The type of the condition that comes first."""
        return "SuccessCriteriaMet" if self.succeeded else "FailureTarget"

    @property
    def result(self) -> str:
        """The type of the condition that comes last."""
        return "Complete" if self.succeeded else "Failed"


def ending_of(situation: Situation) -> Ending | None:
    """Return how the job ends, if it has to whatever pods still run."""
    return _announced(situation) or _failed_by_policy(situation) or _over_limits(situation) or _by_indexes(situation)


def completion_of(situation: Situation, active: int) -> Ending | None:
    """Return the success of a job whose pods have all succeeded. ``active`` is what remains active after this sync."""
    wanted = situation.spec.completions
    reached = situation.succeeded > 0 if wanted is None else situation.succeeded >= wanted
    if not reached or active:
        return None
    return Ending(succeeded=True, reason="CompletionsReached", message="Reached expected number of succeeded pods")


def seconds_to_deadline(situation: Situation) -> float | None:
    """Return the seconds left of ``activeDeadlineSeconds``; None where no deadline runs."""
    spec = situation.spec
    if spec.deadline_seconds is None or spec.suspended or situation.started is None:
        return None
    return spec.deadline_seconds - (situation.now - situation.started).total_seconds()


def _announced(situation: Situation) -> Ending | None:
    conditions: list[Object] = situation.status.get("conditions") or []
    for kind in ("SuccessCriteriaMet", "FailureTarget"):
        for one in conditions:
            if one.get("type") == kind and one.get("status") == "True":
                reason, message = str(one.get("reason") or ""), str(one.get("message") or "")
                return Ending(kind == "SuccessCriteriaMet", reason, message, announced=True)
    return None


def _failed_by_policy(situation: Situation) -> Ending | None:
    for pod in situation.pods:
        if situation.spec.has_failed(pod):
            verdict = failure_policy.judge(situation.spec.failure_rules, pod)
            if verdict.action == "FailJob":
                return _failure("PodFailurePolicy", verdict.message)
    return None


def _over_limits(situation: Situation) -> Ending | None:
    left = seconds_to_deadline(situation)
    if situation.failed > situation.spec.backoff_limit or _restarted_too_often(situation):
        return _failure("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if left is not None and left <= 0:
        return _failure("DeadlineExceeded", "Job was active longer than specified deadline")
    return None


def _restarted_too_often(situation: Situation) -> bool:
    """Whether containers that restart in their pods used up the backoff limit; a limit of 0 allows no restart."""
    if not situation.spec.restarts_in_place:
        return False
    restarts = sum(pod_facts.restarts(pod) for pod in situation.pods if pod_state.phase(pod) in ("Pending", "Running"))
    return restarts >= max(situation.spec.backoff_limit, 1)


def _by_indexes(situation: Situation) -> Ending | None:
    spec, completions = situation.spec, situation.spec.completions or 0
    failed, ended = len(situation.failed_indexes), len(situation.failed_indexes) + len(situation.succeeded_indexes)
    if spec.max_failed_indexes is not None and failed > spec.max_failed_indexes:
        message = "Job has exceeded the specified maximal number of failed indexes"
        return _failure("MaxFailedIndexesExceeded", message)
    if failed and ended >= completions:
        return _failure("FailedIndexes", "Job has failed indexes")
    rule = matching_success_rule(spec.success_rules, completions, situation.succeeded_indexes)
    if rule is None:
        return None
    return Ending(succeeded=True, reason="SuccessPolicy", message=f"Matched rules at index {rule}")


def _failure(reason: str, message: str) -> Ending:
    return Ending(succeeded=False, reason=reason, message=message)
