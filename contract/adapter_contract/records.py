"""The small documents beside the artifacts: who owns an output, what a run gave, what inputs gave.

Each is written once, by a conditional put, so its bytes hold nothing that a repeated writer would not repeat.
"""

from typing import ClassVar, Self

from pydantic import model_validator

from adapter_contract.digests import Digest
from adapter_contract.documents import Document
from adapter_contract.exit_codes import ExitCode
from adapter_contract.scalars import Name
from adapter_contract.trainer_config import RunReference, TrainingReference
from adapter_contract.trainer_result import TrainerResult


class Owner(Document):
    """`owner.json`: the training that may write here, across re-creation of the object. Another is refused."""

    kind: ClassVar[str] = "Owner"
    max_bytes: ClassVar[int] = 4096
    written_by: ClassVar[str] = "the trainer image that claimed the output"
    read_by: ClassVar[str] = "the trainer image"

    cluster: Name
    namespace: Name
    name: Name

    @classmethod
    def of(cls, training: TrainingReference) -> Self:
        """Return the owner document that a training writes."""
        return cls(cluster=training.cluster, namespace=training.namespace, name=training.name)


class RunRecord(Document):
    """`runs/<uid>-<run>`: the result of a run, written after its manifest and read before anything is trained.

    The result's version is this document's: a new version of TrainerResult makes a new one of RunRecord.
    """

    kind: ClassVar[str] = "RunRecord"
    schema_version: ClassVar[int] = TrainerResult.schema_version
    max_bytes: ClassVar[int] = 65536
    written_by: ClassVar[str] = "the trainer image of an earlier attempt"
    read_by: ClassVar[str] = "the trainer image"

    training: TrainingReference
    run: RunReference
    result: TrainerResult

    @model_validator(mode="after")
    def _result_is_the_runs_success(self) -> Self:
        if self.result.exit_code is not ExitCode.DONE:
            raise ValueError("result: only a success is recorded")
        if self.result.run != self.run.number:
            raise ValueError(f"result.run is {self.result.run}, but run.number is {self.run.number}")
        return self


class ByInputPointer(Document):
    """`by-input/<inputDigest>`: the adapter that these inputs gave."""

    kind: ClassVar[str] = "ByInputPointer"
    max_bytes: ClassVar[int] = 4096
    written_by: ClassVar[str] = "the trainer image that published the adapter"
    read_by: ClassVar[str] = "the trainer image"

    input_digest: Digest
    digest: Digest
