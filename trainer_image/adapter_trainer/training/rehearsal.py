"""Trying the longest row of a run before its first step, so that memory runs out at once and not after hours.

The gradients are thrown away, and random numbers are drawn as if nothing had happened, so the result is that of a run
without it. It is done on a GPU only. On a CPU it would take as long as a step, and memory that runs out there ends the
process, so nothing could be learned from it: see `host_memory`.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch

from adapter_trainer.examples.example import Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.dropout import drawing
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.objectives.objective import Objective, gradients
from adapter_trainer.training.passes import Passes
from adapter_trainer.training.schedule import Schedule

RowSize: TypeAlias = Callable[[Sequence[Unit]], int]


def rehearse(
    objective: Objective, model: AdaptedModel, units: Sequence[Unit], schedule: Schedule, passes: Passes
) -> None:
    """Make the budget of `passes` so small that all rows of a run fit into memory.

    Args:
        objective: what is minimised.
        model: with the weights that training begins with; they stay as they are.
        units: all that is learned from, before `Objective.begin`.
        schedule: of the run.
        passes: to compute with the model.

    Raises:
        OutOfMemory: a single unit doesn't fit.
        Interrupted: the observer wants to stop.
    """
    budget = passes.budget
    tried = None
    while budget.tokens != tried:
        tried = budget.tokens
        # Activations grow with the positions of a row, logits with its learned tokens.
        for size in (budget.size, _learned):
            _try(objective, model, _worst_batch(units, schedule, budget, size), passes, size)


def _try(objective: Objective, model: AdaptedModel, batch: Sequence[Unit], passes: Passes, size: RowSize) -> None:
    device = model.base.device

    def compute(rows: list[list[Unit]]) -> None:
        with model.dropping_out(), drawing(0):
            gradients(objective, model, max(rows, key=size), 1)

    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        passes.budget.fitting(objective.begin(model, batch, passes), compute, backward=True)


def _worst_batch(units: Sequence[Unit], schedule: Schedule, budget: RowBudget, size: RowSize) -> list[Unit]:
    """Return the units of the optimizer step that has the largest row of all."""

    def batch(step: int) -> list[Unit]:
        return [units[position] for position in schedule.batch(step)]

    steps = range(1, schedule.total_steps + 1)
    return batch(max(steps, key=lambda step: max(map(size, budget.rows(batch(step))))))


def _learned(row: Sequence[Unit]) -> int:
    return sum(unit.labelled_tokens for unit in row)
