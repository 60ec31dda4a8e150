"""The status document and the events, from what was concluded."""

from collections.abc import Iterator
from typing import Final

from adapter_operator.api.v1alpha1.conditions import make_conditions, situation_of
from adapter_operator.plan.plan import JSON, EventRecord
from adapter_operator.plan.training_facts import Facts, Step, current_numbers

# Reasons that change with every phase of a training; the conditions tell them, events would only repeat them.
_QUIET: Final = frozenset(
    {"Pending", "Starting", "Training", "Evaluating", "Uploading", "Interrupted", "Retrying", "Stopping"}
)
_TROUBLE: Final = frozenset(
    {
        "ImagePullFailed",
        "InputMissing",
        "PermissionDenied",
        "QuotaExceeded",
        "StorageUnavailable",
        "Unschedulable",
        "VolumeUnavailable",
    }
)
_MESSAGE_CHARACTERS: Final = 32768


def status_document(facts: Facts, step: Step) -> JSON:
    """The whole status: what was concluded, with its conditions and the generation that they speak of."""
    generation = facts.training.metadata.generation
    conditions = make_conditions(
        "AdapterTraining",
        step.reason,
        step.message[:_MESSAGE_CHARACTERS],
        generation=generation,
        now=facts.now,
        previous=facts.before.conditions or (),
    )
    return step.status.model_copy(update={"observed_generation": generation, "conditions": conditions}).to_dict()


def transition_events(facts: Facts, step: Step) -> Iterator[EventRecord]:
    """Events of what is new: a run, an attempt, a reason of Ready that people should hear of."""
    run = step.status.run
    numbers = current_numbers(run)
    if run is not None and numbers is not None and numbers != current_numbers(facts.before.run):
        reason = "RunStarted" if numbers[1] == 1 else "AttemptStarted"
        yield EventRecord("Normal", reason, f"Attempt {numbers[1]} of run {numbers[0]} starts as Job {run.job}.")
    if step.reason == facts.reason_before or step.reason in _QUIET:
        return
    stalled = situation_of("AdapterTraining", step.reason).abnormal == "Stalled"
    yield EventRecord("Warning" if stalled or step.reason in _TROUBLE else "Normal", step.reason, step.message)
