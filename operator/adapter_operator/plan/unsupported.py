"""What the API offers and this release can't carry out yet: refused before anything starts, never ignored.

A training that sets one of these is Stalled, InvalidSpec. Whoever builds the feature removes its line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapter_operator.api.schema.model import Problem
from adapter_operator.api.v1alpha1.training import TrainingSpec
from adapter_operator.build.trainer_inputs import TrainerInputs


@dataclass(frozen=True)
class Unsupported:
    """A field, or some of its values.

    Attributes:
        field: its path.
        is_used: whether a spec asks for it.
        fix: what to do instead.

    """

    field: str
    is_used: Callable[[TrainingSpec], bool]
    fix: str


def _gates(spec: TrainingSpec) -> bool:
    return spec.promotion is not None and bool(spec.promotion.gates)


UNSUPPORTED = (
    Unsupported(
        "spec.queue",
        lambda spec: spec.queue is not None,
        "Kueue is not supported yet: remove it, the Job starts at once",
    ),
    Unsupported(
        "spec.promotion.gates",
        _gates,
        "gates are not judged yet: remove them, and look at status.adapter.metrics before you serve a version",
    ),
    Unsupported(
        "spec.output.keepVersions",
        lambda spec: spec.output.keep_versions is not None,
        "versions are not pruned yet: remove it, all versions are kept",
    ),
    Unsupported(
        "spec.output.deletionPolicy",
        lambda spec: spec.output.deletion_policy == "Delete",
        "artifacts are not deleted yet: set it to Retain, and delete the prefix yourself",
    ),
)


def unsupported_fields(spec: TrainingSpec) -> Iterator[Problem]:
    """Every field of the spec that this release can't carry out, with what to do instead."""
    return (Problem(entry.field, entry.fix) for entry in UNSUPPORTED if entry.is_used(spec))


def unsupported_inputs(inputs: TrainerInputs) -> Iterator[Problem]:
    """The same for what was resolved with the platform's defaults."""
    if not inputs.output.uri.isascii():
        yield Problem("spec.output.s3.uri", "must be ASCII: other characters can't be recorded with a version")
