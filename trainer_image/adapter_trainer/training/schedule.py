"""Which examples each optimizer step learns from, and how fast. Pure: a step's share depends on its number alone."""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

from adapter_contract import Hyperparameters, as_decimal, as_float


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps of a run.

    The passes over the data lie behind one another as one long sequence of examples, each pass in an order of its own,
    and every step takes the next `batch_size` of it; only the last step may take fewer.

    Attributes:
        examples: how many training examples there are, at least one.
        hyperparameters: epochs, batch size, learning rate and the rest.
    """

    examples: int
    hyperparameters: Hyperparameters

    @property
    def total_steps(self) -> int:
        """How many optimizer steps the run has, at least one."""
        steps = math.ceil(self._total_examples / self.hyperparameters.batch_size)
        limit = self.hyperparameters.max_steps
        return steps if limit is None else min(steps, limit)

    @property
    def _total_examples(self) -> int:
        return max(1, math.ceil(self.examples * as_decimal(self.hyperparameters.epochs)))

    def batch(self, step: int) -> list[int]:
        """Return the positions of the examples that step 1, 2, ... learns from."""
        size = self.hyperparameters.batch_size
        numbers = range((step - 1) * size, min(step * size, self._total_examples))
        return [self._example(number) for number in numbers]

    def epoch(self, step: int) -> float:
        """Return how many passes over the data are done after a step."""
        return min(step * self.hyperparameters.batch_size, self._total_examples) / self.examples

    def ends_epoch(self, step: int) -> bool:
        """Tell whether a pass over the data ended with a step."""
        return math.floor(self.epoch(step)) > math.floor(self.epoch(step - 1))

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of step 1, 2, ...: up to the peak, then down towards 0 unless constant."""
        peak = as_float(self.hyperparameters.learning_rate)
        total = self.total_steps
        rising = math.ceil(total * as_decimal(self.hyperparameters.warmup))
        if step <= rising:
            return peak * step / rising
        left = (total - step + 1) / (total - rising)
        if self.hyperparameters.scheduler == "Cosine":
            return peak * 0.5 * (1 - math.cos(math.pi * left))
        return peak * left if self.hyperparameters.scheduler == "Linear" else peak

    def _example(self, number: int) -> int:
        epoch, position = divmod(number, self.examples)
        return _order(self.hyperparameters.seed, epoch, self.examples)[position]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, examples: int) -> list[int]:
    """Return a shuffled order, by digests: no generator's state to keep, and the same under every version."""

    def key(example: int) -> bytes:
        return hashlib.sha256(f"{seed}/{epoch}/{example}".encode()).digest()

    return sorted(range(examples), key=key)
