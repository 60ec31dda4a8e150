"""What the end of an attempt's pod means: a result, an interruption or a failure, and in which words."""

from dataclasses import dataclass
from typing import Final

from adapter_contract.exit_codes import ExitCode, RetryPolicy, classify
from adapter_contract.termination import cut
from adapter_contract.trainer_result import TrainerResult
from adapter_operator.api.v1alpha1.training_status import Failure
from adapter_operator.observe.training_pods import PodEnd

SUCCEEDED: Final = "Succeeded"
REUSED: Final = "Reused"
STOPPED: Final = "Stopped"
"""The operator stopped the attempt: after an edit, for suspend, at the deadline."""
KILLED: Final = "Killed"
"""Killed and nothing says why. It counts as an interruption, once in a run."""
OUTPUT_IN_USE: Final = "OutputInUse"

_OUTPUT_IN_USE_PREFIX: Final = "OutputInUse: "
_TEXT_CHARACTERS: Final = 960

_DEFAULT_WORDS: Final = {
    ExitCode.BAD_CONFIGURATION: "the trainer refused its configuration",
    ExitCode.BAD_DATA: "the trainer refused the data",
    ExitCode.INPUT_MISSING: "an input is missing",
    ExitCode.STORAGE_UNAVAILABLE: "the store does not answer",
    ExitCode.INTERNAL: "the trainer crashed; its log says more",
    ExitCode.INTERRUPTED: "the pod was evicted, preempted or lost",
    ExitCode.OUT_OF_MEMORY: "the training does not fit into memory: raise spec.pod.resources.limits.memory, or lower "
    "spec.hyperparameters.maxSequenceLength or batchSize",
    ExitCode.PERMISSION: "the store denies access",
    ExitCode.DIVERGED: "the loss became infinite or no number: lower spec.hyperparameters.learningRate",
}


@dataclass(frozen=True)
class Ending:
    """The judgement on one end.

    Attributes:
        outcome: the word for `status.attempts`.
        result: what was published; only with a success.
        report: what the trainer told of the attempt, however it ended.
        retry: what follows where there is no result.
        failure: for `status.failure`; None for successes and interruptions.
        message: what happened, for events.

    """

    outcome: str
    result: TrainerResult | None
    report: TrainerResult | None
    retry: RetryPolicy
    failure: Failure | None
    message: str


def judge(end: PodEnd, *, run: int, killed_before: bool, stopped: bool) -> Ending:
    """Judge the end of a pod by the contract's rules.

    Args:
        end: as it was observed.
        run: number of the run that the attempt belongs to.
        killed_before: an earlier attempt of the run was killed and nothing said why.
        stopped: the operator stopped it, so only a result counts.

    """
    report = end.result if end.result is not None and end.result.run == run else None
    verdict = classify(end.exit_code, end.reason, end.disrupted, killed_before=killed_before)
    code, words = verdict.code, _words(end, report, verdict.code)
    if code is ExitCode.DONE:
        if report is not None and report.exit_code is ExitCode.DONE:
            outcome = REUSED if report.reused else SUCCEEDED
            return Ending(outcome, report, report, RetryPolicy.NEVER, None, "the adapter is published")
        code, words = ExitCode.INTERNAL, _no_result(end)
    if stopped:
        return Ending(STOPPED, None, report, RetryPolicy.INTERRUPTION, None, "it was stopped")
    if code.retry is RetryPolicy.INTERRUPTION:
        outcome = KILLED if verdict.unexplained else _class(code)
        return Ending(outcome, None, report, code.retry, None, words)
    class_ = _class(code)
    if code is ExitCode.BAD_CONFIGURATION and words.startswith(_OUTPUT_IN_USE_PREFIX):
        class_, words = OUTPUT_IN_USE, words.removeprefix(_OUTPUT_IN_USE_PREFIX)
    failure = failure_of(class_, words, exit_code=end.exit_code)
    return Ending(_class(code), None, report, code.retry, failure, words)


def failure_of(class_: str, message: str, *, exit_code: int | None = None) -> Failure:
    """A failure as the status holds it."""
    code = exit_code if exit_code is not None and 0 <= exit_code <= 255 else None
    return Failure.model_validate(
        {"class": class_, "message": cut(message, _TEXT_CHARACTERS), "exitCode": code}, by_alias=True, by_name=False
    )


def _class(code: ExitCode) -> str:
    return str(code.failure_class)


def _words(end: PodEnd, report: TrainerResult | None, code: ExitCode) -> str:
    """The trainer's own words, else the kubelet's, else ours."""
    if report is not None and report.message:
        return report.message
    if end.message:
        return end.message
    default = _DEFAULT_WORDS.get(code, "")
    known = end.exit_code is not None and code is not ExitCode.OUT_OF_MEMORY
    return f"{default} (exit code {end.exit_code})" if known else default


def _no_result(end: PodEnd) -> str:
    found = f": {end.message}" if end.message else ""
    return (
        "the trainer ended with exit code 0, but its termination message holds no result of this run; its image must "
        f"belong to this release{found}"
    )
