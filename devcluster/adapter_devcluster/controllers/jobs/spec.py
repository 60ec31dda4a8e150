"""A job's specification, with the values that hold where a field is absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.objects import Object, section

CONTROLLER_NAME: Final = "kubernetes.io/job-controller"
_DEFAULT_BACKOFF_LIMIT: Final = 6
_NO_LIMIT: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What the planner needs of ``Job.spec``. ``completions`` is None for a work queue."""

    parallelism: int
    completions: int | None
    indexed: bool
    suspended: bool
    backoff_limit: int
    backoff_limit_per_index: int | None
    max_failed_indexes: int | None
    deadline_seconds: int | None
    failure_rules: Sequence[Object] | None
    success_rules: Sequence[Object]
    replaces_terminating: bool
    restarts_in_place: bool

    @classmethod
    def of(cls, job: Object) -> JobSpec:
        """Read a job."""
        spec = section(job, "spec")
        per_index = spec.get("backoffLimitPerIndex")
        default_limit = _DEFAULT_BACKOFF_LIMIT if per_index is None else _NO_LIMIT
        failure_policy = spec.get("podFailurePolicy")
        single = "parallelism" not in spec and "completions" not in spec
        return cls(
            parallelism=int(_given(spec, "parallelism", 1)),
            completions=1 if single else spec.get("completions"),
            indexed=spec.get("completionMode") == "Indexed",
            suspended=bool(spec.get("suspend")),
            backoff_limit=int(_given(spec, "backoffLimit", default_limit)),
            backoff_limit_per_index=per_index,
            max_failed_indexes=spec.get("maxFailedIndexes"),
            deadline_seconds=spec.get("activeDeadlineSeconds"),
            failure_rules=None if failure_policy is None else failure_policy.get("rules") or (),
            success_rules=section(spec, "successPolicy").get("rules") or (),
            # With a failure policy a pod's end has to be seen before it can be judged.
            replaces_terminating=spec.get("podReplacementPolicy") != "Failed" and failure_policy is None,
            restarts_in_place=section(spec, "template", "spec").get("restartPolicy") == "OnFailure",
        )

    def has_failed(self, pod: Object) -> bool:
        """Whether a pod is counted as failed: also one that was deleted before it ended, unless its end is awaited."""
        if pod_state.phase(pod) == "Failed":
            return True
        return self.replaces_terminating and pod_state.is_terminating(pod)

    def has_valid_index(self, pod: Object) -> bool:
        """Whether a pod has the completion index that it should have; always so where the job has no indexes."""
        if not self.indexed:
            return True
        index = pod_facts.index_of(pod)
        return index is not None and index < (self.completions or 0)


def is_managed_elsewhere(job: Object) -> bool:
    """Whether ``managedBy`` names another controller."""
    return section(job, "spec").get("managedBy") not in (None, CONTROLLER_NAME)


def is_finished(job: Object) -> bool:
    """Whether the job has Complete or Failed."""
    return finished_condition(job) is not None


def finished_condition(job: Object) -> Object | None:
    """Return the condition Complete or Failed that ended the job."""
    found: list[Object] = section(job, "status").get("conditions") or []
    ended = (one for one in found if one.get("type") in ("Complete", "Failed") and one.get("status") == "True")
    return next(ended, None)


def _given(spec: Object, field: str, default: int) -> Any:  # noqa: ANN401 - a JSON number
    found = spec.get(field)
    return default if found is None else found
