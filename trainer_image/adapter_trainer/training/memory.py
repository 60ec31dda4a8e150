"""The token budget of a row, and what happens when a row doesn't fit into the accelerator's memory."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from adapter_trainer.errors import OutOfMemory
from adapter_trainer.examples.example import Example
from adapter_trainer.failures import is_out_of_memory
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.parallel import PIECES
from adapter_trainer.training.packing import pack

Result = TypeVar("Result")

CPU_TOKENS = 512
"""Larger rows are no faster there, and workers share smaller ones more evenly."""

GPU_TOKENS = 8192


class RowBudget:
    """How many tokens a row may have; it shrinks when memory runs out, and the optimizer steps stay the same."""

    def __init__(self, base: BaseModel, *, packing: bool) -> None:
        on_cpu = base.device.type == "cpu"
        self._pieces = PIECES if on_cpu else 1
        self.tokens = (CPU_TOKENS if on_cpu else GPU_TOKENS) if packing and base.packable else 0

    def rows(self, examples: Sequence[Example]) -> list[list[Example]]:
        """Divide examples into rows."""
        lengths = [len(example.tokens) for example in examples]
        return [[examples[position] for position in row] for row in pack(lengths, self.tokens, pieces=self._pieces)]

    def fitting(self, examples: Sequence[Example], work: Callable[[list[list[Example]]], Result]) -> Result:
        """Do work on examples in rows, with smaller rows from the start as often as memory runs out.

        Raises:
            OutOfMemory: a single example doesn't fit.
        """
        while True:
            rows = self.rows(examples)
            try:
                return work(rows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                widest = max(rows, key=lambda row: sum(len(example.tokens) for example in row))
                tokens = sum(len(example.tokens) for example in widest)
                if len(widest) == 1:
                    raise OutOfMemory(
                        f"memory does not hold an example of {tokens} tokens: lower hyperparameters.maxSequenceLength, "
                        "set quantization.type to NF4, or give more memory (pod.resources, pod.gpuMemory)"
                    ) from error
                self.tokens = min(self.tokens, tokens) // 2
            torch.cuda.empty_cache()
