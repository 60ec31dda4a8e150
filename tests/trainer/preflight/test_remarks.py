"""What is said about examples that can be learned from: the sentence, the number, and when nothing is said."""

from array import array
from pathlib import Path
from typing import Any

import pytest

from adapter_contract import TrainerConfig
from adapter_testing.trainer_lab import trainer_config
from adapter_trainer.examples.example import Example
from adapter_trainer.examples.prepared import PreparedExamples
from adapter_trainer.preflight.codes import Code, Severity
from adapter_trainer.preflight.data import remarks

pytestmark = pytest.mark.unit

ONE = Example(array("i", [1, 2, 3]), ((1, 3),))


@pytest.fixture
def config(tmp_path: Path) -> TrainerConfig:
    return trainer_config(dataset={"type": "Path", "path": "/data"}, base_model="/base", output=f"file://{tmp_path}")


def prepared(examples: int = 1000, evaluated: int = 50, **changes: Any) -> PreparedExamples:
    facts: dict[str, Any] = {
        "training": (ONE,) * examples,
        "evaluation": (ONE,) * evaluated,
        "dropped": 0,
        "tokens": 3 * examples,
        "labelled_tokens": 2 * examples,
        "evaluation_digest": None,
        "detected_format": "Messages",
        "warnings": (),
        "rows": examples,
        "evaluation_rows": evaluated,
    }
    return PreparedExamples(**(facts | changes))


def test_nothing_is_said_of_good_examples(config: TrainerConfig) -> None:
    assert list(remarks(prepared(), config)) == []


FINDINGS = {
    "truncated": Code.ExamplesTruncated,
    "answer cut": Code.AnswersTruncated,
    "split": Code.ConversationsSplit,
    "answer begins otherwise": Code.AnswerBeginsOtherwise,
    "no end of turn": Code.EndOfTurnNotTrained,
    "empty answer": Code.AnswersEmpty,
    "equal answers": Code.AnswersEqual,
}


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.parametrize("count", [1, 7])
def test_what_labelling_finds_has_its_code(name: str, count: int, config: TrainerConfig) -> None:
    ((code, message, counted),) = remarks(prepared(findings={name: count}, longest=999), config)
    assert (code, counted) == (FINDINGS[name], count)
    assert message.startswith(f"dataset: {count} example{'' if count == 1 else 's'} ")


@pytest.mark.parametrize(
    ("changes", "code", "count"),
    [
        ({"examples": 499}, Code.FewExamples, 499),
        ({"dropped": 3}, Code.ExamplesDropped, 3),
        ({"duplicates": 11}, Code.DuplicateExamples, 11),
        ({"leaked": 2}, Code.EvaluationLeak, 2),
        ({"leaked_prompts": 4}, Code.EvaluationPromptLeak, 4),
        ({"evaluated": 1001}, Code.EvaluationLargerThanTraining, 1001),
        ({"remark": "dataset.format: several fit"}, Code.FormatAmbiguous, None),
    ],
)
def test_amounts_have_their_codes(
    changes: dict[str, Any], code: Code, count: int | None, config: TrainerConfig
) -> None:
    ((found, message, counted),) = remarks(prepared(**changes), config)
    assert (found, counted) == (code, count)
    assert found.value.severity is Severity.WARNING
    assert message.startswith(("dataset", "evaluation.holdout"))


def test_a_few_duplicates_are_nothing_to_say(config: TrainerConfig) -> None:
    assert list(remarks(prepared(duplicates=10), config)) == []


def test_half_an_epoch_of_less_than_a_batch_is_told(config: TrainerConfig) -> None:
    given = config.hyperparameters.model_copy(update={"epochs": "0.5", "batch_size": 501})
    ((code, message, _),) = remarks(prepared(), config.model_copy(update={"hyperparameters": given}))
    assert code is Code.LessThanOneBatch
    assert "all epochs together have 500" in message
