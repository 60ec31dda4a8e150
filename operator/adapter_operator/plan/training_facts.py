"""What every part of the planner of a training looks at, and how its parts answer."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from adapter_contract.digests import sha256_json
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.identity import HASH_VERSION, spec_hash
from adapter_operator.api.v1alpha1.training import AdapterTraining, TrainingSpec
from adapter_operator.api.v1alpha1.training_status import Attempt, Run, TrainingStatus
from adapter_operator.observe.training import ObservedTraining
from adapter_operator.observe.training_attempts import Numbers, ObservedAttempt
from adapter_operator.plan.plan import JSON, Deletion, EventRecord, FencedCreate

ATTEMPTS_KEPT: Final = 20

_SETTINGS: Final = ("pod", "output", "retries", "deadline_seconds", "checkpoint", "preflight", "queue")


@dataclass(frozen=True)
class Facts:
    """The resource, the cluster, the settings, the time."""

    training: AdapterTraining
    observed: ObservedTraining
    settings: OperatorSettings
    now: datetime

    @property
    def spec(self) -> TrainingSpec:
        """What is wanted."""
        return self.training.spec

    @property
    def name(self) -> str:
        """Name of the training."""
        return self.training.metadata.name

    @property
    def before(self) -> TrainingStatus:
        """The status as it is stored."""
        return self.training.status or TrainingStatus()

    @property
    def reason_before(self) -> str | None:
        """The stored reason of Ready."""
        return next((one.reason for one in self.before.conditions or () if one.type == "Ready"), None)

    @property
    def message_before(self) -> str:
        """The stored message of Ready."""
        return next((one.message for one in self.before.conditions or () if one.type == "Ready"), "")


@dataclass(frozen=True)
class Step:
    """One conclusion: what the conditions say, and what is to be done.

    Attributes:
        reason, message: of Ready, and of what is abnormal.
        status: the status without its conditions.
        create, fenced, delete: as in the plan.
        events: beside those of the conditions' transition.
        requeue_after: seconds until time alone could change the conclusion.

    """

    reason: str
    message: str
    status: TrainingStatus
    create: tuple[JSON, ...] = ()
    fenced: FencedCreate | None = None
    delete: tuple[Deletion, ...] = ()
    events: tuple[EventRecord, ...] = field(default=())
    requeue_after: float | None = None


def is_wanted(spec: TrainingSpec, run: Run | None) -> bool:
    """Whether a run trains what the spec says: the same identity, and no new restartToken.

    A restartToken that was taken away asks for nothing.

    Raises:
        UnknownHashVersionError: a newer operator wrote the run.

    """
    if run is None:
        return False
    return has_identity(spec, run) and spec.restart_token in {None, run.restart_token}


def has_identity(spec: TrainingSpec, run: Run) -> bool:
    """Whether a run trains the identity fields of the spec, under the rules of its own hash version.

    Raises:
        UnknownHashVersionError: a newer operator wrote the run.

    """
    return run.spec_hash == spec_hash(spec, run.hash_version or HASH_VERSION)


def settings_hash(spec: TrainingSpec) -> str:
    """Digest of the settings whose change gives a failed run new attempts.

    Defaults drop out, so that a new operator with new fields finds the old digest.
    """
    given: dict[str, Any] = spec.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, include=set(_SETTINGS)
    )
    return sha256_json(given)


def current_numbers(run: Run | None) -> Numbers | None:
    """Run and attempt that the status names."""
    if run is None or run.number is None or run.attempt is None:
        return None
    return (run.number, run.attempt)


def current_attempt(facts: Facts, run: Run | None) -> ObservedAttempt | None:
    """What is there of the attempt that the status names."""
    numbers = current_numbers(run)
    return None if numbers is None else facts.observed.attempts.get(numbers)


def entry_of(status: TrainingStatus, numbers: Numbers | None) -> Attempt | None:
    """The status' entry of an attempt."""
    return next((entry for entry in status.attempts or () if (entry.run, entry.number) == numbers), None)


def with_entry(status: TrainingStatus, entry: Attempt) -> TrainingStatus:
    """The status with an attempt's entry added or replaced; only the newest are kept."""
    others = [one for one in status.attempts or () if (one.run, one.number) != (entry.run, entry.number)]
    attempts = sorted([*others, entry], key=lambda one: (one.run, one.number))
    return status.model_copy(update={"attempts": attempts[-ATTEMPTS_KEPT:]})


def with_run(status: TrainingStatus, **changes: object) -> TrainingStatus:
    """The status with fields of its run changed."""
    return status.model_copy(update={"run": (status.run or Run()).model_copy(update=changes)})
