import json
from collections.abc import Mapping
from typing import Any

import pytest

from adapter_testing.learning_lab import HOLDOUT, PREFERENCE, learning_config
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.training.support import require_supported, unsupported

pytestmark = pytest.mark.unit

SUPERVISED = {"type": "SupervisedFineTuning", "lossOn": "All"}
PERCENT = {"type": "Percent", "percent": "0"}
SOURCE = {"type": "Source", "source": {"type": "Path", "path": "/evaluation"}}
UNUSABLE = {"action": "Drop", "maxPercent": "5"}


def held(kind: str, compute_type: str = "BFloat16") -> dict[str, str]:
    return {"type": kind, "computeType": compute_type, "doubleQuantization": "Enabled"}


def other_method(method: Mapping[str, Any], **hyperparameters: object) -> Any:
    """Return a configuration whose method is not LoRA, so that nothing of it may be left."""
    config = learning_config(hyperparameters=hyperparameters)
    document = json.loads(config.to_json()) | {"method": dict(method)}
    return type(config).from_object(document)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": {"initialization": "PiSSA"}},
        {"method": {"weightDecomposition": "Enabled"}},
        {"method": {"scaling": "RankStabilized", "dropout": "0.99"}},
        *(
            {"quantization": held(kind, compute)}
            for kind in ("NF4", "FP4", "Int8", "None")
            for compute in ("BFloat16",)
        ),
        {"quantization": held("None", "Float32")},
        {"objective": SUPERVISED},
        {"objective": PREFERENCE},
        {"objective": PREFERENCE, "dataset": {"format": "Preference"}},
        *({"dataset": {"format": kind}} for kind in ("Messages", "PromptCompletion", "Text")),
        {"evaluation": HOLDOUT | {"holdout": SOURCE}},
        {"evaluation": HOLDOUT | {"metrics": ["Loss", "Perplexity", "TokenAccuracy"]}},
        {"evaluation": HOLDOUT | {"selectBest": {"metric": "TokenAccuracy"}, "earlyStopping": {"patience": 1}}},
        {"evaluation": HOLDOUT | {"earlyStopping": {"patience": 3}}},
        {
            "objective": PREFERENCE,
            "evaluation": HOLDOUT
            | {
                "metrics": ["Loss", "Perplexity", "TokenAccuracy", "PreferenceAccuracy"],
                "selectBest": {"metric": "PreferenceAccuracy"},
                "earlyStopping": {"patience": 3},
            },
        },
        {"hyperparameters": {"warmup": "1", "weightDecay": "0", "maxGradientNorm": "0", "maxSequenceLength": 2}},
        {"dataset": {"unusableExamples": UNUSABLE | {"maxPercent": "100"}}},
    ],
)
def test_what_can_be_trained_is_let_through(changes: dict[str, Any]) -> None:
    config = learning_config(**changes)
    assert unsupported(config) == []
    require_supported(config)


@pytest.mark.parametrize(
    "method",
    [
        {"type": "IA3"},
        {"type": "IA3", "targetModules": ["k_proj", "down_proj"], "feedforwardModules": ["down_proj"]},
        {"type": "PromptTuning", "virtualTokens": 20},
        {"type": "PromptTuning", "virtualTokens": 128, "initialText": "Answer:"},
        {"type": "PrefixTuning", "virtualTokens": 20},
        {"type": "Bottleneck", "architecture": "Pfeiffer", "size": 64},
        {"type": "Bottleneck", "architecture": "Houlsby", "size": 8},
    ],
)
def test_every_method_is_let_through(method: dict[str, Any]) -> None:
    assert unsupported(other_method(method)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"dropout": "1"}}, "method.lora.dropout: 1 must be at least 0 and below 1"),
        ({"method": {"dropout": "-0.1"}}, "method.lora.dropout: -0.1 must be at least 0 and below 1"),
        (
            {"quantization": held("NF4", "Float16")},
            "quantization.computeType: this release computes in BFloat16 or Float32, not in Float16, whose small range "
            "needs losses scaled: set it to BFloat16",
        ),
        (
            {"dataset": {"format": "Preference"}},
            "dataset.format: Preference data is learned by objective.type DirectPreferenceOptimization, not by "
            "SupervisedFineTuning: change one of them",
        ),
        *(
            (
                {"dataset": {"format": kind}, "objective": PREFERENCE},
                "dataset.format: objective.type DirectPreferenceOptimization learns from Preference data, not from "
                f"{kind}: change one of them",
            )
            for kind in ("Messages", "PromptCompletion", "Text")
        ),
        *(
            (
                {"objective": PREFERENCE | {"beta": beta}},
                f"objective.directPreference.beta: {beta} must be above 0; 0.1 is usual",
            )
            for beta in ("0", "-0.1")
        ),
        (
            {"evaluation": HOLDOUT | {"metrics": ["RougeL", "Loss", "ExactMatch"]}},
            "evaluation.metrics: this release generates no answers while it trains, so it can't measure ExactMatch, "
            "RougeL: it measures Loss, Perplexity, TokenAccuracy",
        ),
        (
            {"evaluation": HOLDOUT | {"selectBest": {"metric": "RougeL"}}, "objective": PREFERENCE},
            "evaluation.selectBest.metric: this release generates no answers while it trains, so it can't measure "
            "RougeL: it measures Loss, Perplexity, TokenAccuracy, PreferenceAccuracy",
        ),
        (
            {"evaluation": HOLDOUT | {"selectBest": {"metric": "PreferenceAccuracy"}}},
            "evaluation.selectBest.metric: PreferenceAccuracy is not measured under objective.type "
            "SupervisedFineTuning, but Loss, Perplexity, TokenAccuracy",
        ),
        ({"evaluation": HOLDOUT | {"holdout": PERCENT}}, "evaluation.holdout.percent: 0 must be above 0 and below 100"),
        (
            {"evaluation": HOLDOUT | {"holdout": PERCENT | {"percent": "100"}}},
            "evaluation.holdout.percent: 100 must be above 0 and below 100",
        ),
        (
            {"evaluation": HOLDOUT | {"holdout": PERCENT | {"percent": "-5"}}},
            "evaluation.holdout.percent: -5 must be above 0 and below 100",
        ),
        ({"hyperparameters": {"epochs": "0"}}, "hyperparameters.epochs: 0 must be above 0"),
        ({"hyperparameters": {"epochs": "-1"}}, "hyperparameters.epochs: -1 must be above 0"),
        ({"hyperparameters": {"learningRate": "0"}}, "hyperparameters.learningRate: 0 must be above 0"),
        ({"hyperparameters": {"learningRate": "-1"}}, "hyperparameters.learningRate: -1 must be above 0"),
        ({"hyperparameters": {"warmup": "-0.1"}}, "hyperparameters.warmup: -0.1 must be at least 0"),
        ({"hyperparameters": {"warmup": "1.1"}}, "hyperparameters.warmup: 1.1 must be at most 1"),
        ({"hyperparameters": {"weightDecay": "-1"}}, "hyperparameters.weightDecay: -1 must be at least 0"),
        ({"hyperparameters": {"maxGradientNorm": "-1"}}, "hyperparameters.maxGradientNorm: -1 must be at least 0"),
        (
            {"hyperparameters": {"maxSequenceLength": 1}},
            "hyperparameters.maxSequenceLength: 1 must be at least 2: a token is learned from the ones before it",
        ),
        (
            {"dataset": {"unusableExamples": UNUSABLE | {"maxPercent": "-1"}}},
            "dataset.unusableExamples.maxPercent: -1 must be at least 0",
        ),
        (
            {"dataset": {"unusableExamples": UNUSABLE | {"maxPercent": "101"}}},
            "dataset.unusableExamples.maxPercent: 101 must be at most 100",
        ),
    ],
)
def test_what_cannot_be_trained_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadConfiguration) as raised:
        require_supported(learning_config(**changes))
    assert str(raised.value) == message


@pytest.mark.parametrize(("method", "member"), [("PromptTuning", "promptTuning"), ("PrefixTuning", "prefixTuning")])
def test_more_virtual_tokens_than_an_example_may_have_are_refused(method: str, member: str) -> None:
    assert unsupported(other_method({"type": method, "virtualTokens": 129})) == [
        f"method.{member}.virtualTokens: 129 must be at most hyperparameters.maxSequenceLength (128), the tokens of an "
        "example"
    ]


def test_combinations_of_the_method_are_asked_about() -> None:
    config = learning_config(method={"initialization": "PiSSA", "weightDecomposition": "Enabled"})
    (problem,) = unsupported(config)
    assert problem.startswith("method.lora.initialization: ")


def test_all_of_it_is_named_at_once() -> None:
    config = learning_config(hyperparameters={"epochs": "0", "warmup": "2"}, dataset={"format": "Preference"})
    with pytest.raises(
        BadConfiguration, match=r"dataset.format: .*; hyperparameters.epochs: .*; hyperparameters.warmup: "
    ):
        require_supported(config)
