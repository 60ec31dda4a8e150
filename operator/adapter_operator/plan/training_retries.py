"""When the next attempt of a run may start, and when there is none."""

from datetime import datetime, timedelta
from typing import Final

from adapter_operator.api.v1alpha1.training_status import Attempt, Run, TrainingStatus
from adapter_operator.plan.training_endings import KILLED, STOPPED
from adapter_operator.plan.training_facts import Facts

FIRST_PAUSE_SECONDS: Final = 10
LONGEST_PAUSE_SECONDS: Final = 300
SAME_STEP_ATTEMPTS: Final = 5
"""So many attempts in a row from the same checkpoint are no progress."""

_NO_FAILURE: Final = frozenset({"Interrupted", KILLED, STOPPED, None})


def counted_attempts(status: TrainingStatus) -> list[Attempt]:
    """The ended attempts of the run that count: since its start, or since its settings changed; oldest first."""
    run = status.run or Run()
    return [
        entry
        for entry in status.attempts or ()
        if entry.run == run.number and entry.number >= (run.counted_from or 1) and entry.end_time is not None
    ]


def pause_seconds(failures: int) -> int:
    """The pause after so many failures in a row: 10, 20, 40 seconds and so on, at most 300; none after none."""
    return 0 if failures == 0 else min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 10))


def failures_in_a_row(status: TrainingStatus) -> int:
    """How many of the newest attempts failed, without an interruption in between."""
    count = 0
    for entry in reversed(counted_attempts(status)):
        if entry.outcome in _NO_FAILURE:
            break
        count += 1
    return count


def next_start(status: TrainingStatus) -> datetime | None:
    """When the next attempt may start; None: at once."""
    ended = counted_attempts(status)
    pause = pause_seconds(failures_in_a_row(status))
    if not ended or pause == 0 or ended[-1].end_time is None:
        return None
    return ended[-1].end_time + timedelta(seconds=pause)


def makes_no_progress(status: TrainingStatus) -> bool:
    """Whether the newest attempts that told where they began all went on from the same step.

    Attempts that the operator stopped say nothing, nor do those that ended without a word. Those that began at step 0
    went on from no checkpoint: such a run may not save any, and interruptions are free.
    """
    steps = [
        entry.resumed_from_step
        for entry in counted_attempts(status)
        if entry.outcome != STOPPED and (entry.resumed_from_step or 0) > 0
    ][-SAME_STEP_ATTEMPTS:]
    return len(steps) == SAME_STEP_ATTEMPTS and len(set(steps)) == 1


def deadline_seconds(facts: Facts, status: TrainingStatus) -> int:
    """Running time that the run may take: by the spec, else as the platform had it when the run started."""
    resolved = status.resolved.deadline_seconds if status.resolved else None
    return facts.spec.deadline_seconds or resolved or facts.settings.deadline_seconds


def seconds_left(facts: Facts, status: TrainingStatus, started: datetime | None) -> float:
    """Running time until the deadline; `started` is when the present attempt's pod was taken by a node.

    Time without a node is not counted: waiting for one is not the run's fault.
    """
    spent = float((status.run or Run()).running_seconds or 0)
    if started is not None:
        spent += max(0.0, (facts.now - started).total_seconds())
    return deadline_seconds(facts, status) - spent
