"""Passes over units in which nothing is learned: evaluations, and the likelihoods of a reference."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adapter_trainer.errors import Interrupted
from adapter_trainer.examples.example import Unit
from adapter_trainer.model.parallel import Workers
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.observer import Observer

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Passes:
    """What passes are made with.

    Attributes:
        budget: of rows; it shrinks when memory runs out.
        side_by_side: who computes rows.
        observer: who may stop a pass, between any two rows.
    """

    budget: RowBudget
    side_by_side: Workers
    observer: Observer

    def over(self, units: Sequence[Unit], work: Callable[[list[Unit]], Result]) -> list[Result]:
        """Do work on units, row by row; the longest rows come first, so that memory runs out at once or not at all.

        Returns:
            What came of each row; all of them are of the same budget.

        Raises:
            Interrupted: the observer wants to stop.
            OutOfMemory: a single unit doesn't fit.
        """

        def all_rows(rows: list[list[Unit]]) -> list[Result]:
            longest_first = sorted(rows, key=self.budget.size, reverse=True)
            return list(self.side_by_side.map(work, self._until_stopped(longest_first)))

        return self.budget.fitting(units, all_rows, backward=False)

    def _until_stopped(self, rows: list[list[Unit]]) -> Iterator[list[Unit]]:
        for row in rows:
            if self.observer.stop_requested():
                raise Interrupted("the training was asked to stop")
            yield row
