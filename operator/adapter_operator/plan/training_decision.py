"""What follows, once everything that was to be learned is in the status."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from adapter_operator.api.v1alpha1.scalars import format_time
from adapter_operator.api.v1alpha1.training_status import (
    AdapterStatus,
    Attempt,
    Failure,
    Run,
    RunResult,
    TrainingStatus,
)
from adapter_operator.observe.training_attempts import ObservedAttempt
from adapter_operator.plan.training_endings import KILLED, REUSED, STOPPED, failure_of
from adapter_operator.plan.training_facts import (
    Facts,
    Step,
    current_attempt,
    current_numbers,
    entry_of,
    is_wanted,
    settings_hash,
    with_run,
)
from adapter_operator.plan.training_harvest import POD_SEEN_SECONDS
from adapter_operator.plan.training_retries import (
    SAME_STEP_ATTEMPTS,
    deadline_seconds,
    makes_no_progress,
    next_start,
    seconds_left,
)
from adapter_operator.plan.training_running import being_read, deletions, live_step
from adapter_operator.plan.training_start import start_attempt, start_run
from adapter_operator.plan.training_versions import adapter_of
from adapter_operator.plan.unsupported import unsupported_fields

_FINAL_REASONS: Final = {
    "Configuration": "BadConfiguration",
    "Data": "BadData",
    "DeadlineExceeded": "DeadlineExceeded",
    "Diverged": "Diverged",
    "Internal": "TrainerFailed",
    "NoProgress": "NoProgress",
    "OutOfMemory": "OutOfMemory",
    "OutputInUse": "OutputInUse",
}
_RETRY_REASONS: Final = {
    "InputMissing": "InputMissing",
    "Permission": "PermissionDenied",
    "StorageUnavailable": "StorageUnavailable",
}
_AGAIN: Final = (
    "Change the spec to train something else, or set another spec.restartToken to try the same again; a change of "
    "spec.pod, output, retries or deadlineSeconds gives it new attempts too."
)


def decide(facts: Facts, status: TrainingStatus) -> Step:
    """Draw the conclusion.

    Raises:
        UnknownHashVersionError: a newer operator wrote the run.

    """
    refused = "; ".join(str(problem) for problem in unsupported_fields(facts.spec))
    step = _ongoing(facts, status)
    if refused:
        # What runs goes on, or is stopped, as ever; but the object can't become what its spec says.
        step = replace(step or Step("InvalidSpec", "", status), reason="InvalidSpec", message=refused)
    step = step or _idle(facts, status)
    surplus = [deletion for attempt in _leftovers(facts, status) for deletion in deletions(facts, attempt.job)]
    return replace(step, delete=(*step.delete, *surplus))


def _leftovers(facts: Facts, status: TrainingStatus) -> list[ObservedAttempt]:
    """Attempts that may still run although the status names another: they are stopped before anything starts."""
    current = current_numbers(status.run)
    return [one for numbers, one in facts.observed.attempts.items() if numbers != current and one.is_live]


def _ongoing(facts: Facts, status: TrainingStatus) -> Step | None:
    """The conclusion while the present attempt is not over; None when it is."""
    attempt = current_attempt(facts, status.run)
    entry = entry_of(status, current_numbers(status.run))
    if attempt is None or (entry is not None and entry.end_time is not None):
        return None
    if attempt.is_live:
        return live_step(facts, status, attempt)
    # The Job has finished, and how is not known before its pod is seen.
    return being_read(status, attempt, requeue_after=float(POD_SEEN_SECONDS))


def _idle(facts: Facts, status: TrainingStatus) -> Step:
    """The conclusion when no attempt is under way."""
    run = status.run
    wanted = is_wanted(facts.spec, run)
    if wanted and run is not None and run.result is not None:
        return _usable(facts, status, run.result)
    if facts.spec.suspend:
        return _suspended(facts, status)
    if not wanted or run is None:
        return _blocked(facts, status, "Stopping") or start_run(facts, status)
    if run.completion_time is not None and run.settings_hash == settings_hash(facts.spec):
        return _failed(status)
    return _next_attempt(facts, status, run)


def _usable(facts: Facts, status: TrainingStatus, result: RunResult) -> Step:
    """The run's adapter is what deployments follow."""
    if status.adapter is None or status.adapter.digest != result.digest:
        # It was made while something else was wanted, and is wanted again.
        record = facts.observed.version_with(result.digest or "")
        if record is None:
            return Step("Pending", f"The record of version {result.digest} is not seen yet.", status)
        status = status.model_copy(update={"adapter": adapter_of(record)})
    adapter = status.adapter or AdapterStatus()
    entry = entry_of(status, current_numbers(status.run))
    where = f"version {adapter.version}, {adapter.digest}, at {adapter.uri}"
    if entry is not None and entry.outcome == REUSED:
        return Step("Reused", f"The same inputs were trained before; in service is {where}.", status)
    return Step("Succeeded", f"The adapter is published: {where}.", status)


def _suspended(facts: Facts, status: TrainingStatus) -> Step:
    return _blocked(facts, status, "Stopping") or Step(
        "Suspended",
        "spec.suspend is true: no pod runs. Set it to false to go on; no checkpoint was saved, so an unfinished run "
        "starts over.",
        status,
    )


def _failed(status: TrainingStatus) -> Step:
    """The run has failed for good."""
    run, failure = status.run or Run(), status.failure or Failure()
    message = f"Run {run.number} failed: {_sentence(failure.message)} {_AGAIN}"
    return Step(_FINAL_REASONS.get(failure.class_ or "", "TrainerFailed"), message, status)


def _next_attempt(facts: Facts, status: TrainingStatus, run: Run) -> Step:
    """Start the next attempt of the run when its time has come, or close the run."""
    entry = entry_of(status, current_numbers(run))
    if entry is None:
        # The status names it, but its Job was never seen: a crash lies between.
        return _blocked(facts, status, "Pending") or start_attempt(facts, status, run.attempt or 1)
    number = 1 + max([entry.number, *(number for of, number in facts.observed.attempts if of == run.number)])
    if run.settings_hash == settings_hash(facts.spec):
        ended = _exhausted(facts, status)
        if ended is not None:
            return _failed(ended)
        due = next_start(status)
        if due is not None and due > facts.now:
            return _pause(facts, status, entry, due)
    return _blocked(facts, status, _waiting_reason(entry)) or start_attempt(facts, status, number)


def _exhausted(facts: Facts, status: TrainingStatus) -> TrainingStatus | None:
    """The status of a run that gets no more attempts; None where it does."""
    if makes_no_progress(status):
        message = (
            f"{SAME_STEP_ATTEMPTS} attempts in a row went on from the same step: they are interrupted before they save "
            "a checkpoint"
        )
        failure = failure_of("NoProgress", message)
    elif seconds_left(facts, status, None) <= 0:
        last = f"; the last failure: {status.failure.message}" if status.failure and status.failure.message else ""
        allowed = deadline_seconds(facts, status)
        failure = failure_of("DeadlineExceeded", f"its attempts took longer than deadlineSeconds, {allowed}{last}")
    else:
        return None
    return with_run(status, completion_time=facts.now).model_copy(update={"failure": failure})


def _pause(facts: Facts, status: TrainingStatus, entry: Attempt, due: datetime) -> Step:
    """Wait before the next attempt."""
    said = status.failure.message if status.failure else None
    failed = f"Attempt {entry.number} of run {entry.run} failed: {_sentence(said)}"
    message = f"{failed} The next one starts at {format_time(due)}."
    return Step(_waiting_reason(entry), message, status, requeue_after=(due - facts.now).total_seconds())


def _waiting_reason(entry: Attempt) -> str:
    if entry.outcome == STOPPED:
        return "Stopping"
    if entry.outcome in {"Interrupted", KILLED}:
        return "Interrupted"
    return _RETRY_REASONS.get(entry.outcome or "", "Retrying")


def _blocked(facts: Facts, status: TrainingStatus, reason: str) -> Step | None:
    """The conclusion that something of this training may still run, so nothing is started."""
    live = [attempt for attempt in facts.observed.attempts.values() if attempt.is_live]
    if not live:
        return None
    names = ", ".join(sorted(f"attempt {one.number} of run {one.run}" for one in live))
    return Step(reason, f"What follows starts when nothing is left of {names}.", status)


def _sentence(text: str | None) -> str:
    """A text that ends with a full stop."""
    said = (text or "the reason is not known").strip()
    return said if said.endswith((".", "!", "?")) else f"{said}."
