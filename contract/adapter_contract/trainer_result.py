"""TrainerResult: how an attempt ended, as JSON in the pod's termination message."""

from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar, Self

from pydantic import Field, computed_field, model_validator

from adapter_contract.digests import Digest
from adapter_contract.documents import Document, Part
from adapter_contract.exit_codes import ExitCode, FailureClass
from adapter_contract.locations import StorageURI
from adapter_contract.progress import CheckpointReference
from adapter_contract.published import AdapterSummary, Metrics
from adapter_contract.scalars import Count, Message, PositiveCount
from adapter_contract.termination import cut, fit


class Outcome(StrEnum):
    """The exit code in one word."""

    SUCCEEDED = "Succeeded"
    INTERRUPTED = "Interrupted"
    FAILED = "Failed"


class Usage(Part):
    """What the attempt cost: seconds of GPUs, of wall clock, bytes at the peak, tokens trained on."""

    seconds: Count
    gpu_seconds: Count = 0
    peak_memory_bytes: Count | None = None
    trained_tokens: Count = 0


class TrainerResult(Document):
    """How an attempt ended. `outcome` and `class` stand in the JSON for people; the exit code decides both.

    Attributes:
        exit_code: also the process's own.
        message: what went wrong and what to do about it.
        digest, uri: of the published adapter; set on success and only then.
        metrics: of the published adapter, on the evaluation set with `evaluation_digest`.
        resumed_from_step: the checkpoint that the attempt began with; 0 for a fresh start.
        last_saved_step: the newest committed checkpoint at the end, whose digest and time are in `checkpoint`.
        reused: nothing was trained: the result of the run, or of equal inputs, was there.
    """

    kind: ClassVar[str] = "TrainerResult"
    max_bytes: ClassVar[int] = 65536
    written_by: ClassVar[str] = "the trainer image"
    read_by: ClassVar[str] = "the operator"

    run: PositiveCount
    attempt: PositiveCount
    exit_code: ExitCode
    message: Message | None = None
    digest: Digest | None = None
    uri: StorageURI | None = None
    metrics: Metrics = Field(default_factory=dict)
    evaluation_digest: Digest | None = None
    base_digest: Digest | None = None
    dataset_digest: Digest | None = None
    parent_digest: Digest | None = None
    input_digest: Digest | None = None
    summary: AdapterSummary | None = None
    resumed_from_step: Count | None = None
    last_saved_step: Count | None = None
    checkpoint: CheckpointReference | None = None
    usage: Usage | None = None
    reused: bool = False

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorators above property
    @property
    def outcome(self) -> Outcome:
        """The exit code in one word."""
        if self.exit_code is ExitCode.DONE:
            return Outcome.SUCCEEDED
        return Outcome.INTERRUPTED if self.exit_code is ExitCode.INTERRUPTED else Outcome.FAILED

    @computed_field(alias="class")  # type: ignore[prop-decorator]
    @property
    def failure_class(self) -> FailureClass | None:
        """The class of the failure; absent on success."""
        return self.exit_code.failure_class

    @model_validator(mode="after")
    def _success_has_a_digest(self) -> Self:
        if (self.digest is not None) != (self.exit_code is ExitCode.DONE):
            raise ValueError("digest is required with exit code 0 and has no place with another")
        if self.uri is not None and self.digest is None:
            raise ValueError("uri has no place without a digest")
        return self

    def to_termination_message(self) -> bytes:
        """Return at most 4,096 bytes of canonical JSON, always.

        What is too long loses, in this order: the end of the message, down to 200 characters; the parts
        named in `DROPPED_IN_ORDER`, one after the other; the rest of the message. Run, attempt, outcome, exit
        code, class, digest, steps and `reused` always stay. The URI can go because the layout gives it again.
        """
        return fit(self._stages(), _texts, _shortened)

    def _stages(self) -> Iterator["TrainerResult"]:
        form = self
        yield form
        for name in DROPPED_IN_ORDER:
            form = form.model_copy(update={name: {} if name == "metrics" else None})
            yield form


DROPPED_IN_ORDER = (
    "checkpoint",
    "usage",
    "parent_digest",
    "dataset_digest",
    "base_digest",
    "uri",
    "input_digest",
    "summary",
    "evaluation_digest",
    "metrics",
)
"""What a termination message gives up, the least needed first."""


def _texts(result: TrainerResult) -> Iterator[str]:
    if result.message is not None:
        yield result.message


def _shortened(result: TrainerResult, length: int) -> TrainerResult:
    if result.message is None:
        return result
    return result.model_copy(update={"message": cut(result.message, length)})
