"""What users may set of the pods: a small part of the PodSpec, so that the CRDs stay small and the rest safe."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapter_operator.api.schema.markers import LIST_ATOMIC, NULLS_LEFT_OUT, STRUCT_ATOMIC, ListMap, NotStored, Rule
from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.v1alpha1.scalars import (
    DNSSubdomain,
    ExtendedResourceName,
    ImageReference,
    LabelValue,
    QualifiedName,
    Quantity,
    QuantityOrInt,
)

RESERVED_KEY_PREFIXES = (
    "adapters.dev/",
    "app.kubernetes.io/",
    "batch.kubernetes.io/",
    "kueue.x-k8s.io/",
    "argocd.argoproj.io/",
)

# Keys are free here: no structural schema can bound them. The API server judges them in the pod.
Quantities = Annotated[dict[str, QuantityOrInt], Field(max_length=16), NULLS_LEFT_OUT]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32), NULLS_LEFT_OUT]
Annotations = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32), NULLS_LEFT_OUT]


# What Kubernetes' own controllers select pods by.
RESERVED_KEYS = ("controller-uid", "job-name", "pod-template-hash")


def _no_reserved_keys(field: str, attribute: str) -> Rule:
    refused = " && ".join(
        [
            *(f"!k.startsWith('{prefix}')" for prefix in RESERVED_KEY_PREFIXES),
            f"!(k in {list(RESERVED_KEYS)})",
        ]
    )
    return Rule(
        cel=f"!has(self.{field}) || self.{field}.all(k, {refused})",
        message=f"{field} must not have keys that begin with {', '.join(RESERVED_KEY_PREFIXES)}, "
        f"nor {', '.join(RESERVED_KEYS)}: they are reserved",
        holds=lambda pod: (
            not any(
                key.startswith(RESERVED_KEY_PREFIXES) or key in RESERVED_KEYS for key in getattr(pod, attribute) or {}
            )
        ),
        field_path=f".{field}",
        reason="FieldValueForbidden",
    )


class ResourceRequirements(APIModel):
    """Requests and limits, as Kubernetes has them. GPUs are set by gpus."""

    requests: Quantities | None = Field(None, description="What a node must have free. Default: the platform's.")
    limits: Quantities | None = Field(None, description="What the container may use at most. Default: the platform's.")


class Toleration(APIModel):
    """A node taint that the pods bear, as Kubernetes has it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            message="value must be empty when operator is Exists",
            holds=lambda toleration: toleration.operator != "Exists" or not toleration.value,
            field_path=".value",
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="key must be given unless operator is Exists",
            holds=lambda toleration: toleration.key is not None or toleration.operator == "Exists",
            field_path=".key",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds is for effect NoExecute: change effect, or remove tolerationSeconds",
            holds=lambda toleration: toleration.toleration_seconds is None or toleration.effect == "NoExecute",
            field_path=".tolerationSeconds",
        ),
    )

    key: QualifiedName | None = Field(None, description="Key of the taint. Default: every key (with operator Exists).")
    operator: Literal["Exists", "Equal"] | None = Field(None, description="How key and value match. Default: Equal.")
    value: LabelValue | None = Field(None, description="Value of the taint. Default: empty.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint. Default: every effect."
    )
    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="Seconds that a NoExecute taint is borne. Default: for ever."
    )


class EnvironmentVariable(APIModel):
    """An environment variable with a plain value. Secrets never go by the environment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] = Field(
        description="Name of the variable."
    )
    value: Annotated[str, Field(max_length=4096), NotStored()] = Field(
        "", description="Value of the variable. Default: empty."
    )


class Pod(APIModel):
    """Settings of the pods. image, serviceAccountName and env are refused unless the platform allows them."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _no_reserved_keys("labels", "labels"),
        _no_reserved_keys("annotations", "annotations"),
        Rule(
            cel="!has(self.resources) || "
            "((!has(self.resources.limits) || !(self.gpuResourceName in self.resources.limits)) && "
            "(!has(self.resources.requests) || !(self.gpuResourceName in self.resources.requests)))",
            message="resources must not hold gpuResourceName: set gpus instead",
            holds=lambda pod: (
                pod.resources is None
                or pod.gpu_resource_name not in {**(pod.resources.limits or {}), **(pod.resources.requests or {})}
            ),
            field_path=".resources",
            reason="FieldValueForbidden",
        ),
    )

    gpus: int = Field(1, ge=0, le=64, description="GPUs per pod; 0 runs on the CPU.")
    gpu_resource_name: ExtendedResourceName = Field(
        "nvidia.com/gpu", description="Extended resource that a GPU is requested by."
    )
    gpu_memory: Quantity | None = Field(
        None,
        description="Memory of one GPU, such as 24Gi: preflight refuses what will not fit. Default: not checked.",
    )
    resources: ResourceRequirements | None = Field(None, description="CPU and memory. Default: the platform's.")
    node_selector: Annotated[Labels | None, STRUCT_ATOMIC] = Field(
        None, description="Labels that a node must have. Default: the platform's."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32), LIST_ATOMIC] | None = Field(
        None, description="Taints that the pods bear. Default: the platform's."
    )
    service_account_name: DNSSubdomain | None = Field(
        None,
        description="Service account of the pods, for its cloud identity; no API token is mounted. Refused unless "
        "the platform allows it. Default: the "
        "platform's.",
    )
    priority_class_name: DNSSubdomain | None = Field(
        None, description="Kubernetes PriorityClass of the pods. Default: the cluster's."
    )
    runtime_class_name: DNSSubdomain | None = Field(
        None, description="Kubernetes RuntimeClass of the pods. Default: the cluster's."
    )
    labels: Labels | None = Field(None, description="Further labels of the pods. Default: none.")
    annotations: Annotations | None = Field(None, description="Further annotations of the pods. Default: none.")
    env: Annotated[list[EnvironmentVariable], Field(max_length=64), ListMap(("name",))] | None = Field(
        None, description="Further environment variables. Refused unless the platform allows them. Default: none."
    )
    shared_memory: Quantity | None = Field(
        None, description="Size of /dev/shm; it counts as memory. Default: the platform's."
    )
    scratch: Quantity | None = Field(
        None, description="Size of the scratch volume for downloads and checkpoints. Default: the platform's."
    )
    termination_grace_period_seconds: int = Field(
        120,
        ge=1,
        le=86400,
        description="Seconds between SIGTERM and SIGKILL: a trainer saves a checkpoint, a server ends its requests.",
    )
    image: ImageReference | None = Field(
        None, description="Image of the main container. Refused unless the platform allows it. Default: the platform's."
    )
