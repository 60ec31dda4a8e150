"""Names that are taken: an object of somebody else has the name of a child that is about to be created."""

from collections.abc import Iterable
from typing import Final

from adapter_operator.api.v1alpha1.training_status import TrainingStatus
from adapter_operator.plan.plan import JSON
from adapter_operator.plan.training_facts import Facts, Step

CONFLICT_CHECK_SECONDS: Final = 60.0
LEAVING_CHECK_SECONDS: Final = 10.0


def name_conflict(facts: Facts, manifests: Iterable[JSON], status: TrainingStatus) -> Step | None:
    """The conclusion that a name is taken, with nothing to create.

    Args:
        facts: what is known.
        manifests: what would be created.
        status: to keep; it must not tell of what can't be created.

    """
    for manifest in manifests:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        foreign = facts.observed.foreign.get((kind, name))
        if foreign is None:
            continue
        if foreign.leaving:
            message = f"{kind} {name} of an earlier object is still being deleted."
            return Step("Pending", message, status, requeue_after=LEAVING_CHECK_SECONDS)
        message = (
            f"{kind} {name} has the name of a child of this training but belongs to somebody else: delete or rename "
            "it, or give this training another name."
        )
        return Step("NameConflict", message, status, requeue_after=CONFLICT_CHECK_SECONDS)
    return None
