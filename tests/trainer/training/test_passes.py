from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapter_testing.learning_lab import FLOAT32, Recorder, examples_of, lora
from adapter_trainer.errors import Interrupted
from adapter_trainer.examples.example import Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.parallel import Workers
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.passes import Passes

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> AdaptedModel:
    return attach_adapter(load_base(tiny_base, FLOAT32), lora(), parent=None, seed=0)


def passes(model: AdaptedModel, *, tokens: int, stop: Callable[[Recorder], bool] = lambda _: False) -> Passes:
    budget = RowBudget(model, packing=True)
    budget.tokens = tokens
    return Passes(budget, Workers(None, 1), Recorder(stop=stop))


def test_every_unit_is_in_one_row_and_the_longest_rows_come_first(model: AdaptedModel) -> None:
    units = examples_of(20)
    made = passes(model, tokens=60)
    rows = made.over(units, list)
    sizes = [made.budget.size(row) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]
    assert sorted(id(unit) for row in rows for unit in row) == sorted(map(id, units))


def test_what_came_of_larger_rows_is_forgotten_where_memory_runs_out(model: AdaptedModel) -> None:
    units = examples_of(20)
    made = passes(model, tokens=60)
    done: list[int] = []

    def work(row: list[Unit]) -> int:
        done.append(made.budget.size(row))
        if len(done) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return done[-1]

    assert sum(made.over(units, work)) == sum(len(unit.tokens) for unit in units)
    assert made.budget.tokens <= 30
    assert max(done[2:]) <= 30


def test_the_observer_is_asked_before_each_row(model: AdaptedModel) -> None:
    done: list[list[Unit]] = []
    made = passes(model, tokens=60, stop=lambda recorder: recorder.asked == 3)
    with pytest.raises(Interrupted):
        made.over(examples_of(20), done.append)
    assert len(done) == 2
