"""What the operator reports of a training. Every field is optional: a status grows as the run goes on."""

from typing import Annotated, Literal

from pydantic import Field

from adapter_operator.api.schema.markers import ListMap
from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.v1alpha1.evaluation import Metric
from adapter_operator.api.v1alpha1.metadata import Conditions
from adapter_operator.api.v1alpha1.scalars import (
    BigCount,
    Count,
    DigestText,
    MeasuredDecimal,
    ModelName,
    Reason,
    Text,
    Time,
)

ArtifactURI = Annotated[str, Field(max_length=2048)]
ChildName = Annotated[str, Field(max_length=63)]
DurationText = Annotated[str, Field(max_length=32)]


class MetricValue(APIModel):
    """A measured value."""

    name: Metric = Field(description="The metric.")
    value: MeasuredDecimal = Field(description="Its value.")


MetricValues = Annotated[list[MetricValue], Field(max_length=8), ListMap(("name",))]


class RunResult(APIModel):
    """What a run published."""

    digest: DigestText | None = Field(None, description="Digest of the adapter: of its manifest's bytes.")
    uri: ArtifactURI | None = Field(None, description="Where the adapter lies.")
    metrics: MetricValues | None = Field(None, description="What was measured on the held-out examples.")
    evaluation_digest: DigestText | None = Field(
        None, description="Digest of the held-out examples; only equal ones compare."
    )


class GateResult(APIModel):
    """The verdict of one gate."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the gate.")
    passed: Literal["True", "False", "NotComparable"] = Field(
        description="Verdict; NotComparable where the evaluation set changed since the version before."
    )
    value: MeasuredDecimal | None = Field(None, description="The measured value.")
    baseline_digest: DigestText | None = Field(None, description="The version that a Regression gate compared with.")
    message: Text | None = Field(None, description="The comparison in words.")


class Run(APIModel):
    """The run of the present identity fields."""

    number: Count | None = Field(None, description="Number of the run, counted from 1 over the object's life.")
    spec_hash: DigestText | None = Field(None, description="Digest of the identity fields that the run trains.")
    hash_version: Count | None = Field(None, description="Version of the rules by which specHash was made.")
    restart_token: Annotated[str, Field(max_length=64)] | None = Field(None, description="The restartToken of the run.")
    input_digest: DigestText | None = Field(
        None, description="Digest of recipe, data, base and parent; equal inputs are reused."
    )
    parent_digest: DigestText | None = Field(None, description="Digest of the adapter that the run goes on from.")
    start_time: Time | None = Field(None, description="When the run started.")
    completion_time: Time | None = Field(None, description="When it ended, well or not.")
    attempt: Count | None = Field(None, description="Number of the present attempt.")
    job: ChildName | None = Field(None, description="Name of the present attempt's Job.")
    config_map: ChildName | None = Field(
        None, description="Name of the ConfigMap with the configuration that all its attempts read."
    )
    settings_hash: DigestText | None = Field(
        None,
        description="Digest of pod, output, retries, deadline, checkpoint, preflight and queue; a change of them gives "
        "a failed run new attempts.",
    )
    counted_from: Count | None = Field(
        None, description="Number of the first attempt that counts against retries and deadline."
    )
    failures: Count | None = Field(None, description="Attempts since then that count against retries.failure.")
    running_seconds: BigCount | None = Field(
        None,
        description="Running time of the ended attempts since then, in seconds, with the pauses after failures that "
        "are repeated until the deadline.",
    )
    result: RunResult | None = Field(None, description="What the run published.")
    gates: Annotated[list[GateResult], Field(max_length=16), ListMap(("name",))] | None = Field(
        None, description="Verdicts of promotion.gates."
    )


class ResolvedStorage(APIModel):
    """The output location with the platform's defaults filled in."""

    uri: ArtifactURI | None = Field(None, description="Prefix that artifacts are published under.")
    endpoint_url: Annotated[str, Field(max_length=512)] | None = Field(
        None, alias="endpointURL", description="URL of the store."
    )
    region: Annotated[str, Field(max_length=63)] | None = Field(None, description="Region of the bucket.")


class ResolvedTraining(APIModel):
    """The platform's defaults as they were when the run started; later changes of them do not touch it."""

    image: Annotated[str, Field(max_length=512)] | None = Field(None, description="Image of the trainer.")
    method: Annotated[str, Field(max_length=32)] | None = Field(
        None, description="Common name of the method, such as QLoRA or DoRA."
    )
    learning_rate: MeasuredDecimal | None = Field(None, description="Peak learning rate.")
    storage: ResolvedStorage | None = Field(None, description="Where the run publishes.")
    deadline_seconds: Count | None = Field(None, description="Running time that all attempts may take, in seconds.")


class PreflightStatus(APIModel):
    """What preflight found."""

    examples: BigCount | None = Field(None, description="Usable examples.")
    unusable_examples: BigCount | None = Field(None, description="Examples that can't be learned from.")
    tokens: BigCount | None = Field(None, description="Tokens of all examples, after cutting.")
    truncated_examples: BigCount | None = Field(None, description="Examples that are cut at maxSequenceLength.")
    estimated_memory_bytes: BigCount | None = Field(
        None, description="GPU memory that the training will take, in bytes."
    )
    dataset_digest: DigestText | None = Field(None, description="Digest of the data.")
    base_digest: DigestText | None = Field(None, description="Digest of the base model.")
    warnings: Annotated[list[Text], Field(max_length=16)] | None = Field(
        None, description="What to look at, though it can be trained."
    )


class Progress(APIModel):
    """How far the training is; written at most every 30 seconds."""

    step: BigCount | None = Field(None, description="Optimizer steps done.")
    total_steps: BigCount | None = Field(None, description="Optimizer steps to do.")
    percent: Annotated[int, Field(ge=0, le=100)] | None = Field(None, description="Share done, in percent.")
    epoch: MeasuredDecimal | None = Field(None, description="Passes over the examples done.")
    loss: MeasuredDecimal | None = Field(None, description="Loss of the last steps.")
    eval_loss: MeasuredDecimal | None = Field(None, description="Loss on the held-out examples.")
    tokens_per_second: MeasuredDecimal | None = Field(None, description="Trained tokens per second, without padding.")
    estimated_remaining: DurationText | None = Field(None, description="Time left, such as 12m.")
    updated_time: Time | None = Field(None, description="When this was measured.")


class CheckpointStatus(APIModel):
    """The newest complete checkpoint: what an interruption can't take away."""

    step: BigCount | None = Field(None, description="Optimizer steps done in it.")
    digest: DigestText | None = Field(None, description="Digest of the checkpoint.")
    time: Time | None = Field(None, description="When it was saved.")


class AdapterStatus(APIModel):
    """The adapter that deployments follow: of the latest run that succeeded and passed its gates."""

    version: Count | None = Field(None, description="Number of the version.")
    digest: DigestText | None = Field(None, description="Digest of the adapter: of its manifest's bytes.")
    uri: ArtifactURI | None = Field(None, description="Where the adapter lies.")
    size_bytes: BigCount | None = Field(None, description="Size of all files, in bytes.")
    method: Annotated[str, Field(max_length=32)] | None = Field(
        None, description="Common name of the method, such as QLoRA."
    )
    rank: Count | None = Field(None, description="Rank, where the method has one.")
    trainable_parameters: BigCount | None = Field(None, description="Number of trained parameters.")
    base_model: ModelName | None = Field(None, description="Name of the base model.")
    metrics: MetricValues | None = Field(None, description="What was measured on the held-out examples.")


class VersionSummary(APIModel):
    """A promoted version; a mirror of its ControllerRevision."""

    version: Count = Field(description="Number of the version.")
    digest: DigestText | None = Field(None, description="Digest of the adapter.")
    uri: ArtifactURI | None = Field(None, description="Where the adapter lies.")
    run: Count | None = Field(None, description="Run that made it.")
    time: Time | None = Field(None, description="When it was promoted.")
    metrics: MetricValues | None = Field(None, description="What was measured on the held-out examples.")


class Attempt(APIModel):
    """One Job with one pod."""

    run: Count = Field(description="Number of the run.")
    number: Count = Field(description="Number of the attempt in its run.")
    pod_uid: Annotated[str, Field(max_length=64)] | None = Field(None, alias="podUID", description="UID of the pod.")
    start_time: Time | None = Field(None, description="When the pod started.")
    end_time: Time | None = Field(None, description="When it ended.")
    outcome: Reason | None = Field(None, description="How it ended.")
    resumed_from_step: BigCount | None = Field(None, description="Step of the checkpoint that it went on from.")


class Usage(APIModel):
    """What the training has cost, over all its runs."""

    gpu_seconds: BigCount | None = Field(None, description="GPUs times seconds that they were held.")
    wasted_gpu_seconds: BigCount | None = Field(None, description="The part of it whose work was lost.")
    peak_memory_bytes: BigCount | None = Field(None, description="Largest GPU memory in use, in bytes.")
    trained_tokens: BigCount | None = Field(None, description="Tokens trained, without padding.")
    estimated_cost: Annotated[str, Field(max_length=32)] | None = Field(
        None, description="By the platform's prices, such as 1.27 USD."
    )


class Failure(APIModel):
    """Why the newest failed attempt of the latest run failed."""

    class_: Reason | None = Field(
        None, alias="class", description="Kind of failure, as in the table of exit codes of this reference."
    )
    message: Text | None = Field(None, description="What happened and what to do.")
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = Field(None, description="Exit code of the trainer.")


class TrainingStatus(APIModel):
    """What is, written by the operator alone."""

    observed_generation: BigCount | None = Field(
        None, description="The metadata.generation that this status speaks of."
    )
    conditions: Conditions | None = Field(None, description="Ready, and while they hold Reconciling or Stalled.")
    run: Run | None = Field(None, description="The latest run.")
    resolved: ResolvedTraining | None = Field(None, description="The platform's defaults that the run uses.")
    preflight: PreflightStatus | None = Field(None, description="What preflight found.")
    progress: Progress | None = Field(None, description="How far the training is.")
    checkpoint: CheckpointStatus | None = Field(None, description="The newest complete checkpoint.")
    adapter: AdapterStatus | None = Field(None, description="The adapter that deployments follow.")
    versions: Annotated[list[VersionSummary], Field(max_length=10), ListMap(("version",))] | None = Field(
        None, description="The newest ten promoted versions, newest first."
    )
    attempts: Annotated[list[Attempt], Field(max_length=20), ListMap(("run", "number"))] | None = Field(
        None, description="The newest twenty attempts."
    )
    usage: Usage | None = Field(None, description="What the training has cost.")
    failure: Failure | None = Field(
        None, description="Why the newest failed attempt of the latest run failed; absent once the run succeeds."
    )
