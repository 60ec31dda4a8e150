"""An attempt that runs, or is about to: what it is doing, how far it is, and whether it has to be stopped."""

from dataclasses import dataclass
from typing import Final

from adapter_contract.progress import Phase
from adapter_contract.progress import Progress as Report
from adapter_contract.scalars import decimal_string
from adapter_operator.api.v1alpha1.training_status import Attempt, CheckpointStatus, Progress, TrainingStatus
from adapter_operator.observe.training_attempts import ObservedAttempt, ObservedJob
from adapter_operator.plan.plan import Deletion
from adapter_operator.plan.training_endings import STOPPED
from adapter_operator.plan.training_facts import Facts, Step, entry_of, is_wanted, settings_hash, with_entry
from adapter_operator.plan.training_retries import seconds_left
from adapter_operator.plan.training_start import starting_message
from adapter_operator.plan.unsupported import unsupported_fields

PROGRESS_SECONDS: Final = 30
"""Progress is written at most so often, by the trainer's clock, and whenever the phase changes."""

_DOING: Final = {
    Phase.PREFLIGHT: ("Starting", "is checking its inputs"),
    Phase.LOADING: ("Starting", "is loading the base model and the data"),
    Phase.TRAINING: ("Training", "is training; status.progress holds the figures"),
    Phase.EVALUATING: ("Evaluating", "is evaluating"),
    Phase.CHECKPOINTING: ("Training", "is training; status.progress holds the figures"),
    Phase.UPLOADING: ("Uploading", "is uploading the adapter"),
}
_REPORTED: Final = frozenset(reason for reason, _ in _DOING.values())
_WAITING_WORDS: Final = {
    "Unschedulable": "No node takes the pod of attempt {}: {}",
    "ImagePullFailed": "The image of attempt {} can't be pulled: {}",
    "VolumeUnavailable": "A volume of attempt {} can't be mounted: {}",
    "QuotaExceeded": "A quota does not admit the pod of attempt {}: {}",
}


@dataclass(frozen=True)
class StopCause:
    """Why an attempt has to be stopped, in words."""

    message: str


def live_step(facts: Facts, status: TrainingStatus, attempt: ObservedAttempt) -> Step:
    """Let the attempt go on, or stop it.

    A Job that has finished is not stopped, even where its pod is still seen to run: the pod's end is only on its way,
    and with the Job its result would be lost.
    """
    if attempt.job is not None and attempt.job.finished_time is not None:
        return being_read(status, attempt)
    cause = _stop_cause(facts, status, attempt)
    entry = entry_of(status, attempt.numbers)
    if cause is not None:
        return stop(facts, status, attempt, cause.message)
    if attempt.job is None or attempt.job.deleting:
        message = f"Attempt {attempt.number} of run {attempt.run} is being deleted; what follows is decided then."
        return Step("Stopping", message, status)
    if entry is not None and entry.outcome == STOPPED:
        # It was to be stopped, and is wanted again before anything happened.
        status = with_entry(status, entry.model_copy(update={"outcome": None}))
    step = _waiting_step(status, attempt) or _reporting_step(facts, status, attempt)
    return _with_deadline(facts, step, attempt)


def being_read(status: TrainingStatus, attempt: ObservedAttempt, *, requeue_after: float | None = None) -> Step:
    """Wait for the pod of a finished Job to be seen as it ended: only then is it known how.

    Args:
        status: so far.
        attempt: whose Job has finished.
        requeue_after: seconds until the pod is taken for gone; None where its next event is waited for.

    """
    message = f"Attempt {attempt.number} of run {attempt.run} has ended; its result is being read."
    return Step("Uploading", message, status, requeue_after=requeue_after)


def stop(facts: Facts, status: TrainingStatus, attempt: ObservedAttempt, why: str) -> Step:
    """Delete an attempt's Job, in the foreground, so that it stays until its pod has ended."""
    entry = entry_of(status, attempt.numbers) or Attempt(run=attempt.run, number=attempt.number)
    status = with_entry(status, entry.model_copy(update={"outcome": STOPPED}))
    message = f"Attempt {attempt.number} of run {attempt.run} is being stopped: {why}."
    return Step("Stopping", message, status, delete=deletions(facts, attempt.job))


def deletions(facts: Facts, job: ObservedJob | None) -> tuple[Deletion, ...]:
    """The deletion of a Job that is not on its way out yet."""
    if job is None or job.deleting:
        return ()
    namespace = facts.training.metadata.namespace
    return (Deletion("batch/v1", "Job", namespace, job.name, job.uid, propagation="Foreground"),)


def _stop_cause(facts: Facts, status: TrainingStatus, attempt: ObservedAttempt) -> StopCause | None:
    pod, job = attempt.pod, attempt.job
    if not is_wanted(facts.spec, status.run):
        return StopCause("the spec asks for another run")
    if facts.spec.suspend:
        return StopCause("spec.suspend is true")
    if seconds_left(facts, status, pod.start_time if pod else None) <= 0:
        return StopCause("its run has reached its deadline")
    has_run = pod is not None and (pod.running or pod.end is not None)
    # Of a spec that is refused nothing would take its place.
    may_follow = not any(unsupported_fields(facts.spec))
    if job is not None and not has_run and may_follow and job.settings_hash != settings_hash(facts.spec):
        return StopCause("its settings were changed before it ran")
    return None


def _waiting_step(status: TrainingStatus, attempt: ObservedAttempt) -> Step | None:
    """What keeps the pod from running, in the words of whoever does."""
    waiting = attempt.pod.waiting if attempt.pod else attempt.job.waiting if attempt.job else None
    if waiting is None:
        return None
    return Step(waiting.reason, _WAITING_WORDS[waiting.reason].format(attempt.number, waiting.message), status)


def _reporting_step(facts: Facts, status: TrainingStatus, attempt: ObservedAttempt) -> Step:
    """What the trainer says of itself; before its first word, and while it can't be asked, what it said last."""
    report = attempt.pod.progress if attempt.pod else None
    if report is not None and (report.run, report.attempt) == attempt.numbers:
        return _told(facts, status, report)
    if attempt.pod is not None and attempt.pod.running and _is_reported(facts, attempt):
        return Step(facts.reason_before or "", facts.message_before, status)
    return Step("Starting", starting_message(attempt.run, attempt.number), status)


def _is_reported(facts: Facts, attempt: ObservedAttempt) -> bool:
    """Whether the stored condition is this attempt's own report: an operator that starts has not heard it yet."""
    return facts.reason_before in _REPORTED and facts.message_before.startswith(_subject(attempt.run, attempt.number))


def _subject(run: int, attempt: int) -> str:
    return f"Attempt {attempt} of run {run} "


def _told(facts: Facts, status: TrainingStatus, report: Report) -> Step:
    reason, doing = _DOING[report.phase]
    message = f"{_subject(report.run, report.attempt)}{doing}."
    step = Step(reason, message, status)
    written = status.progress.updated_time if status.progress else None
    if written is not None and report.updated_time <= written:
        return step
    # Both times are the trainer's: its node's clock may differ from the operator's.
    age = PROGRESS_SECONDS if written is None else (report.updated_time - written).total_seconds()
    if age < PROGRESS_SECONDS and message == facts.message_before:
        # Only a later report can be due, and it wakes the operator itself.
        return step
    update: dict[str, object] = {"progress": progress_of(report)}
    if report.checkpoint is not None:
        found = report.checkpoint
        update["checkpoint"] = CheckpointStatus(step=found.step, digest=found.digest, time=found.time)
    return Step(reason, message, status.model_copy(update=update))


def progress_of(report: Report) -> Progress:
    """A report as the status shows it."""
    left = report.estimated_remaining_seconds
    return Progress(
        step=report.step,
        total_steps=report.total_steps,
        percent=report.percent,
        epoch=_decimal(report.epoch),
        loss=_decimal(report.loss),
        eval_loss=_decimal(report.eval_loss),
        tokens_per_second=_decimal(report.tokens_per_second),
        estimated_remaining=None if left is None else duration_text(left),
        updated_time=report.updated_time,
    )


def _decimal(number: float | None) -> str | None:
    """Four significant digits: enough to look at, and short enough for a column."""
    return None if number is None else decimal_string(float(f"{number:.4g}"))


def duration_text(seconds: int) -> str:
    """A duration as kubectl writes it: `45s`, `12m`, `3h5m`, `2d4h`."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if hours < 3:
        return f"{minutes}m"
    if days < 2:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"


def _with_deadline(facts: Facts, step: Step, attempt: ObservedAttempt) -> Step:
    """Come back when the deadline is reached; while no node has taken the pod, time does not count."""
    started = attempt.pod.start_time if attempt.pod else None
    if started is None:
        return step
    left = max(0.0, seconds_left(facts, step.status, started))
    after = left if step.requeue_after is None else min(left, step.requeue_after)
    return Step(step.reason, step.message, step.status, requeue_after=after)
