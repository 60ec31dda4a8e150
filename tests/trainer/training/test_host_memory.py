"""On a CPU, memory is looked at before the first step: what runs out there ends the process."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapter_contract import TrainerConfig
from adapter_testing.families_lab import family_base
from adapter_testing.learning_lab import FLOAT32, Recorder, example, learning_config, prepared
from adapter_trainer.memory_limit import available_memory
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.training.observer import TrainingOutcome
from adapter_trainer.training.row_memory import RowSize, _kept, measure_rows
from adapter_trainer.training.run import train

pytestmark = pytest.mark.integration

MIB = 1 << 20
LIMIT = 9 * MIB // 2
"""Between what a step keeps with layers that compute again, and without."""
EXAMPLES = prepared([example([(7 * one + place) % 90 + 3 for place in range(100)]) for one in range(12)])
"""Of 100 tokens each, so that a step of 12 has rows of 300."""


@pytest.fixture
def control_group(tmp_path: Path) -> Callable[[int], Path]:
    def made(left: int) -> Path:
        directory = tmp_path / "group"
        directory.mkdir()
        (directory / "memory.max").write_text(f"{1000 * MIB}\n")
        (directory / "memory.current").write_text(f"{1000 * MIB - left}\n")
        (directory / "memory.stat").write_text("anon 5\ninactive_file 0\nactive_file 0\nfile_mapped 0\n")
        return directory

    return made


def configured(**hyperparameters: object) -> TrainerConfig:
    return learning_config(hyperparameters={"batchSize": 12, "epochs": "2", **hyperparameters})


def adapted(config: TrainerConfig) -> AdaptedModel:
    """Return a model of many layers, so that what one of them keeps is little."""
    return attach_adapter(family_base("llama", FLOAT32, num_hidden_layers=12), config.method, parent=None, seed=0)


def trained(left: Callable[[], int | None], **given: object) -> tuple[AdaptedModel, TrainingOutcome]:
    config = configured(**given)
    model = adapted(config)
    return model, train(model, EXAMPLES, config, Recorder(), available=left)


def equal_weights(one: AdaptedModel, other: AdaptedModel) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one.weights(), other.weights(), strict=True))


def test_where_nothing_is_known_or_there_is_enough_nothing_changes() -> None:
    for left in (None, 100_000 * MIB):
        _, outcome = trained(lambda left=left: left)
        assert outcome.warnings == ()
        assert outcome.micro_batch_tokens == 512


def test_a_limit_of_the_container_lets_layers_compute_again(control_group: Callable[[int], Path]) -> None:
    plain, _ = trained(lambda: None)
    group = control_group(LIMIT)
    model, outcome = trained(lambda: available_memory(group))
    (remark,) = outcome.warnings
    assert "gradient checkpointing was switched on because the training would need about" in remark
    assert outcome.micro_batch_tokens == 512
    assert equal_weights(model, plain)


def test_where_that_is_not_enough_rows_are_smaller() -> None:
    _, outcome = trained(lambda: 1)
    assert outcome.micro_batch_tokens == 64
    assert [warning.split()[0] for warning in outcome.warnings] == ["gradient", "rows", "memory"]
    _, expected = trained(lambda: None)
    assert [point.loss for point in outcome.curve] == pytest.approx([point.loss for point in expected.curve], rel=1e-3)


def test_rows_without_packing_stay_as_they_are() -> None:
    _, outcome = trained(lambda: 1, packing="Disabled")
    assert outcome.micro_batch_tokens is None
    assert [warning.split()[0] for warning in outcome.warnings] == ["gradient", "memory"]


@pytest.mark.parametrize(("tokens", "labels"), [(100, 1), (200, 150), (7, 6)])
def test_rows_of_a_few_tokens_tell_what_others_keep(tokens: int, labels: int) -> None:
    config = configured()
    model = adapted(config)
    expected = measure_rows(model).of(RowSize(tokens, labels, tokens))
    assert _kept(model, tokens, labels) == pytest.approx(expected, rel=0.01)
