"""How much a training computes. How long that takes is known only where the device's speed is.

Preflight sees no GPU, and what share of its nominal speed a training reaches differs several times over between models,
lengths and kernels, so no time is made up for it: steps, tokens and operations are what is known. On a machine that has
computed, tokens or operations per second turn them into a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapter_contract import TrainerConfig
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.estimate.adapter import trainable_parameters
from adapter_trainer.estimate.rows import unit_sizes
from adapter_trainer.training.schedule import Schedule


@dataclass(frozen=True, slots=True)
class TrainingWork:
    """What a training computes, evaluations left out.

    Attributes:
        steps: optimizer steps.
        tokens: positions that pass through the model.
        operations: floating point operations, an addition and a multiplication counted as two.
    """

    steps: int
    tokens: int
    operations: int

    def seconds(self, operations_per_second: float) -> float:
        """Return how long it takes at a speed that was measured on the device, in a training much like this one."""
        return self.operations / operations_per_second


def training_work(
    shape: ModelShape, config: TrainerConfig, lengths: Sequence[int], labels: Sequence[int] | None = None
) -> TrainingWork:
    """Count what a training computes.

    A linear layer takes two operations per weight and token forward, and two backward, since frozen weights have no
    gradients; an adapter's four backward. Attention takes four per pair of positions, half of which are masked, and
    twice that backward. The head is computed for learned tokens alone.

    Args:
        shape: of the base model.
        config: of the run.
        lengths: tokens of each sequence; both of a pair stand behind one another.
        labels: learned tokens of each; all tokens without it.

    Raises:
        BadConfiguration: a module that the method names doesn't exist or can't be adapted.
    """
    units = unit_sizes(config, lengths, labels)
    schedule = Schedule(len(units), config.hyperparameters)
    seen = min(
        schedule.total_steps * config.hyperparameters.batch_size,
        float(config.hyperparameters.epochs) * len(units),
    )
    passes = seen / len(units)
    tokens, learned, squares = (sum(getattr(unit, name) for unit in units) for name in ("tokens", "labels", "squares"))
    per_token = 4 * shape.linear_parameters + 6 * trainable_parameters(shape, config.method)
    attention = (2 + 4) * shape.layers * shape.attention_heads * shape.head_dim * squares
    head = 4 * shape.vocabulary_size * shape.hidden_size * learned
    return TrainingWork(
        schedule.total_steps, round(passes * tokens), round(passes * (per_token * tokens + attention + head))
    )
