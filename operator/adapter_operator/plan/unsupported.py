"""What the API offers and this release can't carry out yet: refused before anything starts, never ignored.

A training that sets one of these is Stalled, InvalidSpec. Whoever builds the feature removes its line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapter_contract.locations import HubModelSource
from adapter_operator.api.schema.model import Problem
from adapter_operator.api.v1alpha1.evaluation import Evaluation
from adapter_operator.api.v1alpha1.references import DatasetSource
from adapter_operator.api.v1alpha1.training import TrainingSpec
from adapter_operator.build.trainer_inputs import TrainerInputs


@dataclass(frozen=True)
class Unsupported:
    """A field, or some of its values.

    Attributes:
        field: its path.
        is_used: whether a spec asks for it.
        fix: what to do instead.

    """

    field: str
    is_used: Callable[[TrainingSpec], bool]
    fix: str


def _gates(spec: TrainingSpec) -> bool:
    return spec.promotion is not None and bool(spec.promotion.gates)


def _pissa(spec: TrainingSpec) -> bool:
    return spec.method.lora is not None and spec.method.lora.initialization == "PiSSA"


def _dora(spec: TrainingSpec) -> bool:
    return spec.method.lora is not None and spec.method.lora.weight_decomposition == "Enabled"


def _base_from_hub(spec: TrainingSpec) -> bool:
    return spec.base_model.source is not None and spec.base_model.source.hugging_face is not None


def _from_hub(source: DatasetSource | None) -> bool:
    return source is not None and source.hugging_face is not None


def _holdout(evaluation: Evaluation | None) -> DatasetSource | None:
    return None if evaluation is None else evaluation.holdout.source


UNSUPPORTED = (
    Unsupported(
        "spec.queue",
        lambda spec: spec.queue is not None,
        "Kueue is not supported yet: remove it, the Job starts at once",
    ),
    Unsupported(
        "spec.promotion.gates",
        _gates,
        "gates are not judged yet: remove them, and look at status.adapter.metrics before you serve a version",
    ),
    Unsupported(
        "spec.output.keepVersions",
        lambda spec: spec.output.keep_versions is not None,
        "versions are not pruned yet: remove it, all versions are kept",
    ),
    Unsupported(
        "spec.output.deletionPolicy",
        lambda spec: spec.output.deletion_policy == "Delete",
        "artifacts are not deleted yet: set it to Retain, and delete the prefix yourself",
    ),
    Unsupported(
        "spec.method.type",
        lambda spec: spec.method.type != "LoRA",
        "only LoRA is trained yet (with quantization NF4 it is QLoRA): set it to LoRA",
    ),
    Unsupported("spec.method.lora.initialization", _pissa, "PiSSA is not supported yet: set it to Default"),
    Unsupported(
        "spec.method.lora.weightDecomposition",
        _dora,
        "DoRA can't be served yet, so none is trained: set it to Disabled",
    ),
    Unsupported(
        "spec.objective.type",
        lambda spec: spec.objective.type == "DirectPreferenceOptimization",
        "DirectPreferenceOptimization is not supported yet: set it to SupervisedFineTuning",
    ),
    Unsupported(
        "spec.baseModel.source.huggingFace",
        _base_from_hub,
        "the Hub is not read yet: use persistentVolumeClaim, image or s3",
    ),
    Unsupported(
        "spec.dataset.source.huggingFace",
        lambda spec: _from_hub(spec.dataset.source),
        "the Hub is not read yet: use s3, persistentVolumeClaim or configMap",
    ),
    Unsupported(
        "spec.evaluation.holdout.source.huggingFace",
        lambda spec: _from_hub(_holdout(spec.evaluation)),
        "the Hub is not read yet: use s3, persistentVolumeClaim or configMap",
    ),
)


def unsupported_fields(spec: TrainingSpec) -> Iterator[Problem]:
    """Every field of the spec that this release can't carry out, with what to do instead."""
    return (Problem(entry.field, entry.fix) for entry in UNSUPPORTED if entry.is_used(spec))


def unsupported_inputs(inputs: TrainerInputs) -> Iterator[Problem]:
    """The same for what was resolved with the platform's defaults."""
    if isinstance(inputs.base_model.config.source, HubModelSource):
        yield Problem(
            "spec.baseModel.source",
            "the platform's catalogue takes this base model from the Hub, which is not read yet: set a source of your "
            "own (persistentVolumeClaim, image or s3)",
        )
    if not inputs.output.uri.isascii():
        yield Problem("spec.output.s3.uri", "must be ASCII: other characters can't be recorded with a version")
