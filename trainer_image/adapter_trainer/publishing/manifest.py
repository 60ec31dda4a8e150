"""The manifest of an adapter that was trained: pure, from what is known to the document."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from adapter_contract import (
    AdapterManifest,
    BaseModelRecord,
    DatasetRecord,
    FileEntry,
    TrainerConfig,
    TrainingRecord,
    decimal_string,
)
from adapter_trainer.inputs.digests import KnownDigests
from adapter_trainer.publishing.trained import Trained

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When the training ran, on what, with which libraries (versions by package name).

    Attributes:
        dataset_uri: where the examples were read; of a repository of the Hub with the commit.
        base_revision: of the base model: as declared, or the commit of the Hub that was found.
    """

    start_time: datetime
    end_time: datetime
    gpu_seconds: int
    libraries: Mapping[str, str]
    dataset_uri: str
    base_revision: str | None = None


def build_manifest(
    config: TrainerConfig,
    digests: KnownDigests,
    trained: Trained,
    circumstances: Circumstances,
    files: tuple[FileEntry, ...],
) -> AdapterManifest:
    """Return the manifest.

    Args:
        config: as declared: the paths of this machine have no place in a record.
        digests: of all inputs.
        trained: what came out.
        circumstances: of the run.
        files: every file of the artifact.

    Raises:
        ValueError: not all digests are known.
    """
    if digests.base is None or digests.dataset is None or digests.inputs is None:
        raise ValueError("an adapter can't be published before the digests of its inputs are known")
    counts = trained.examples
    return AdapterManifest(
        files=files,
        origin="Trained",
        base_model=BaseModelRecord(
            name=config.base_model.name, revision=circumstances.base_revision, digest=digests.base
        ),
        adapter=trained.facts,
        prompt_format=trained.prompt_format,
        record=TrainingRecord(
            method=config.method,
            quantization=config.quantization,
            objective=config.objective,
            hyperparameters=config.hyperparameters,
            training=config.training,
            run=config.run,
            lineage=config.lineage,
            dataset=DatasetRecord(
                uri=circumstances.dataset_uri[:_LONGEST_URI],
                digest=digests.dataset,
                evaluation_digest=digests.evaluation,
                examples=counts.training,
                evaluation_examples=counts.evaluation,
                dropped_examples=counts.dropped,
                tokens=counts.tokens,
                labelled_tokens=counts.labelled_tokens,
            ),
            libraries=dict(circumstances.libraries),
            device=trained.device,
            device_count=trained.device_count,
            micro_batch_tokens=trained.micro_batch_tokens,
            steps=trained.steps,
            start_time=circumstances.start_time,
            end_time=circumstances.end_time,
            gpu_seconds=circumstances.gpu_seconds,
        ),
        parent_digest=digests.parent,
        input_digest=digests.inputs,
        metrics=recorded_metrics(trained.metrics),
        evaluation_digest=digests.evaluation,
        created_time=circumstances.end_time,
    )


_LONGEST_URI = 1024
"""Of the record's field; a storage URI may be longer, and its digest stands beside it."""


def recorded_metrics(metrics: Mapping[str, float]) -> dict[str, str]:
    """Return metrics as they are recorded, to six digits; one that is no finite number has no value to record."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    if left_out := sorted(metrics.keys() - finite.keys()):
        _log.warning("not recorded, since they are no finite numbers: %s", ", ".join(left_out))
    return {name: decimal_string(float(f"{value:.6g}")) for name, value in sorted(finite.items())}
