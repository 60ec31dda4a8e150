"""The rows of tokens that a training computes: how long the largest are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapter_contract import TrainerConfig
from adapter_contract.recipe import PromptTuning
from adapter_trainer.estimate.device import Device
from adapter_trainer.training.packing import pack
from adapter_trainer.training.schedule import Schedule

_MOST_STEPS = 20_000
"""Rows of so many optimizer steps are looked at; what comes later is much the same."""


@dataclass(frozen=True, slots=True)
class RowSize:
    """What of a row decides about its memory.

    Attributes:
        tokens: positions, those that the adapter adds among them.
        labels: learned tokens.
        squares: the sum of the squares of the documents' lengths.
        documents: how many there are.
    """

    tokens: int
    labels: int
    squares: int
    documents: int = 1

    def __add__(self, other: "RowSize") -> "RowSize":
        return RowSize(
            self.tokens + other.tokens,
            self.labels + other.labels,
            self.squares + other.squares,
            self.documents + other.documents,
        )


NO_ROW = RowSize(0, 0, 0, 0)


def unit_sizes(config: TrainerConfig, lengths: Sequence[int], labels: Sequence[int] | None = None) -> list[RowSize]:
    """Return the sizes of what stays together in a row: examples, or pairs of a chosen and a rejected answer.

    Args:
        config: of the run.
        lengths: tokens of each sequence; both of a pair stand behind one another.
        labels: learned tokens of each; all but the first without it.
    """
    virtual = config.method.virtual_tokens if isinstance(config.method, PromptTuning) else 0
    learned = [max(0, length - 1) for length in lengths] if labels is None else labels
    sizes = [
        RowSize(length + virtual, labelled, (length + virtual) ** 2)
        for length, labelled in zip(lengths, learned, strict=True)
    ]
    if config.objective.type != "DirectPreferenceOptimization":
        return sizes
    return [chosen + rejected for chosen, rejected in zip(sizes[::2], sizes[1::2], strict=True)]


def step_rows(config: TrainerConfig, units: Sequence[RowSize], device: Device) -> Iterator[list[RowSize]]:
    """Yield, for each optimizer step, the rows that are computed, as `training.memory` divides them."""
    schedule = Schedule(len(units), config.hyperparameters)
    budget = device.row_tokens if config.hyperparameters.packing == "Enabled" else 0
    for step in range(1, min(schedule.total_steps, _MOST_STEPS) + 1):
        batch = [units[position] for position in schedule.batch(step)]
        rows = pack([unit.tokens for unit in batch], budget, pieces=device.pieces)
        yield [sum((batch[position] for position in row), NO_ROW) for row in rows]
