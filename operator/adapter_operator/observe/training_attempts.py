"""A training's attempts as the cluster shows them: each a Job with, at most, one pod."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapter_contract.progress import Progress
from adapter_operator.api.v1alpha1.labels import SETTINGS_HASH
from adapter_operator.api.v1alpha1.names import attempt_of_job
from adapter_operator.observe.owners import is_being_deleted
from adapter_operator.observe.pods import Waiting, quota_refusal, read_time
from adapter_operator.observe.training_pods import ObservedPod, observe_pod

JSON = Mapping[str, Any]
Numbers = tuple[int, int]
"""Of run and attempt."""


@dataclass(frozen=True)
class ObservedJob:
    """The Job of an attempt.

    Attributes:
        name, uid: of the Job.
        deleting: it is on its way out.
        finished_time: when it was complete or failed; None while neither.
        waiting: why it could not create its pod.
        settings_hash: of the settings that it was made with.
        config_map: the config map that its pod mounts, so that it is not deleted under it.

    """

    name: str
    uid: str
    deleting: bool = False
    finished_time: datetime | None = None
    waiting: Waiting | None = None
    settings_hash: str | None = None
    config_map: str | None = None


@dataclass(frozen=True)
class ObservedAttempt:
    """What is there of an attempt: its Job, its pod, or both; one may be gone or not be seen yet."""

    run: int
    number: int
    job: ObservedJob | None = None
    pod: ObservedPod | None = None

    @property
    def numbers(self) -> Numbers:
        """Of run and attempt."""
        return (self.run, self.number)

    @property
    def is_live(self) -> bool:
        """Whether something of it may still run, or start to."""
        if self.pod is not None and self.pod.end is None:
            return True
        return self.job is not None and self.job.finished_time is None


def observe_attempts(
    training: str,
    jobs: Iterable[JSON],
    pods: Iterable[JSON],
    progress: Mapping[str, Progress],
    events: Iterable[JSON],
) -> dict[Numbers, ObservedAttempt]:
    """Put Jobs and pods together, by the names of the Jobs, which nobody can change.

    Args:
        training: name of the training that owns all of them.
        jobs: the Jobs that it controls.
        pods: the pods below them. Their Job may be gone already.
        progress: newest report by the pod's UID.
        events: Kubernetes events about Jobs and pods.

    """
    told = tuple(events)
    found_pods = _pods_by_attempt(training, pods, progress, told)
    found_jobs: dict[Numbers, ObservedJob] = {}
    for job in jobs:
        numbers = attempt_of_job(training, job["metadata"]["name"])
        if numbers is not None:
            found_jobs[numbers] = _observe_job(job, told, has_pod=numbers in found_pods)
    return {
        numbers: ObservedAttempt(*numbers, job=found_jobs.get(numbers), pod=found_pods.get(numbers))
        for numbers in sorted(found_jobs.keys() | found_pods.keys())
    }


def _pods_by_attempt(
    training: str, pods: Iterable[JSON], progress: Mapping[str, Progress], events: tuple[JSON, ...]
) -> dict[Numbers, ObservedPod]:
    """One pod for each attempt: the one that has not ended, else the newest."""
    found: dict[Numbers, ObservedPod] = {}
    for pod in sorted(pods, key=lambda one: str(one["metadata"].get("creationTimestamp", ""))):
        numbers = attempt_of_job(training, _job_name(pod))
        if numbers is None:
            continue
        observed = observe_pod(pod, progress.get(pod["metadata"]["uid"]), events)
        before = found.get(numbers)
        if before is None or before.end is not None or observed.end is None:
            found[numbers] = observed
    return found


def _job_name(pod: JSON) -> str:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(owner["name"]) for owner in owners if owner.get("controller")), "")


def _observe_job(job: JSON, events: tuple[JSON, ...], *, has_pod: bool) -> ObservedJob:
    return ObservedJob(
        name=job["metadata"]["name"],
        uid=job["metadata"]["uid"],
        deleting=is_being_deleted(job),
        finished_time=_finished_time(job),
        waiting=None if has_pod else quota_refusal(job, events),
        settings_hash=(job["metadata"].get("annotations") or {}).get(SETTINGS_HASH),
        config_map=_config_map(job),
    )


def _finished_time(job: JSON) -> datetime | None:
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            return read_time(condition["lastTransitionTime"])
    return None


def _config_map(job: JSON) -> str | None:
    volumes = job.get("spec", {}).get("template", {}).get("spec", {}).get("volumes") or ()
    return next((str(volume["configMap"]["name"]) for volume in volumes if volume["name"] == "config"), None)
