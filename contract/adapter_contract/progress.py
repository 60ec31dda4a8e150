"""Progress: one JSON line of the trainer's log, and the body of GET /v1/progress."""

import math
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from adapter_contract.digests import Digest
from adapter_contract.documents import Document, Part
from adapter_contract.scalars import Count, PositiveCount, Timestamp


def _absent_unless_finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Measurement = Annotated[float | None, BeforeValidator(_absent_unless_finite)]
"""A reading. NaN and the infinities count as absent: a report must never be what ends a training."""


class Phase(StrEnum):
    """What the pod is doing."""

    PREFLIGHT = "Preflight"
    LOADING = "Loading"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    CHECKPOINTING = "Checkpointing"
    UPLOADING = "Uploading"


class CheckpointReference(Part):
    """A checkpoint that is committed to the store: the digest is that of its manifest."""

    step: Count
    digest: Digest
    time: Timestamp


class Progress(Document):
    """Where a run stands at `updated_time`.

    Attributes:
        step, total_steps: optimizer steps; the total is absent until the data is counted.
        percent: of the whole run, 0 to 100.
        epoch: passes over the data so far, with a fraction.
        loss: mean loss per labelled token since the last report.
        tokens_per_second: without padding.
        checkpoint: the newest one.
    """

    kind: ClassVar[str] = "Progress"
    max_bytes: ClassVar[int] = 16384
    written_by: ClassVar[str] = "the trainer image"
    read_by: ClassVar[str] = "the operator (or the CLI)"

    run: PositiveCount
    attempt: PositiveCount
    phase: Phase
    step: Count
    total_steps: Count | None = None
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    epoch: Measurement = None
    loss: Measurement = None
    eval_loss: Measurement = None
    tokens_per_second: Measurement = None
    estimated_remaining_seconds: Count | None = None
    checkpoint: CheckpointReference | None = None
    updated_time: Timestamp

    def to_line(self) -> bytes:
        """Return the document as one line of a log, with the line feed."""
        return self.to_json() + b"\n"
