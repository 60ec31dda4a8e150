"""Supervised fine-tuning: the likelihood of the learned tokens."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from adapter_trainer.examples.example import Example, Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.rows import Row, make_row
from adapter_trainer.training.objectives.likelihood import likelihood_metrics
from adapter_trainer.training.objectives.objective import Objective


class Supervised(Objective):
    """Every labelled token counts the same, whatever example it is in."""

    unit: ClassVar[type[Unit]] = Example

    def weight(self, units: Sequence[Unit]) -> int:
        """Return the number of learned tokens."""
        return sum(unit.labelled_tokens for unit in units)

    def loss(self, model: AdaptedModel, units: Sequence[Unit]) -> torch.Tensor:
        """Return the negative log likelihood of the learned tokens, in nats."""
        row = _row(model, units)
        return -model.label_likelihoods(row).log_probabilities.sum()

    def measure(self, model: AdaptedModel, units: Sequence[Unit]) -> dict[str, float]:
        """Return the loss, how many learned tokens are the likeliest, and how many there are."""
        row = _row(model, units)
        found = model.label_likelihoods(row)
        nats = -float(found.log_probabilities.sum())
        return {"nats": nats, "hits": int(found.hits.sum()), "labels": len(row.targets)}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return Loss (mean negative log likelihood per learned token, in nats), Perplexity and TokenAccuracy."""
        return {"Loss": sums["nats"] / sums["labels"], **likelihood_metrics(sums)}


def _row(model: AdaptedModel, units: Sequence[Unit]) -> Row:
    return make_row([sequence for unit in units for sequence in unit.sequences], model.base.device)
