"""Rows of tokens as tensors, and what is computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from adapter_trainer.examples.example import UNLABELLED, Example
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.lora import TrainableModel


@dataclass(frozen=True, slots=True)
class Row:
    """Documents behind one another.

    Attributes:
        ids, positions: [1, tokens]; positions begin at 0 in each document.
        lengths: tokens of each document.
        before: [labels], where in the row the token before each learned one stands: its output predicts that one.
        targets: [labels], the ids of the learned tokens.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    lengths: list[int]
    before: torch.Tensor
    targets: torch.Tensor


def make_row(examples: Sequence[Example], device: torch.device) -> Row:
    """Lay examples behind one another."""
    ids: list[int] = []
    positions: list[int] = []
    before: list[int] = []
    targets: list[int] = []
    for example in examples:
        offset = len(ids)
        ids += example.tokens
        positions += range(len(example.tokens))
        for position, label in enumerate(example.labels[1:]):
            if label != UNLABELLED:
                before.append(offset + position)
                targets.append(label)
    tensors = [torch.tensor(values, device=device) for values in ([ids], [positions], before, targets)]
    return Row(tensors[0], tensors[1], [len(example.tokens) for example in examples], tensors[2], tensors[3])


def label_logits(base: BaseModel, row: Row) -> torch.Tensor:
    """Return the logits for the learned tokens, [labels, vocabulary], in float32.

    The model's head computes no others: that spares a tenth of the time, and memory that grows with the vocabulary.
    """
    documents = {"document_lengths": row.lengths} if base.packable else {}
    with base.computing():
        output = base.model(
            input_ids=row.ids, position_ids=row.positions, logits_to_keep=row.before, use_cache=False, **documents
        )
    logits: torch.Tensor = output.logits
    return logits[0].float()


def gradients(
    model: TrainableModel, examples: Sequence[Example], labelled: int
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Compute the share of a row in the mean loss per labelled token of a whole optimizer step.

    Args:
        model: whose weights are asked about.
        examples: the documents of the row.
        labelled: learned tokens of the whole step.

    Returns:
        The share, a scalar in nats, and its gradients in the order of the model's weights.
    """
    row = make_row(examples, model.base.device)
    loss = functional.cross_entropy(label_logits(model.base, row), row.targets, reduction="sum") / labelled
    return loss.detach(), torch.autograd.grad(loss, list(model.weights()))
