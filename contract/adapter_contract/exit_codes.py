"""The trainer's exit codes, which are API, and what the operator concludes from the end of a pod."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType


class FailureClass(StrEnum):
    """Why an attempt ended without a result; stands in `status.failure.class`."""

    CONFIGURATION = "Configuration"
    DATA = "Data"
    INPUT_MISSING = "InputMissing"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    INTERNAL = "Internal"
    INTERRUPTED = "Interrupted"
    OUT_OF_MEMORY = "OutOfMemory"
    PERMISSION = "Permission"
    DIVERGED = "Diverged"


class RetryPolicy(StrEnum):
    """Whether and when the next attempt starts.

    INTERRUPTION: at once, and it counts against nothing.
    BACKOFF_UNTIL_DEADLINE: after a growing pause, until the run's deadline.
    COUNTED_RETRY: as often as `retries.failure` allows.
    NEVER: not without a change by a person.
    """

    INTERRUPTION = "Interruption"
    BACKOFF_UNTIL_DEADLINE = "BackoffUntilDeadline"
    COUNTED_RETRY = "CountedRetry"
    NEVER = "Never"


class ExitCode(IntEnum):
    """How the trainer and preflight end. From 64 on, numbers are BSD's sysexits.h where it has them."""

    DONE = 0
    BAD_CONFIGURATION = 64
    BAD_DATA = 65
    INPUT_MISSING = 66
    STORAGE_UNAVAILABLE = 69
    INTERNAL = 70
    INTERRUPTED = 75
    OUT_OF_MEMORY = 76
    PERMISSION = 77
    DIVERGED = 78

    @property
    def failure_class(self) -> FailureClass | None:
        """The class of the failure; None for success."""
        return _MEANING[self][0]

    @property
    def retry(self) -> RetryPolicy:
        """What follows; success is never repeated."""
        return _MEANING[self][1]


_MEANING = MappingProxyType(
    {
        ExitCode.DONE: (None, RetryPolicy.NEVER),
        ExitCode.BAD_CONFIGURATION: (FailureClass.CONFIGURATION, RetryPolicy.NEVER),
        ExitCode.BAD_DATA: (FailureClass.DATA, RetryPolicy.NEVER),
        ExitCode.INPUT_MISSING: (FailureClass.INPUT_MISSING, RetryPolicy.BACKOFF_UNTIL_DEADLINE),
        ExitCode.STORAGE_UNAVAILABLE: (FailureClass.STORAGE_UNAVAILABLE, RetryPolicy.BACKOFF_UNTIL_DEADLINE),
        ExitCode.INTERNAL: (FailureClass.INTERNAL, RetryPolicy.COUNTED_RETRY),
        ExitCode.INTERRUPTED: (FailureClass.INTERRUPTED, RetryPolicy.INTERRUPTION),
        ExitCode.OUT_OF_MEMORY: (FailureClass.OUT_OF_MEMORY, RetryPolicy.COUNTED_RETRY),
        ExitCode.PERMISSION: (FailureClass.PERMISSION, RetryPolicy.BACKOFF_UNTIL_DEADLINE),
        ExitCode.DIVERGED: (FailureClass.DIVERGED, RetryPolicy.NEVER),
    }
)

# What the trainer decided by itself: it stands even when the pod was being evicted at that moment.
_FINAL_WORD = frozenset(
    {
        ExitCode.DONE,
        ExitCode.BAD_CONFIGURATION,
        ExitCode.BAD_DATA,
        ExitCode.OUT_OF_MEMORY,
        ExitCode.DIVERGED,
    }
)
_CODES = frozenset(ExitCode)
_SIGKILL, _SIGTERM = 137, 143
_OWN_USE = frozenset({"OOMKilled", "Evicted"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the end of a pod counts as.

    Attributes:
        code: the exit code whose class and retry policy apply.
        unexplained: the pod was killed and nothing says why; pass `killed_before=True` for the next attempt
            of the run, since such an end is forgiven once.
    """

    code: ExitCode
    unexplained: bool = False


def classify(exit_code: int | None, reason: str | None, disrupted: bool, *, killed_before: bool = False) -> Verdict:
    """Judge the end of an attempt's pod.

    In this order: the trainer's own final word (0, 64, 65, 76, 78); a disruption (eviction, preemption, a
    drained or lost node) is an interruption; OOMKilled, and eviction without a disruption, which is how the
    kubelet ends a pod for its own use of memory or disk, are out of memory; the trainer's other codes; a kill
    with no cause is an interruption once, then internal; everything else is internal.

    Args:
        exit_code: of the trainer's container; None where the pod vanished or never ran.
        reason: the container's termination reason (`OOMKilled`), else the pod's (`Evicted`).
        disrupted: the pod carries the condition DisruptionTarget.
        killed_before: an earlier attempt of this run ended unexplained.
    """
    own = ExitCode(exit_code) if exit_code in _CODES else None
    if own is not None and own in _FINAL_WORD:
        return Verdict(own)
    if disrupted:
        return Verdict(ExitCode.INTERRUPTED)
    if reason in _OWN_USE:
        return Verdict(ExitCode.OUT_OF_MEMORY)
    if own is not None:
        return Verdict(own)
    if exit_code in {None, _SIGKILL, _SIGTERM}:
        return Verdict(ExitCode.INTERNAL if killed_before else ExitCode.INTERRUPTED, unexplained=True)
    return Verdict(ExitCode.INTERNAL)
