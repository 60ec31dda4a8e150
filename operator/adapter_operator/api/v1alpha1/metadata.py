"""What every object has: metadata and conditions."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from adapter_operator.api.schema.markers import ListMap
from adapter_operator.api.schema.model import APIModel, field_names
from adapter_operator.api.v1alpha1.scalars import BigCount, Message, ObjectName, Reason, Time


class ObjectMeta(APIModel):
    """The part of Kubernetes' metadata that the operator reads; the rest passes, whoever reads."""

    @model_validator(mode="before")
    @classmethod
    def _leave_the_rest(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic hands in whatever the caller had
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key in field_names(cls)}
        return data

    name: ObjectName
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)


class Condition(APIModel):
    """One aspect of the object's state, as Kubernetes' metav1.Condition."""

    type: Reason = Field(description="Aspect, such as Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the aspect holds.")
    observed_generation: BigCount | None = Field(None, description="The metadata.generation that this speaks of.")
    last_transition_time: Time = Field(description="When status last changed.")
    reason: Reason = Field(description="Stable word for programs: why status is what it is.")
    message: Message = Field(description="Sentence for people: what happened and what to do.")


Conditions = Annotated[list[Condition], Field(max_length=16), ListMap(("type",))]
