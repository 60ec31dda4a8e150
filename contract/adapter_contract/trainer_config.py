"""TrainerConfig: what a run trains on, how, and where the result goes.

The operator writes it into an immutable config map, with every default resolved. All attempts of a run read
the same bytes, so nothing of one attempt (its number, pod or node) stands in it. Preflight reads one that
differs only in `preflight.expected`, which its own answer fills in.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from adapter_contract.digests import Digest
from adapter_contract.documents import Document, Part
from adapter_contract.locations import DatasetSource, ModelSource, S3Location
from adapter_contract.recipe import EarlyStopping, MetricName, Recipe, SelectBest
from adapter_contract.scalars import UID, DecimalString, Name, PositiveCount, ShortText

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,252}$")]
"""The served name of a base model, such as `HuggingFaceTB/SmolLM2-135M-Instruct`."""


class TrainingReference(Part):
    """Which AdapterTraining this is, among all clusters that may share a store."""

    cluster: Name
    namespace: Name
    name: Name
    uid: UID


class RunReference(Part):
    """Which run of the training this is.

    Attributes:
        spec_hash: the digest of the identity fields (see DESIGN: specHash), under `hash_version`.
        recipe_hash: the same less locations and secret references; it goes into the input digest.
        restart_token: what the user set to run again, where set.
    """

    number: PositiveCount
    spec_hash: Digest
    recipe_hash: Digest
    hash_version: PositiveCount
    restart_token: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


class StoreIdentity(Part):
    """What a store says of immutable bytes: an image digest or a Hub commit. It spares reading weights."""

    type: Literal["ImageDigest", "HubCommit"]
    value: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64}|[0-9a-f]{40,64})$")]

    @model_validator(mode="after")
    def _value_fits_type(self) -> Self:
        if (self.type == "ImageDigest") != self.value.startswith("sha256:"):
            raise ValueError("an ImageDigest is sha256:<64 hex>, a HubCommit is bare hexadecimal digits")
        return self


class BaseModelConfig(Part):
    """The base model: the name it is served under, where its files lie, and what they must be."""

    name: ModelName
    revision: ShortText | None = None
    source: ModelSource
    digest: Digest | None = None
    identity: StoreIdentity | None = None


class Column(Part):
    """The key of the data that holds a part of an example."""

    name: Literal["messages", "prompt", "completion", "text", "chosen", "rejected"]
    source: Annotated[str, Field(alias="from", min_length=1, max_length=128)]


class UnusableExamples(Part):
    """What to do with examples that can't be learned from, and up to which share, in percent."""

    action: Literal["Drop", "Fail"]
    max_percent: DecimalString


class DatasetConfig(Part):
    """The examples; `digest` refuses other bytes."""

    source: DatasetSource
    format: Literal["Auto", "Messages", "PromptCompletion", "Text", "Preference"]
    columns: Annotated[tuple[Column, ...], Field(max_length=6)] = ()
    digest: Digest | None = None
    unusable_examples: UnusableExamples

    @model_validator(mode="after")
    def _columns_are_unique(self) -> Self:
        if len({column.name for column in self.columns}) != len(self.columns):
            raise ValueError("columns: each name may stand once")
        return self


class PercentHoldout(Part):
    """Hold out a share of the dataset, in percent, chosen by a digest of each example."""

    type: Literal["Percent"] = "Percent"
    percent: DecimalString


class SourceHoldout(Part):
    """Evaluate on a dataset of its own, of the training data's format and columns."""

    type: Literal["Source"] = "Source"
    source: DatasetSource


class EvaluationConfig(Part):
    """What is measured on held-out examples; without `interval_steps`, at the end of each epoch."""

    holdout: Annotated[PercentHoldout | SourceHoldout, Field(discriminator="type")]
    interval_steps: PositiveCount | None = None
    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1, max_length=16)]
    select_best: SelectBest | None = None
    early_stopping: EarlyStopping | None = None


class InitialAdapter(Part):
    """The adapter to go on from: its bytes are pinned, its location is a directory `artifacts/<digest>/`."""

    name: Name
    digest: Digest
    location: S3Location


class CheckpointConfig(Part):
    """How often to save, and how many checkpoints to keep."""

    interval_seconds: PositiveCount
    keep: PositiveCount


class OutputConfig(Part):
    """The output URI: what is written goes below `<uri>/<training name>/`, by `adapter_contract.layout`."""

    location: S3Location


class ExpectedInputs(Part):
    """The digests that preflight found. Other bytes at training time are bad data."""

    dataset_digest: Digest
    evaluation_digest: Digest | None = None
    base_digest: Digest
    parent_digest: Digest | None = None
    input_digest: Digest


class PreflightConfig(Part):
    """Whether preflight decides, and what it found; absent before preflight and where it is disabled."""

    mode: Literal["Enforce", "Warn", "Disabled"]
    expected: ExpectedInputs | None = None


class Lineage(Part):
    """Facts that only the operator knows and the manifest records.

    Attributes:
        image: reference of the trainer image.
        operator_version: version of the operator that planned the run.
        source_revision: the commit that the training was applied from, where GitOps says so.
    """

    image: ShortText
    operator_version: ShortText
    source_revision: ShortText | None = None


class TrainerConfig(Document, Recipe):
    """One run, in full."""

    kind: ClassVar[str] = "TrainerConfig"
    written_by: ClassVar[str] = "the operator"
    read_by: ClassVar[str] = "the trainer image"

    training: TrainingReference
    run: RunReference
    base_model: BaseModelConfig
    dataset: DatasetConfig
    initialize_from: InitialAdapter | None = None
    evaluation: EvaluationConfig | None = None
    checkpoint: CheckpointConfig
    output: OutputConfig
    preflight: PreflightConfig
    gpu_memory_bytes: PositiveCount | None = None
    lineage: Lineage
    reuse: Literal["Allowed", "Forbidden"]

    @model_validator(mode="after")
    def _metrics_fit_the_objective(self) -> Self:
        metrics = self.evaluation.metrics if self.evaluation else ()
        if "PreferenceAccuracy" in metrics and self.objective.type != "DirectPreferenceOptimization":
            raise ValueError("PreferenceAccuracy needs the objective DirectPreferenceOptimization")
        return self
