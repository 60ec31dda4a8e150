import pytest
import torch
from torch import nn

from adapter_contract import EvaluationConfig
from adapter_testing.learning_lab import HOLDOUT, learning_config
from adapter_trainer.training.observer import EvaluationPoint
from adapter_trainer.training.selection import Selection

pytestmark = pytest.mark.unit


def evaluation(**changes: object) -> EvaluationConfig:
    config = learning_config(evaluation=HOLDOUT | changes).evaluation
    assert config is not None
    return config


def follow(config: EvaluationConfig, metric: str, values: list[float]) -> tuple[Selection, nn.Parameter, list[bool]]:
    """Evaluate weights that hold the step's number; return also whether patience was at its end after each."""
    weight = nn.Parameter(torch.zeros(1))
    selection = Selection(config)
    exhausted = []
    for step, value in enumerate(values, start=1):
        weight.data.fill_(step)
        selection.add(EvaluationPoint(step, {metric: value}), [weight])
        exhausted.append(selection.is_exhausted)
    return selection, weight, exhausted


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("Loss", [3.0, 1.0, 2.0], 2),
        ("Perplexity", [3.0, 3.0, 4.0], 1),
        ("TokenAccuracy", [0.1, 0.3, 0.2], 2),
        ("TokenAccuracy", [0.1, 0.2, 0.3], 3),
    ],
)
def test_the_best_weights_come_back(metric: str, values: list[float], best: int) -> None:
    selection, weight, _ = follow(evaluation(selectBest={"metric": metric}), metric, values)
    assert selection.restore([weight]) == EvaluationPoint(best, {metric: values[best - 1]})
    assert weight.item() == best
    assert weight.requires_grad


def test_without_a_choice_the_last_weights_stay() -> None:
    selection, weight, exhausted = follow(evaluation(), "Loss", [1.0, 2.0, 3.0])
    assert selection.restore([weight]) is None
    assert weight.item() == 3
    assert exhausted == [False] * 3


def test_without_an_evaluation_there_is_nothing_to_choose() -> None:
    assert Selection(evaluation(selectBest={"metric": "Loss"})).restore([]) is None


def test_patience_counts_evaluations_without_a_better_value() -> None:
    config = evaluation(earlyStopping={"patience": 2})
    assert follow(config, "Loss", [3.0, 3.0, 2.0, 2.5, 2.0])[2] == [False, False, False, False, True]
