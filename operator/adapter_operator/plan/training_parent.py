"""`initializeFrom`: which adapter a run goes on from. It is resolved once, when the run starts."""

from dataclasses import dataclass

from adapter_operator.api.v1alpha1.training_status import TrainingStatus
from adapter_operator.build.trainer_inputs import Parent
from adapter_operator.plan.training_facts import Facts

PARENT_CHECK_SECONDS = 30.0


@dataclass(frozen=True)
class NoParent:
    """Why there is none: a reason of the truth table, and what to do."""

    reason: str
    message: str


def resolve_parent(facts: Facts, status: TrainingStatus, *, digest: str | None = None) -> Parent | NoParent | None:
    """Find the parent of a run.

    Args:
        facts: what is known.
        status: as it is so far.
        digest: the parent that a run began with; None for a new run, whose parent is still to be chosen.

    Returns:
        None where the spec names none.

    """
    if facts.spec.initialize_from is None:
        return None
    reference = facts.spec.initialize_from.training
    wanted = digest or reference.digest
    if reference.name == facts.name:
        return _version_before(facts, status, wanted)
    return _other(facts, reference.name, wanted, started=digest is not None)


def _version_before(facts: Facts, status: TrainingStatus, digest: str | None) -> Parent | NoParent:
    found = digest or (status.adapter.digest if status.adapter else None)
    if found is None:
        return NoParent(
            "ReferenceNotFound",
            "spec.initializeFrom names this training itself, which has no version yet: remove it for the first run",
        )
    known = facts.observed.version_with(found)
    return Parent(facts.name, found, known.uri if known else None, facts.spec.output.s3)


def _other(facts: Facts, name: str, digest: str | None, *, started: bool) -> Parent | NoParent:
    parent = facts.observed.parents.get(name)
    if parent is None or parent.problem:
        if started and digest is not None:
            # The run has its configuration already; of a parent that is gone nothing more is to be learned.
            return Parent(name, digest, None, None)
        if parent is None:
            return NoParent(
                "ReferenceNotFound",
                f"spec.initializeFrom.training.name: there is no AdapterTraining {name} in this namespace: create it, "
                "or correct the name",
            )
        return NoParent("ReferenceNotFound", f"spec.initializeFrom.training.name: {parent.problem}")
    found = digest or parent.digest
    if found is None:
        return NoParent(
            "WaitingForParent", f"AdapterTraining {name}, which spec.initializeFrom names, has no adapter yet."
        )
    return Parent(name, found, parent.uris.get(found), parent.output)
