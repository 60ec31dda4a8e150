"""AdapterTraining: what to train, on what, how well, and where the adapter goes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapter_operator.api.schema.markers import Identity, ListMap, ListSet, Location, Rule
from adapter_operator.api.schema.model import APIModel, Resource
from adapter_operator.api.v1alpha1.evaluation import Evaluation, Promotion
from adapter_operator.api.v1alpha1.metadata import ObjectMeta
from adapter_operator.api.v1alpha1.method import Hyperparameters, Method, Objective, Quantization
from adapter_operator.api.v1alpha1.pod import Pod
from adapter_operator.api.v1alpha1.references import BaseModel, DatasetSource, S3Location
from adapter_operator.api.v1alpha1.scalars import DigestText, DNSLabel, LabelName, ObjectName, Percent
from adapter_operator.api.v1alpha1.training_status import TrainingStatus

_DPO = "DirectPreferenceOptimization"


class Column(APIModel):
    """Which column of the data holds a part of an example."""

    name: Annotated[str, Field(pattern=r"^(messages|prompt|completion|text|chosen|rejected)$", max_length=16)] = Field(
        description="Part of an example: messages, prompt, completion, text, chosen or rejected."
    )
    from_: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        alias="from", description="Name of the column or JSON key in the data."
    )


class UnusableExamples(APIModel):
    """What to do with examples that can't be learned from: unreadable, or cut so short that no answer is left."""

    action: Literal["Drop", "Fail"] = Field(
        "Drop", description="Drop leaves them out and counts them; Fail refuses the dataset."
    )
    max_percent: Percent = Field("5", description="Share of unusable examples, in percent, above which Drop fails too.")


class Dataset(APIModel):
    """The examples to learn."""

    source: Annotated[DatasetSource, Location()] = Field(description="Where the examples lie.")
    format: Literal["Auto", "Messages", "PromptCompletion", "Text", "Preference"] = Field(
        "Auto",
        description="Shape of an example: messages (role and content), prompt and completion, text, or prompt with "
        "chosen "
        "and rejected. Auto finds out and says what it found.",
    )
    columns: Annotated[list[Column], Field(min_length=1, max_length=6), ListMap(("name",))] | None = Field(
        None,
        description="Names of the columns where they differ from the format's own. Default: the format's own.",
    )
    digest: Annotated[DigestText | None, Location()] = Field(
        None,
        description="Digest that the data must have; other bytes are refused. Default: any bytes, and the digest is "
        "recorded.",
    )
    unusable_examples: UnusableExamples = Field(
        UnusableExamples(), description="What to do with examples that can't be learned from."
    )


class TrainingVersionReference(APIModel):
    """A version of a training in the same namespace."""

    name: ObjectName = Field(description="Name of the AdapterTraining; its own name means the version before.")
    digest: DigestText | None = Field(
        None, description="Digest of the version. Default: the newest when the run starts."
    )


class InitializeFrom(APIModel):
    """The adapter to go on from."""

    training: TrainingVersionReference = Field(description="The training whose adapter is the start.")


class Checkpoint(APIModel):
    """How much work an interruption may cost."""

    interval_seconds: int = Field(300, ge=10, le=86400, description="Seconds between checkpoints.")
    keep: int = Field(2, ge=1, le=16, description="Checkpoints that are kept while a run lasts.")


class Output(APIModel):
    """Where adapters are published, and how long they stay."""

    s3: S3Location | None = Field(
        None,
        description="Prefix to publish under: <uri>/<name>/artifacts/sha256-<hex>/. Default: the platform's root, "
        "cluster and namespace.",
    )
    keep_versions: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Newest versions to keep; older ones are deleted when nothing uses them. Default: all.",
    )
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="Whether the artifacts outlive this object. Delete waits until no deployment uses them.",
    )


class Preflight(APIModel):
    """The check of data, model, output and memory on a CPU, before a GPU is asked for."""

    mode: Literal["Enforce", "Warn", "Disabled"] = Field(
        "Enforce",
        description="Enforce stops on an error, Warn goes on, Disabled does not check: then nothing is reused either.",
    )


class Sharing(APIModel):
    """Who else may serve the adapter."""

    namespaces: Annotated[list[DNSLabel], Field(max_length=64), ListSet()] = Field(
        [], description="Namespaces whose deployments may serve it. Default: its own alone."
    )


class Queue(APIModel):
    """Admission by Kueue."""

    name: LabelName = Field(description="Kueue LocalQueue in this namespace.")
    priority_class_name: LabelName | None = Field(
        None, description="Kueue WorkloadPriorityClass. Default: the queue's."
    )


class Retries(APIModel):
    """How often a failed attempt is repeated."""

    failure: int = Field(
        1,
        ge=0,
        le=10,
        description="Attempts after a crash or after running out of memory. Interruptions are free and do not count.",
    )


class TrainingSpec(APIModel):
    """What is wanted."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel=f"self.objective.type != '{_DPO}' || self.method.type == 'LoRA'",
            message=f"{_DPO} needs method.type LoRA: the base without the adapter is its reference",
            holds=lambda spec: spec.objective.type != _DPO or spec.method.type == "LoRA",
            field_path=".method.type",
        ),
        Rule(
            cel=f"self.objective.type != '{_DPO}' || self.dataset.format in ['Auto', 'Preference']",
            message=f"{_DPO} needs examples with chosen and rejected answers: set dataset.format to Preference or Auto",
            holds=lambda spec: spec.objective.type != _DPO or spec.dataset.format in {"Auto", "Preference"},
            field_path=".dataset.format",
        ),
        Rule(
            cel=f"self.dataset.format != 'Preference' || self.objective.type == '{_DPO}'",
            message=f"dataset.format Preference needs objective.type {_DPO}",
            holds=lambda spec: spec.dataset.format != "Preference" or spec.objective.type == _DPO,
            field_path=".objective.type",
        ),
        Rule(
            cel=f"!has(self.evaluation) || !('PreferenceAccuracy' in self.evaluation.metrics) || self.objective.type "
            f"== '{_DPO}'",
            message=f"PreferenceAccuracy needs objective.type {_DPO}: remove it from evaluation.metrics",
            holds=lambda spec: (
                spec.evaluation is None
                or "PreferenceAccuracy" not in spec.evaluation.metrics
                or spec.objective.type == _DPO
            ),
            field_path=".evaluation.metrics",
        ),
        Rule(
            cel="!has(self.promotion) || size(self.promotion.gates) == 0 || (has(self.evaluation) && "
            "self.promotion.gates.all(g, g.metric in self.evaluation.metrics))",
            message="every gate's metric must be among evaluation.metrics: add it there",
            holds=lambda spec: (
                spec.promotion is None
                or not spec.promotion.gates
                or (
                    spec.evaluation is not None
                    and {gate.metric for gate in spec.promotion.gates} <= set(spec.evaluation.metrics)
                )
            ),
            field_path=".promotion",
        ),
    )

    base_model: Annotated[BaseModel, Identity()] = Field(description="The base model that the adapter is trained on.")
    dataset: Annotated[Dataset, Identity()] = Field(description="The examples to learn.")
    method: Annotated[Method, Identity()] = Field(Method(), description="The PEFT method.")
    quantization: Annotated[Quantization, Identity()] = Field(
        Quantization(), description="How the frozen base is held in memory while training."
    )
    objective: Annotated[Objective, Identity()] = Field(Objective(), description="What the training minimizes.")
    initialize_from: Annotated[InitializeFrom | None, Identity(), Location()] = Field(
        None, description="An earlier adapter to go on from. Default: a new one."
    )
    hyperparameters: Annotated[Hyperparameters, Identity()] = Field(
        Hyperparameters(), description="How long and how fast to learn."
    )
    evaluation: Annotated[Evaluation | None, Identity()] = Field(
        None,
        description="What is measured on held-out examples. {} holds out 5 percent. Default: nothing is held out.",
    )
    promotion: Promotion | None = Field(
        None, description="When a result may be served. Default: whenever the run succeeds."
    )
    checkpoint: Checkpoint = Field(Checkpoint(), description="How much work an interruption may cost.")
    output: Output = Field(Output(), description="Where adapters are published, and how long they stay.")
    preflight: Preflight = Field(Preflight(), description="The check before a GPU is asked for.")
    sharing: Sharing | None = Field(None, description="Who else may serve the adapter. Default: nobody.")
    queue: Queue | None = Field(None, description="Admission by Kueue. Default: the Job starts at once.")
    suspend: bool = Field(default=False, description="Stop and save a checkpoint; false goes on from there.")
    restart_token: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")] | None = Field(
        None, description="Any other value runs the same training again, and reuses nothing. Default: none."
    )
    retries: Retries = Field(Retries(), description="How often a failed attempt is repeated.")
    deadline_seconds: Annotated[int, Field(ge=60, le=2**31 - 1)] | None = Field(
        None,
        description="Running time of all attempts of a run together, in seconds; waiting in a queue is free. "
        "Default: the platform's.",
    )
    job_ttl_seconds_after_finished: int = Field(
        86400,
        alias="jobTTLSecondsAfterFinished",
        ge=0,
        le=2**31 - 1,
        description="Seconds that finished Jobs stay, for their logs.",
    )
    pod: Pod = Field(Pod(), description="Settings of the trainer's pod.")


class AdapterTraining(Resource):
    """Trains a PEFT adapter and publishes it as a verified, immutable version."""

    api_version: Literal["adapters.dev/v1alpha1"]
    kind: Literal["AdapterTraining"]
    metadata: ObjectMeta
    spec: TrainingSpec = Field(description="What is wanted.")
    status: TrainingStatus | None = Field(None, description="What is, written by the operator alone.")
