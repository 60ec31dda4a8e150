"""AdapterManifest: what a published adapter is made of and where it comes from.

`manifest.json` is written last, so its presence commits the artifact. The adapter's digest is the sha256 of the
manifest's bytes as they are stored, hence `StoredManifest`, which keeps them: a reader never serializes a
manifest anew to learn its digest, and a newer writer's fields count too.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from adapter_contract.artifact_files import FileEntries
from adapter_contract.digests import Digest, sha256_bytes
from adapter_contract.documents import Document, Part
from adapter_contract.errors import ContractError
from adapter_contract.locations import StorageURI
from adapter_contract.published import AdapterSummary, Metrics
from adapter_contract.recipe import MethodType, ModuleName, Recipe
from adapter_contract.scalars import Count, PositiveCount, ShortText, Timestamp
from adapter_contract.trainer_config import Lineage, ModelName, RunReference, TrainingReference

MAX_MANIFEST_BYTES = 1 << 20


class BaseModelRecord(Part):
    """The base that the adapter belongs to; `name` is also in adapter_config.json."""

    name: ModelName
    revision: ShortText | None = None
    digest: Digest


class DatasetRecord(Part):
    """What was learned from.

    Attributes:
        uri: where the examples lay: a storage URI, a Hub repository (`hf://name@revision`) or a mounted path.
        digest: of the training examples as stored.
        evaluation_digest: of the held-out examples; equal digests make metrics comparable.
        examples, evaluation_examples: how many were used.
        dropped_examples: how many could not be learned from.
        tokens, labelled_tokens: of one pass over the training examples.
    """

    uri: ShortText
    digest: Digest
    evaluation_digest: Digest | None = None
    examples: Count
    evaluation_examples: Count = 0
    dropped_examples: Count = 0
    tokens: Count | None = None
    labelled_tokens: Count | None = None


class StopToken(Part):
    """A token that ends an answer."""

    id: Count
    text: Annotated[str, StringConstraints(max_length=256)]


class PromptFormat(Part):
    """How prompts were built, so that serving can tell whether it builds the same.

    Attributes:
        chat_template_digest: sha256 of the template's UTF-8 bytes; absent where the base has none.
        tokenizer_digest: of the tokenizer's files, where the base digest does not cover them.
        stop_tokens: what ends an answer: the end-of-turn tokens that were learned.
    """

    chat_template_digest: Digest | None = None
    tokenizer_digest: Digest | None = None
    stop_tokens: Annotated[tuple[StopToken, ...], Field(max_length=32)] = ()


class AdapterFacts(Part):
    """What an engine must know before it loads the weights. `rank` exists for LoRA only.

    `targetModules` are those that got an adapter, resolved: never `all-linear`.
    """

    method: MethodType
    rank: PositiveCount | None = None
    target_modules: Annotated[tuple[ModuleName, ...], Field(max_length=4096)] = ()
    trainable_parameters: Count
    size_bytes: Count
    dtype: Literal["Float32", "Float16", "BFloat16"]

    @model_validator(mode="after")
    def _rank_is_loras(self) -> Self:
        if (self.rank is not None) != (self.method == "LoRA"):
            raise ValueError("rank is required with method LoRA and has no place with another")
        return self


class TrainingRecord(Recipe):
    """How the weights were made: whose run, with what recipe, on what.

    Attributes:
        libraries: versions by package name.
        device: of the accelerator, or of the CPU; bit-for-bit repetition holds on equal ones only.
        micro_batch_tokens: the token budget of a micro-batch at the end of the run.
    """

    training: TrainingReference
    run: RunReference
    lineage: Lineage
    dataset: DatasetRecord
    libraries: Annotated[dict[ShortText, ShortText], Field(max_length=64)]
    device: ShortText | None = None
    device_count: Count | None = None
    micro_batch_tokens: PositiveCount | None = None
    steps: Count
    start_time: Timestamp
    end_time: Timestamp
    gpu_seconds: Count = 0


class AdapterManifest(Document):
    """One published adapter.

    Attributes:
        files: every file of the artifact but the manifest itself.
        origin: Trained by a run (then `record` is there), or Imported from elsewhere.
        parent_digest: of the adapter that the training went on from.
        input_digest: of all inputs; equal ones are reused.
        metrics: on the evaluation set with `evaluation_digest`.
        source_uri: where an imported adapter was taken from.
        created_time: fixed before the upload, so that a repeated upload writes equal bytes.
    """

    kind: ClassVar[str] = "AdapterManifest"
    max_bytes: ClassVar[int] = MAX_MANIFEST_BYTES
    written_by: ClassVar[str] = "the trainer image (or the CLI that imported the adapter)"
    read_by: ClassVar[str] = "the part that reads it (server image, trainer image or CLI)"

    files: FileEntries
    origin: Literal["Trained", "Imported"]
    base_model: BaseModelRecord
    adapter: AdapterFacts
    prompt_format: PromptFormat = Field(default_factory=PromptFormat)
    record: TrainingRecord | None = None
    source_uri: StorageURI | None = Field(default=None, alias="sourceURI")
    parent_digest: Digest | None = None
    input_digest: Digest | None = None
    metrics: Metrics = Field(default_factory=dict)
    evaluation_digest: Digest | None = None
    created_time: Timestamp

    @model_validator(mode="after")
    def _origin_fits(self) -> Self:
        if (self.record is not None) != (self.origin == "Trained"):
            raise ValueError("record is required with origin Trained and has no place with Imported")
        if not self.files:
            raise ValueError("files: an artifact has at least one file")
        return self

    @property
    def summary(self) -> AdapterSummary:
        """What status shows of the adapter."""
        return AdapterSummary(
            method=self.adapter.method,
            rank=self.adapter.rank,
            trainable_parameters=self.adapter.trainable_parameters,
            size_bytes=self.adapter.size_bytes,
        )


class DigestMismatchError(ContractError):
    """The manifest's bytes have another digest than the one asked for."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"the manifest has digest {found}, but {expected} was asked for")


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest with the bytes that it has in the store, and their digest: the adapter's."""

    data: bytes
    manifest: AdapterManifest
    digest: Digest

    @classmethod
    def seal(cls, manifest: AdapterManifest) -> Self:
        """Fix the bytes of a new manifest."""
        data = manifest.to_json()
        return cls(data, manifest, sha256_bytes(data))

    @classmethod
    def parse(cls, data: bytes, *, expected: Digest | None = None) -> Self:
        """Read stored bytes; with `expected`, refuse others before they are parsed.

        Raises:
            DigestMismatchError: the bytes have another digest.
            ContractError: as in `AdapterManifest.from_json`.
        """
        digest = sha256_bytes(data)
        if expected is not None and digest != expected:
            raise DigestMismatchError(expected, digest)
        return cls(data, AdapterManifest.from_json(data), digest)
