"""Taking in what attempts have told: when one has ended its result is recorded before anything else is decided."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapter_contract.exit_codes import RetryPolicy
from adapter_contract.trainer_result import TrainerResult
from adapter_operator.api.v1alpha1.training_status import (
    Attempt,
    CheckpointStatus,
    Progress,
    Run,
    TrainingStatus,
    Usage,
)
from adapter_operator.build.version_revision import version_revision
from adapter_operator.observe.training_attempts import ObservedAttempt
from adapter_operator.observe.training_pods import VANISHED, PodEnd
from adapter_operator.plan.plan import JSON, EventRecord
from adapter_operator.plan.training_endings import KILLED, REUSED, STOPPED, SUCCEEDED, Ending, judge
from adapter_operator.plan.training_facts import (
    Facts,
    current_attempt,
    current_numbers,
    entry_of,
    has_identity,
    with_entry,
    with_run,
)
from adapter_operator.plan.training_retries import failures_in_a_row, pause_seconds
from adapter_operator.plan.training_versions import adapter_of, record_of, result_of, shown_versions

POD_SEEN_SECONDS: Final = 30
"""A Job may be seen to have finished before its pod is; after so long the pod is taken for gone."""


@dataclass(frozen=True)
class Harvest:
    """The status with what was learned, and what has to be created and told for it."""

    status: TrainingStatus
    create: tuple[JSON, ...] = ()
    events: tuple[EventRecord, ...] = ()


def harvest(facts: Facts, status: TrainingStatus) -> Harvest:
    """Record the present attempt: when it started, and if it has ended, how.

    Raises:
        UnknownHashVersionError: a newer operator wrote the run.

    """
    status = status.model_copy(update={"versions": shown_versions(status, facts.observed.versions)})
    numbers = current_numbers(status.run)
    attempt, entry = current_attempt(facts, status.run), entry_of(status, numbers)
    if numbers is None or (attempt is None and entry is None) or (entry is not None and entry.end_time is not None):
        return Harvest(status)
    entry = _started(entry or Attempt(run=numbers[0], number=numbers[1]), attempt)
    end = _end(attempt, facts.now)
    if end is None:
        return Harvest(with_entry(status, entry) if entry.pod_uid or entry.outcome else status)
    return _concluded(facts, status, entry, end, attempt)


def _started(entry: Attempt, attempt: ObservedAttempt | None) -> Attempt:
    pod = attempt.pod if attempt else None
    if pod is None:
        return entry
    return entry.model_copy(update={"pod_uid": pod.uid, "start_time": entry.start_time or pod.start_time})


def _end(attempt: ObservedAttempt | None, now: datetime) -> PodEnd | None:
    """How the attempt ended; None while it has not, or nobody can tell yet."""
    if attempt is None:
        return VANISHED
    if attempt.pod is not None:
        return attempt.pod.end
    finished = attempt.job.finished_time if attempt.job else None
    if finished is not None and now - finished >= timedelta(seconds=POD_SEEN_SECONDS):
        return VANISHED
    return None


def _concluded(
    facts: Facts, status: TrainingStatus, entry: Attempt, end: PodEnd, attempt: ObservedAttempt | None
) -> Harvest:
    killed = any(one.run == entry.run and one.outcome == KILLED for one in status.attempts or ())
    ending = judge(end, run=entry.run, killed_before=killed, stopped=entry.outcome == STOPPED)
    ended = end.time or facts.now
    seconds = max(0, round((ended - (entry.start_time or ended)).total_seconds()))
    report = ending.report
    entry = entry.model_copy(
        update={"end_time": ended, "resumed_from_step": report.resumed_from_step if report else None}
    )
    status = with_run(status, running_seconds=((status.run or Run()).running_seconds or 0) + seconds)
    status = _used(status, ending, seconds, attempt)
    if report is not None and report.checkpoint is not None:
        found = report.checkpoint
        checkpoint = CheckpointStatus(step=found.step, digest=found.digest, time=found.time)
        status = status.model_copy(update={"checkpoint": checkpoint})
    if ending.result is not None:
        return _published(facts, status, entry, ending.result, ended)
    status = with_entry(status, entry.model_copy(update={"outcome": ending.outcome}))
    return Harvest(_after_failure(facts, status, ending, ended), events=_events(entry, ending))


def _used(status: TrainingStatus, ending: Ending, seconds: int, attempt: ObservedAttempt | None) -> TrainingStatus:
    """Add what the attempt cost. Its work is lost where it published nothing and saved nothing new."""
    usage, report = status.usage or Usage(), ending.report
    gpu_seconds = seconds * (attempt.pod.gpus if attempt and attempt.pod else 0)
    told = report.usage if report else None
    saved = report is not None and (report.last_saved_step or 0) > (report.resumed_from_step or 0)
    wasted = 0 if ending.result is not None or saved else gpu_seconds
    peaks = [peak for peak in (usage.peak_memory_bytes, told.peak_memory_bytes if told else None) if peak is not None]
    return status.model_copy(
        update={
            "usage": Usage(
                gpu_seconds=(usage.gpu_seconds or 0) + gpu_seconds,
                wasted_gpu_seconds=(usage.wasted_gpu_seconds or 0) + wasted,
                peak_memory_bytes=max(peaks, default=None),
                trained_tokens=(usage.trained_tokens or 0) + (told.trained_tokens if told else 0),
                estimated_cost=usage.estimated_cost,
            )
        }
    )


def _published(facts: Facts, status: TrainingStatus, entry: Attempt, result: TrainerResult, ended: datetime) -> Harvest:
    """Record the version. It is followed from now on if the spec still wants what was trained."""
    record = record_of(facts, status, result, ended)
    known = facts.observed.version_with(record.digest)
    made_here = known is None or known.run == entry.run
    outcome = REUSED if result.reused and (not made_here or entry.number == 1) else SUCCEEDED
    status = with_entry(status, entry.model_copy(update={"outcome": outcome}))
    status = with_run(status, result=result_of(record), completion_time=ended)
    wanted = status.run is not None and has_identity(facts.spec, status.run)
    status = status.model_copy(
        update={
            "adapter": adapter_of(record) if wanted else status.adapter,
            "versions": shown_versions(status, [*facts.observed.versions, record]),
            "failure": None,
            "progress": _complete(status.progress, ended),
        }
    )
    create = () if known is not None else (version_revision(facts.training, record),)
    return Harvest(status, create=create)


def _complete(progress: Progress | None, ended: datetime) -> Progress:
    """The last report, brought to its end: the trainer's stream ends before its last word."""
    last = progress or Progress()
    return last.model_copy(
        update={
            "step": last.total_steps or last.step,
            "percent": 100,
            "estimated_remaining": None,
            "updated_time": ended,
        }
    )


def _after_failure(facts: Facts, status: TrainingStatus, ending: Ending, ended: datetime) -> TrainingStatus:
    """Count the failure, and close the run where nothing follows."""
    if ending.failure is None:
        return status
    run = status.run or Run()
    status = status.model_copy(update={"failure": ending.failure})
    if ending.retry is RetryPolicy.NEVER:
        return with_run(status, completion_time=ended)
    if ending.retry is RetryPolicy.BACKOFF_UNTIL_DEADLINE:
        # The pause counts too: attempts that fail within seconds would else go on for ever.
        pause = pause_seconds(failures_in_a_row(status))
        return with_run(status, running_seconds=(run.running_seconds or 0) + pause)
    failures = (run.failures or 0) + 1
    status = with_run(status, failures=failures)
    return with_run(status, completion_time=ended) if failures > facts.spec.retries.failure else status


def _events(entry: Attempt, ending: Ending) -> tuple[EventRecord, ...]:
    which = f"Attempt {entry.number} of run {entry.run}"
    if ending.outcome == STOPPED:
        return (EventRecord("Normal", "AttemptStopped", f"{which} was stopped."),)
    if ending.failure is None:
        return (EventRecord("Normal", "AttemptInterrupted", f"{which} was interrupted: {ending.message}."),)
    return (EventRecord("Warning", "AttemptFailed", f"{which} failed: {ending.failure.message}"),)
