"""What every objective offers to the training loop and to the evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from adapter_trainer.errors import BadConfiguration
from adapter_trainer.examples.example import Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.training.passes import Passes


class Objective(ABC):
    """A loss that is a weighted mean over units, so that it can be summed row by row, whatever the rows are.

    Attributes:
        unit: the type of the units that it learns from.
    """

    unit: ClassVar[type[Unit]]

    def begin(
        self,
        model: AdaptedModel,  # noqa: ARG002 - for objectives with a reference
        units: Sequence[Unit],
        passes: Passes,  # noqa: ARG002 - likewise
    ) -> Sequence[Unit]:
        """Return the units as the other methods want them; called before anything is learned.

        Args:
            model: with the weights that training begins with.
            units: all of one kind, in order.
            passes: to compute with the model.

        Raises:
            BadConfiguration: units of another type.
            Interrupted, OutOfMemory: from the passes.
        """
        if not all(isinstance(unit, self.unit) for unit in units):
            raise BadConfiguration(
                f"objective.type: it learns from examples of type {self.unit.__name__}, but dataset.format gives "
                "others: change one of them"
            )
        return units

    @abstractmethod
    def weight(self, units: Sequence[Unit]) -> int:
        """Return how much units count in the mean: for those of an optimizer step, the divisor of their losses."""

    @abstractmethod
    def loss(self, model: AdaptedModel, units: Sequence[Unit]) -> torch.Tensor:
        """Return the sum of the losses of the units of one row, a scalar with a gradient."""

    @abstractmethod
    def measure(self, model: AdaptedModel, units: Sequence[Unit]) -> dict[str, float]:
        """Return sums over the units of one row, from which `metrics` are made once all rows are added up."""

    @abstractmethod
    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return metrics by their names in the API; `Loss` always is one of them."""


def gradients(
    objective: Objective, model: AdaptedModel, units: Sequence[Unit], divisor: int
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Compute the share of a row in the mean loss of a whole optimizer step.

    Args:
        objective: what is minimised.
        model: whose weights are asked about.
        units: those of the row.
        divisor: the weight of all units of the step.

    Returns:
        The share, a scalar, and its gradients in the order of the model's weights.
    """
    loss = objective.loss(model, units) / divisor
    return loss.detach(), torch.autograd.grad(loss, model.weights())
