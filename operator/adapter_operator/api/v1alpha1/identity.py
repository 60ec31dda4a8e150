"""specHash and recipeHash: what a training trains, as one digest.

specHash decides whether an edit starts a new run: it covers the identity fields. recipeHash leaves out where
bytes lie and who may read them; with the digests of the bytes themselves it makes the inputDigest by which an
adapter is found again.

The table below is frozen. What is released under a version is never changed or removed; a new identity field is
appended, with a default that means the old behaviour. A change of meaning is a new version beside this one: a
run is compared under the version that its status names.
"""

from collections.abc import Mapping
from typing import Any

from adapter_operator.api.schema.hashing import HashRules
from adapter_operator.api.v1alpha1.method import DEFAULT_LEARNING_RATES, DEFAULT_PREFERENCE_LEARNING_RATE
from adapter_operator.api.v1alpha1.training import TrainingSpec

HASH_VERSION = 1

_V1 = HashRules(
    version=1,
    identity=frozenset(
        {
            "baseModel",
            "dataset",
            "evaluation",
            "hyperparameters",
            "initializeFrom",
            "method",
            "objective",
            "quantization",
        }
    ),
    defaults={
        "baseModel.source.huggingFace.revision": "main",
        "dataset.format": "Auto",
        "dataset.source.huggingFace.revision": "main",
        "dataset.source.huggingFace.split": "train",
        "dataset.unusableExamples": {},
        "dataset.unusableExamples.action": "Drop",
        "dataset.unusableExamples.maxPercent": "5",
        "evaluation.earlyStopping.patience": 3,
        "evaluation.holdout": {"percent": "5"},
        "evaluation.holdout.source.huggingFace.revision": "main",
        "evaluation.holdout.source.huggingFace.split": "train",
        "evaluation.metrics": ["Loss"],
        "evaluation.selectBest.metric": "Loss",
        "hyperparameters": {},
        "hyperparameters.batchSize": 16,
        "hyperparameters.epochs": "3",
        "hyperparameters.maxGradientNorm": "1",
        "hyperparameters.maxSequenceLength": 1024,
        "hyperparameters.optimizer": "AdamW",
        "hyperparameters.packing": "Enabled",
        "hyperparameters.scheduler": "Cosine",
        "hyperparameters.seed": 0,
        "hyperparameters.warmup": "0.03",
        "hyperparameters.weightDecay": "0",
        "method": {},
        "method.bottleneck": {},
        "method.bottleneck.architecture": "Pfeiffer",
        "method.bottleneck.size": 64,
        "method.ia3": {},
        "method.lora": {},
        "method.lora.alpha": 32,
        "method.lora.dropout": "0.05",
        "method.lora.initialization": "Default",
        "method.lora.rank": 16,
        "method.lora.scaling": "Standard",
        "method.lora.targetModules": ["all-linear"],
        "method.lora.weightDecomposition": "Disabled",
        "method.prefixTuning": {},
        "method.prefixTuning.virtualTokens": 20,
        "method.promptTuning": {},
        "method.promptTuning.virtualTokens": 20,
        "method.type": "LoRA",
        "objective": {},
        "objective.directPreference": {},
        "objective.directPreference.beta": "0.1",
        "objective.lossOn": "Completion",
        "objective.type": "SupervisedFineTuning",
        "quantization": {},
        "quantization.computeType": "BFloat16",
        "quantization.doubleQuantization": "Enabled",
        "quantization.type": "NF4",
    },
    sets=frozenset(
        {
            "evaluation.metrics",
            "method.ia3.feedforwardModules",
            "method.ia3.targetModules",
            "method.lora.targetModules",
        }
    ),
    named_lists={
        "dataset.columns": "name",
    },
    decimals=frozenset(
        {
            "dataset.unusableExamples.maxPercent",
            "evaluation.holdout.percent",
            "hyperparameters.epochs",
            "hyperparameters.learningRate",
            "hyperparameters.maxGradientNorm",
            "hyperparameters.warmup",
            "hyperparameters.weightDecay",
            "method.lora.dropout",
            "objective.directPreference.beta",
        }
    ),
    locations=frozenset(
        {
            "baseModel.source",
            "dataset.digest",
            "dataset.source",
            "evaluation.holdout.source",
            "initializeFrom",
        }
    ),
)

HASH_RULES: Mapping[int, HashRules] = {1: _V1}


class UnknownHashVersionError(LookupError):
    """A status names a hash version that this operator does not know: it was written by a newer one."""

    def __init__(self, version: int) -> None:
        known = ", ".join(str(number) for number in sorted(HASH_RULES))
        super().__init__(f"hashVersion {version} is unknown to this operator (it knows {known}): upgrade the operator")


def spec_hash(spec: TrainingSpec, version: int = HASH_VERSION) -> str:
    """Digest of the identity fields: another one means another run.

    Raises:
        UnknownHashVersionError: the version is newer than this operator.

    """
    return _rules(version).digest(_meant(spec))


def recipe_hash(spec: TrainingSpec, version: int = HASH_VERSION) -> str:
    """Digest of the identity fields without locations and secret references.

    Raises:
        UnknownHashVersionError: the version is newer than this operator.

    """
    return _rules(version).digest(_meant(spec), recipe=True)


def learning_rate(spec: TrainingSpec) -> str:
    """The learning rate that is meant: the given one, else the default of the method or objective."""
    if spec.hyperparameters.learning_rate is not None:
        return spec.hyperparameters.learning_rate
    if spec.objective.type == "DirectPreferenceOptimization":
        return DEFAULT_PREFERENCE_LEARNING_RATE
    return DEFAULT_LEARNING_RATES[spec.method.type]


def _meant(spec: TrainingSpec) -> dict[str, Any]:
    """The spec as it is meant: the learning rate spelled out, and without settings that its types ignore.

    So writing down the default of the method changes nothing, nor does a setting that nothing reads.
    """
    document = spec.to_dict()
    document["hyperparameters"]["learningRate"] = learning_rate(spec)
    if spec.quantization.type in {"Int8", "None"}:
        del document["quantization"]["doubleQuantization"]
    if spec.objective.type == "DirectPreferenceOptimization":
        del document["objective"]["lossOn"]
    return document


def _rules(version: int) -> HashRules:
    try:
        return HASH_RULES[version]
    except KeyError as error:
        raise UnknownHashVersionError(version) from error
