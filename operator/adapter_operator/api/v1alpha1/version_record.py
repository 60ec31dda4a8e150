"""What a ControllerRevision holds of a promoted version: all that status, roll back and serving need of it."""

from typing import Annotated

from pydantic import Field

from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.v1alpha1.scalars import BigCount, Count, DigestText, ModelName, Time
from adapter_operator.api.v1alpha1.training_status import ArtifactURI, MetricValues


class VersionRecord(APIModel):
    """One promoted version. It is stored in ASCII, so that the API server compares equal bytes: see the builder."""

    version: Count
    digest: DigestText
    uri: ArtifactURI
    run: Count
    spec_hash: DigestText
    time: Time
    method: Annotated[str, Field(max_length=32)] | None = None
    rank: Count | None = None
    trainable_parameters: BigCount | None = None
    size_bytes: BigCount | None = None
    base_model: ModelName | None = None
    metrics: MetricValues | None = None
    evaluation_digest: DigestText | None = None
