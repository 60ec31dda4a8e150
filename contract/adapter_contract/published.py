"""What is known of a published adapter where its files are not at hand: metrics, size, digests."""

from typing import Annotated

from pydantic import Field

from adapter_contract.digests import Digest
from adapter_contract.documents import Part
from adapter_contract.locations import StorageURI
from adapter_contract.recipe import MethodType
from adapter_contract.scalars import Count, DecimalString, PositiveCount, Reason

Metrics = Annotated[dict[Reason, DecimalString], Field(max_length=24)]
"""Values by the metric's name, such as {"Loss": "1.18"}: decimal strings, so that a gate compares what stands
in the status, digit by digit."""


class AdapterSummary(Part):
    """What `status.adapter` shows of an adapter. `rank` exists for LoRA only."""

    method: MethodType
    rank: PositiveCount | None = None
    trainable_parameters: Count
    size_bytes: Count


class PublishedAdapter(Part):
    """An adapter that is committed to the store, by the digest of its manifest."""

    digest: Digest
    uri: StorageURI | None = None
    metrics: Metrics = Field(default_factory=dict)
    evaluation_digest: Digest | None = None
    summary: AdapterSummary | None = None
