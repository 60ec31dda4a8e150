import pytest

from adapter_testing.learning_lab import HOLDOUT, learning_config
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.training.support import require_supported

pytestmark = pytest.mark.unit

PERCENT = {"type": "Percent", "percent": "0"}


def test_what_can_be_trained_is_let_through() -> None:
    require_supported(learning_config())
    metrics = ["Loss", "Perplexity", "TokenAccuracy"]
    require_supported(learning_config(evaluation=HOLDOUT | {"metrics": metrics, "selectBest": {"metric": "Loss"}}))
    source = {"type": "Source", "source": {"type": "Path", "path": "/evaluation"}}
    require_supported(learning_config(evaluation=HOLDOUT | {"holdout": source}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"type": "IA3"}}, "method.type: this release trains LoRA only, not IA3"),
        (
            {"method": {"initialization": "PiSSA"}},
            "method.lora.initialization: this release knows Default only, not PiSSA",
        ),
        ({"method": {"dropout": "1"}}, "method.lora.dropout: 1 must be at least 0 and below 1"),
        ({"method": {"dropout": "-0.1"}}, "method.lora.dropout: -0.1 must be at least 0 and below 1"),
        (
            {"quantization": {"type": "NF4", "computeType": "Float16", "doubleQuantization": "Enabled"}},
            "quantization.computeType: this release computes in BFloat16 or Float32, not in Float16",
        ),
        (
            {"objective": {"type": "DirectPreferenceOptimization", "beta": "0.1"}},
            "objective.type: this release trains SupervisedFineTuning only, not DirectPreferenceOptimization",
        ),
        (
            {"dataset": {"format": "Preference"}},
            "dataset.format: this release reads Messages, PromptCompletion and Text, not Preference",
        ),
        (
            {"evaluation": HOLDOUT | {"metrics": ["RougeL", "Loss", "ExactMatch"]}},
            "evaluation.metrics: this release measures Loss, Perplexity, TokenAccuracy, not ExactMatch, RougeL",
        ),
        (
            {"evaluation": HOLDOUT | {"selectBest": {"metric": "RougeL"}}},
            "evaluation.metrics: this release measures Loss, Perplexity, TokenAccuracy, not RougeL",
        ),
        ({"evaluation": HOLDOUT | {"holdout": PERCENT}}, "evaluation.holdout.percent: 0 must be above 0 and below 100"),
        ({"hyperparameters": {"epochs": "0"}}, "hyperparameters.epochs: 0 must be above 0"),
        ({"hyperparameters": {"learningRate": "-1"}}, "hyperparameters.learningRate: -1 must be above 0"),
        ({"hyperparameters": {"warmup": "1.1"}}, "hyperparameters.warmup: 1.1 must be at most 1"),
        ({"hyperparameters": {"weightDecay": "-1"}}, "hyperparameters.weightDecay: -1 must be at least 0"),
        ({"hyperparameters": {"maxGradientNorm": "-1"}}, "hyperparameters.maxGradientNorm: -1 must be at least 0"),
    ],
)
def test_what_cannot_be_trained_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadConfiguration) as raised:
        require_supported(learning_config(**changes))  # type: ignore[arg-type]
    assert str(raised.value) == message


def test_all_of_it_is_named_at_once() -> None:
    config = learning_config(hyperparameters={"epochs": "0", "warmup": "2"}, dataset={"format": "Preference"})
    with pytest.raises(
        BadConfiguration, match=r"dataset.format: .*; hyperparameters.epochs: .*; hyperparameters.warmup: "
    ):
        require_supported(config)
