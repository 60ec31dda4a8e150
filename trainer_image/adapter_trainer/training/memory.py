"""The token budget of a row, and what happens when a row doesn't fit into memory.

At first layers compute again in the backward pass instead of keeping what it needs: that takes a fifth to a third more
time, and nothing that is learned changes, not by a bit. If that isn't enough, rows get smaller: sums are then rounded
otherwise, and dropout draws for other rows.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from adapter_trainer.errors import OutOfMemory
from adapter_trainer.examples.example import Unit, tokens_of
from adapter_trainer.failures import is_out_of_memory
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.checkpointing import Checkpointing
from adapter_trainer.model.parallel import PIECES
from adapter_trainer.training.packing import pack

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

CPU_TOKENS = 512
"""Larger rows are no faster there, and workers share smaller ones more evenly."""

GPU_TOKENS = 8192


class RowBudget:
    """How many tokens a row may have; it shrinks when memory runs out, and the optimizer steps stay the same.

    Attributes:
        tokens: of a row, at most; 0 gives each unit a row of its own.
        checkpointing: of the model's layers, which is switched on where memory asks for it.
        remarks: what was changed, and why: sentences for people.
    """

    def __init__(self, model: AdaptedModel, *, packing: bool) -> None:
        base = model.base
        on_cpu = base.device.type == "cpu"
        self._virtual_tokens = model.virtual_tokens
        self._pieces = PIECES if on_cpu else 1
        self.checkpointing = Checkpointing(base.model)
        self.remarks: list[str] = []
        self.tokens = (CPU_TOKENS if on_cpu else GPU_TOKENS) if packing and base.packable else 0

    def rows(self, units: Sequence[Unit], tokens: int | None = None) -> list[list[Unit]]:
        """Divide units into rows, of as many tokens as the budget has or of another number."""
        limit = self.tokens if tokens is None else tokens
        lengths = [self.size([unit]) for unit in units]
        return [[units[position] for position in row] for row in pack(lengths, limit, pieces=self._pieces)]

    def size(self, row: Sequence[Unit]) -> int:
        """Return how many positions a row of these units has, those that the adapter adds among them."""
        return sum(tokens_of(unit) + self._virtual_tokens * len(unit.sequences) for unit in row)

    def compute_again(self, because: str) -> None:
        """Let layers compute again in the backward pass.

        Args:
            because: completes the sentence `gradient checkpointing was switched on because ...`.
        """
        self.checkpointing.switch_on()
        self.remark(
            f"gradient checkpointing was switched on because {because}: steps take a fifth to a third longer, and what "
            "is learned stays the same; more memory (pod.resources, pod.gpuMemory) would spare that"
        )

    def remark(self, sentence: str) -> None:
        """Log a sentence and keep it for the training's outcome."""
        _log.info("%s", sentence)
        self.remarks.append(sentence)

    def fitting(self, units: Sequence[Unit], work: Callable[[list[list[Unit]]], Result], *, backward: bool) -> Result:
        """Do work on units in rows, from the start in less memory as often as it runs out.

        Args:
            units: to work on.
            work: on rows of them.
            backward: whether the work has a backward pass, so that layers that compute again spare memory.

        Raises:
            OutOfMemory: memory ran out though each unit had a row of its own.
        """
        while True:
            rows = self.rows(units)
            try:
                return work(rows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._take_less(rows, error, backward=backward)
            torch.cuda.empty_cache()

    def _take_less(self, rows: Sequence[Sequence[Unit]], error: Exception, *, backward: bool) -> None:
        if backward and self.checkpointing.layers and not self.checkpointing.is_on:
            self.compute_again(f"memory did not hold rows of {max(map(self.size, rows))} tokens")
            return
        shared = [self.size(row) for row in rows if len(row) > 1]
        if not shared:
            raise OutOfMemory(
                f"memory does not hold an example of {max(map(self.size, rows))} tokens: lower "
                "hyperparameters.maxSequenceLength, set quantization.type to NF4, or give more memory "
                "(pod.resources, pod.gpuMemory)"
            ) from error
        # Which row it was is not known, and not only its length counts: an example alone in its row stays.
        self.tokens = min(self.tokens, max(shared)) // 2
