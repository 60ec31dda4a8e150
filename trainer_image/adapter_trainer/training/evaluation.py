"""Measuring held-out examples, token by token."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional

from adapter_trainer.errors import Diverged, Interrupted
from adapter_trainer.examples.example import Example
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.parallel import Workers
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.observer import Observer
from adapter_trainer.training.rows import label_logits, make_row

_LARGEST_EXPONENT = 200.0
"""Perplexity is cut at e^200, so that it stays a number that JSON and gates can hold."""


def evaluate(
    base: BaseModel, examples: Sequence[Example], budget: RowBudget, side_by_side: Workers, observer: Observer
) -> dict[str, float]:
    """Measure the weights as they are; every labelled token counts the same, whatever example it is in.

    Returns:
        Loss (mean negative log likelihood per labelled token, in nats), Perplexity (e to the loss), and TokenAccuracy
        (share of labelled tokens that the model thinks likeliest, given all tokens before).

    Raises:
        Interrupted: the observer wants to stop.
        Diverged: the loss is not finite.
    """

    def until_stopped(rows: list[list[Example]]) -> Iterator[list[Example]]:
        for row in rows:
            if observer.stop_requested():
                raise Interrupted("the training was asked to stop during an evaluation")
            yield row

    def measure(rows: list[list[Example]]) -> tuple[float, int, int]:
        measured = list(side_by_side.map(lambda row: _measure(base, row), until_stopped(rows)))
        return sum(item[0] for item in measured), sum(item[1] for item in measured), sum(item[2] for item in measured)

    loss, hits, count = budget.fitting(examples, measure)
    mean = loss / count
    if not math.isfinite(mean):
        raise Diverged(f"the loss on the evaluation set is {mean}: lower hyperparameters.learningRate")
    return {"Loss": mean, "Perplexity": math.exp(min(mean, _LARGEST_EXPONENT)), "TokenAccuracy": hits / count}


def _measure(base: BaseModel, examples: Sequence[Example]) -> tuple[float, int, int]:
    """Return the summed loss, the labels that are likeliest, and all labels."""
    row = make_row(examples, base.device)
    with torch.no_grad():
        logits = label_logits(base, row)
        loss = functional.cross_entropy(logits, row.targets, reduction="sum")
        hits = (logits.argmax(-1) == row.targets).sum()
    return float(loss), int(hits), len(row.targets)
