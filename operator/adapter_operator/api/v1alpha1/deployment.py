"""AdapterDeployment: one base model, many adapters, one OpenAI endpoint."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapter_operator.api.schema.markers import (
    LIST_ATOMIC,
    STRUCT_ATOMIC,
    Immutable,
    ListMap,
    NotStored,
    Rule,
    member_of_type,
    one_of,
)
from adapter_operator.api.schema.model import APIModel, Resource
from adapter_operator.api.v1alpha1.deployment_status import DeploymentStatus
from adapter_operator.api.v1alpha1.metadata import ObjectMeta
from adapter_operator.api.v1alpha1.pod import Labels, Pod
from adapter_operator.api.v1alpha1.references import BaseModelSource, S3Access, SecretReference
from adapter_operator.api.v1alpha1.scalars import (
    S3URI,
    AdapterName,
    DigestText,
    DNSLabel,
    LabelValue,
    MergeDensity,
    ModelName,
    ObjectName,
    QualifiedName,
    Revision,
    SignedDecimal,
)


class ServedBaseModel(APIModel):
    """The base model that all adapters share."""

    name: Annotated[ModelName, Immutable()] = Field(
        description="Name under which the base is served; adapters trained on another name are refused. Immutable."
    )
    revision: Revision | None = Field(
        None, description="Revision of the base; another value is a rolling update. Default: none."
    )
    source: BaseModelSource | None = Field(
        None, description="Where the files lie. Default: what the platform's catalogue says of the name."
    )


class ServedQuantization(APIModel):
    """How the base is held in memory while serving."""

    type: Literal["None", "NF4", "Int8"] = Field("None", description="Format of the base's weights.")


class VLLM(APIModel):
    """Settings of the vLLM engine."""

    args: Annotated[
        list[Annotated[str, Field(pattern=r"^--[a-z][^\x00-\x1f]*$", max_length=256)]],
        Field(max_length=64),
        LIST_ATOMIC,
    ] = Field(
        [],
        description="Further arguments, one per item, as --name=value. Refused unless the platform allows them.",
    )


class Engine(APIModel):
    """What computes the answers, and within which limits."""

    rules: ClassVar[tuple[Rule, ...]] = (
        member_of_type("vllm", "VLLM"),
        Rule(
            cel="self.maxActiveAdapters <= self.maxCachedAdapters",
            message="maxActiveAdapters must be at most maxCachedAdapters: an active adapter is a cached one",
            holds=lambda engine: engine.max_active_adapters <= engine.max_cached_adapters,
            field_path=".maxActiveAdapters",
        ),
    )

    type: Annotated[Literal["Transformers", "VLLM"], Immutable()] = Field(
        "Transformers",
        description="Transformers serves every PEFT method, on GPU or CPU; VLLM serves LoRA at production "
        "throughput. Immutable.",
    )
    max_active_adapters: int = Field(
        16, ge=1, le=256, description="Adapters that can be in use at the same moment; others wait."
    )
    max_cached_adapters: int = Field(
        64, ge=1, le=1024, description="Adapters in the pod's memory; others rest on its disk."
    )
    max_rank: int = Field(64, ge=1, le=512, description="Largest rank; an adapter over it is refused.")
    max_model_length: int = Field(4096, ge=16, le=10_000_000, description="Tokens of prompt and answer together.")
    vllm: Annotated[VLLM | None, STRUCT_ATOMIC] = Field(None, description="Settings of the vLLM engine. Default: none.")


class Limits(APIModel):
    """What one request may take, and how many may wait."""

    request_timeout_seconds: int = Field(300, ge=1, le=86400, description="Seconds after which a request is ended.")
    max_queued_requests: int = Field(
        256, ge=1, le=65536, description="Requests that may wait in a pod; more get 429 and Retry-After."
    )
    max_output_tokens: int = Field(
        1024,
        ge=1,
        le=1_000_000,
        description="Largest max_tokens of a request; also used where it names none.",
    )


class Storage(APIModel):
    """The one identity by which the pods read all adapters."""

    s3: S3Access | None = Field(None, description="How to reach the store. Default: the platform's.")


class TrainingSource(APIModel):
    """An AdapterTraining's adapter: the promoted version, or a held one."""

    name: ObjectName = Field(description="Name of the AdapterTraining.")
    namespace: DNSLabel | None = Field(
        None,
        description="Its namespace, which must share it (spec.sharing there). Default: the deployment's own.",
    )
    digest: DigestText | None = Field(
        None, description="Version to hold, or to roll back to. Default: follow the promoted version."
    )


class S3AdapterSource(APIModel):
    """A published artifact, by location and digest."""

    uri: S3URI = Field(description="Prefix that holds manifest.json.")
    digest: DigestText = Field(description="Digest of the adapter; other bytes are refused.")


class MergeComponent(APIModel):
    """One ingredient of a merge."""

    name: AdapterName = Field(description="Another adapter of this deployment.")
    weight: Annotated[SignedDecimal, NotStored()] = Field("1", description="Its weight. Default: 1.")


class Merge(APIModel):
    """A new adapter made of others."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.density) || (has(self.method) && self.method in ['TIES', 'DARE'])",
            message="density is for the methods TIES and DARE: change method, or remove density",
            holds=lambda merge: merge.density is None or merge.method in {"TIES", "DARE"},
            field_path=".density",
            reason="FieldValueForbidden",
        ),
    )

    method: Annotated[Literal["Linear", "TIES", "DARE"], NotStored()] = Field(
        "Linear", description="How weights are combined. Default: Linear."
    )
    components: Annotated[list[MergeComponent], Field(min_length=2, max_length=16), ListMap(("name",))] = Field(
        description="What is combined."
    )
    density: MergeDensity | None = Field(
        None, description="Share of the weights that TIES and DARE keep. Default: 0.5."
    )


class AdapterSource(APIModel):
    """Where an adapter comes from: exactly one of the members."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("training", "s3", "merge", what="an adapter's source"),)

    training: TrainingSource | None = Field(None, description="An AdapterTraining.")
    s3: S3AdapterSource | None = Field(None, description="A published artifact.")
    merge: Merge | None = Field(None, description="A combination of other adapters of this deployment.")


class Adapter(APIModel):
    """One adapter to serve."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.source.merge) || self.source.merge.components.all(c, c.name != self.name)",
            message="a merge can't be a component of itself: name other adapters",
            holds=lambda adapter: (
                adapter.source.merge is None
                or all(component.name != adapter.name for component in adapter.source.merge.components)
            ),
            field_path=".source.merge.components",
        ),
    )

    name: AdapterName = Field(description="The model name that clients send.")
    source: AdapterSource = Field(description="Where the adapter comes from.")
    policy: Annotated[Literal["Optional", "Required"], NotStored()] = Field(
        "Optional",
        description="Whether a pod must have loaded it before it answers its first request. Default: Optional.",
    )


class LabelSelectorRequirement(APIModel):
    """A condition on one label, as Kubernetes has it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            message="values must be given for In and NotIn, and not for Exists and DoesNotExist",
            holds=lambda requirement: (requirement.operator in {"In", "NotIn"}) == bool(requirement.values),
            field_path=".values",
        ),
    )

    key: QualifiedName = Field(description="Key of the label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label is judged.")
    values: Annotated[list[LabelValue], Field(max_length=64), LIST_ATOMIC] | None = Field(
        None, description="Values for In and NotIn. Default: none."
    )


class LabelSelector(APIModel):
    """Which objects are meant, by their labels; every condition must hold."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            message="adapterSelector needs matchLabels or matchExpressions: an empty one would serve every training",
            holds=lambda selector: bool(selector.match_labels) or bool(selector.match_expressions),
            reason="FieldValueRequired",
        ),
    )

    match_labels: Annotated[Labels | None, STRUCT_ATOMIC] = Field(
        None, description="Labels that must be there with these values. Default: none."
    )
    match_expressions: Annotated[list[LabelSelectorRequirement], Field(max_length=16), LIST_ATOMIC] | None = Field(
        None, description="Further conditions. Default: none."
    )


class AutoscalingMetric(APIModel):
    """What the number of pods follows."""

    name: DNSLabel = Field(description="Name of the metric in this list.")
    type: Literal["QueueDepth", "Utilization"] = Field(
        description="QueueDepth: waiting requests per pod. Utilization: percent of the CPU request."
    )
    target: int = Field(ge=1, le=1_000_000, description="Average per pod that is aimed at.")


class Autoscaling(APIModel):
    """Lets load decide the number of pods; spec.replicas then has no effect."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="minReplicas must be at most maxReplicas",
            holds=lambda autoscaling: autoscaling.min_replicas <= autoscaling.max_replicas,
            field_path=".minReplicas",
        ),
        Rule(
            cel="self.minReplicas > 0 || self.type == 'KEDA'",
            message="minReplicas 0 needs type KEDA: a HorizontalPodAutoscaler does not scale from zero",
            holds=lambda autoscaling: autoscaling.min_replicas > 0 or autoscaling.type == "KEDA",
            field_path=".minReplicas",
        ),
    )

    type: Literal["HorizontalPodAutoscaler", "KEDA"] = Field(
        "HorizontalPodAutoscaler",
        description="Which autoscaler is set up. QueueDepth needs an adapter for custom metrics, or KEDA.",
    )
    min_replicas: int = Field(1, ge=0, le=1000, description="Least number of pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Largest number of pods.")
    metrics: Annotated[list[AutoscalingMetric], Field(min_length=1, max_length=8), ListMap(("name",))] = Field(
        description="What the number of pods follows; the metric that asks for most wins."
    )


class Authentication(APIModel):
    """Who may send requests. Without it everybody who reaches the Service may."""

    api_keys_secret_ref: SecretReference = Field(
        description="Secret whose key keys.yaml lists {name, sha256, models}; read again when it changes."
    )


class Service(APIModel):
    """The Service in front of the pods."""

    port: int = Field(80, ge=1, le=65535, description="Port of the Service.")


class Rollout(APIModel):
    """How pods are replaced."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.maxSurge + self.maxUnavailable > 0",
            message="maxSurge and maxUnavailable must not both be 0: no pod could ever be replaced",
            holds=lambda rollout: rollout.max_surge + rollout.max_unavailable > 0,
            field_path=".maxSurge",
        ),
    )

    max_surge: int = Field(
        1, ge=0, le=1000, description="Pods above the wanted number while rolling. 0 where GPUs are scarce."
    )
    max_unavailable: int = Field(0, ge=0, le=1000, description="Pods below the wanted number while rolling.")
    drain_seconds: int = Field(30, ge=0, le=3600, description="Seconds in which a leaving pod ends its requests.")
    image_upgrade: Literal["OnSpecChange", "Rolling"] = Field(
        "OnSpecChange",
        description="OnSpecChange takes a new platform image with the next change of this spec, Rolling at once.",
    )


class DeploymentSpec(APIModel):
    """What is wanted."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.adapters.all(a, a.name != self.baseModel.name)",
            message="an adapter must not have the base model's name: clients could not tell them apart",
            holds=lambda spec: all(adapter.name != spec.base_model.name for adapter in spec.adapters),
            field_path=".adapters",
        ),
        Rule(
            cel="self.adapters.filter(a, has(a.source.merge)).size() <= 16",
            message="at most 16 adapters may be merges: each pod computes them when it starts",
            holds=lambda spec: sum(adapter.source.merge is not None for adapter in spec.adapters) <= 16,
            field_path=".adapters",
        ),
        Rule(
            cel="self.rollout.drainSeconds <= self.pod.terminationGracePeriodSeconds",
            message="rollout.drainSeconds must be at most pod.terminationGracePeriodSeconds: Kubernetes kills the "
            "pod then",
            holds=lambda spec: spec.rollout.drain_seconds <= spec.pod.termination_grace_period_seconds,
            field_path=".rollout.drainSeconds",
        ),
    )

    base_model: ServedBaseModel = Field(description="The base model that all adapters share.")
    quantization: ServedQuantization = Field(
        ServedQuantization(), description="How the base is held in memory while serving."
    )
    engine: Engine = Field(Engine(), description="What computes the answers, and within which limits.")
    limits: Limits = Field(Limits(), description="What one request may take, and how many may wait.")
    storage: Storage | None = Field(
        None, description="The one identity by which the pods read all adapters. Default: the platform's."
    )
    adapters: Annotated[list[Adapter], Field(max_length=256), ListMap(("name",))] = Field(
        [], description="The adapters to serve. Default: none but those of adapterSelector."
    )
    adapter_selector: LabelSelector | None = Field(
        None,
        description="Serves every AdapterTraining of this namespace that matches, under its own name; an entry in "
        "adapters "
        "of that name wins; 256 in all. Default: none.",
    )
    replicas: int = Field(1, ge=0, le=1000, description="Number of pods, where autoscaling is not set.")
    autoscaling: Autoscaling | None = Field(
        None, description="Lets load decide the number of pods. Default: replicas decides."
    )
    authentication: Authentication | None = Field(
        None, description="Who may send requests. Default: everybody who reaches the Service."
    )
    service: Service = Field(Service(), description="The Service in front of the pods.")
    rollout: Rollout = Field(Rollout(), description="How pods are replaced.")
    pod: Pod = Field(Pod(), description="Settings of the server's pods.")


class AdapterDeployment(Resource):
    """Serves many adapters on one shared base model behind an OpenAI API."""

    api_version: Literal["adapters.dev/v1alpha1"]
    kind: Literal["AdapterDeployment"]
    metadata: ObjectMeta
    spec: DeploymentSpec = Field(description="What is wanted.")
    status: DeploymentStatus | None = Field(None, description="What is, written by the operator alone.")
