"""What the operator reports of a deployment. Every field is optional."""

from typing import Annotated

from pydantic import Field

from adapter_operator.api.schema.markers import LIST_ATOMIC, ListMap
from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.v1alpha1.metadata import Conditions
from adapter_operator.api.v1alpha1.scalars import BigCount, Count, DigestText, Reason, Text, Time
from adapter_operator.api.v1alpha1.training_status import ArtifactURI

RatioText = Annotated[str, Field(pattern=r"^[0-9]{1,6}/[0-9]{1,6}$", max_length=13)]


class ResolvedDeployment(APIModel):
    """The platform's defaults that the live pods were made with."""

    image: Annotated[str, Field(max_length=512)] | None = Field(None, description="Image of the server.")
    contract_version: Count | None = Field(None, description="Version of the AdapterSet that the image reads.")
    template_inputs_hash: DigestText | None = Field(
        None, description="Digest of all that the pod template is made from; pods roll only when it changes."
    )


class ServedVersion(APIModel):
    """A version that was served before."""

    digest: DigestText = Field(description="Digest of the adapter.")
    uri: ArtifactURI | None = Field(None, description="Where the adapter lies.")
    version: Count | None = Field(None, description="Number of the version in its training.")
    time: Time | None = Field(None, description="When it was replaced.")
    reason: Reason | None = Field(None, description="Why it was replaced.")


class AdapterState(APIModel):
    """One adapter of the deployment."""

    name: Annotated[str, Field(max_length=63)] = Field(
        description="Name of the adapter: the model name that clients send."
    )
    desired_digest: DigestText | None = Field(None, description="Digest that should be served.")
    served_digest: DigestText | None = Field(None, description="Digest that all ready pods serve.")
    uri: ArtifactURI | None = Field(None, description="Where the desired adapter lies.")
    version: Count | None = Field(None, description="Number of the desired version in its training.")
    ready_replicas: Count | None = Field(None, description="Pods that serve the desired digest.")
    reason: Reason | None = Field(None, description="Stable word for the adapter's state.")
    message: Text | None = Field(None, description="What happened and what to do.")
    since: Time | None = Field(None, description="When the adapter came into this state.")
    history: Annotated[list[ServedVersion], Field(max_length=3), LIST_ATOMIC] | None = Field(
        None, description="The last three versions that were served before, newest first."
    )


class DeploymentStatus(APIModel):
    """What is, written by the operator alone."""

    observed_generation: BigCount | None = Field(
        None, description="The metadata.generation that this status speaks of."
    )
    conditions: Conditions | None = Field(
        None, description="Ready, AdaptersResolved, and while they hold Reconciling or Stalled."
    )
    replicas: Count | None = Field(None, description="Pods that exist.")
    ready_replicas: Count | None = Field(None, description="Pods that answer requests.")
    selector: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="Label selector of the pods, for autoscalers."
    )
    adapters_ready: RatioText | None = Field(
        None, description="Adapters that all ready pods serve, of all adapters, such as 3/4."
    )
    endpoint: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="Base URL for OpenAI clients inside the cluster."
    )
    resolved: ResolvedDeployment | None = Field(
        None, description="The platform's defaults that the live pods were made with."
    )
    adapters: Annotated[list[AdapterState], Field(max_length=256), ListMap(("name",))] | None = Field(
        None, description="Every adapter of the deployment."
    )
