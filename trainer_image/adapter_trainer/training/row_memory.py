"""What a row of tokens takes between its forward and its backward pass, measured on rows of a few tokens.

What the graph of a row holds is a polynomial in the sizes of the row: a part for the row itself (weights in another
type), for each token, for each learned token, and for each pair of tokens where attention keeps scores. Four rows of
one document each tell all of them, whatever the model and the method. The forward passes take as long as a row of some
hundred tokens.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from adapter_trainer.examples.example import UNLABELLED, Example
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.checkpointing import Checkpointing
from adapter_trainer.model.dropout import drawing
from adapter_trainer.model.rows import make_row

_PROBES = ((16, 1), (32, 1), (64, 1), (32, 31))
"""Tokens and learned tokens of the rows that are measured."""


@dataclass(frozen=True, slots=True)
class RowSize:
    """What of a row decides how much it keeps.

    Attributes:
        tokens: positions, those that the adapter adds among them.
        labels: learned tokens.
        longest: tokens of its longest document.
    """

    tokens: int
    labels: int
    longest: int


@dataclass(frozen=True, slots=True)
class RowMemory:
    """What rows keep for the backward pass; `bytes` are (per row, per token, per pair of tokens, per learned token)."""

    bytes: tuple[float, float, float, float]

    def of(self, row: RowSize) -> int:
        """Return the bytes that a row keeps, at most: as if its documents were all as long as the longest."""
        sizes = (1, row.tokens, row.tokens * row.longest, row.labels)
        return round(sum(each * size for each, size in zip(self.bytes, sizes, strict=True)))


def measure_rows(model: AdaptedModel) -> RowMemory:
    """Measure what rows of the model keep, the way it computes now; its weights stay as they are."""
    sizes = [(tokens + model.virtual_tokens, labels) for tokens, labels in _PROBES]
    kept = [_kept(model, tokens, labels) for tokens, labels in _PROBES]
    equations = [(1, tokens, tokens * tokens, labels) for tokens, labels in sizes]
    each = np.linalg.solve(np.array(equations, float), np.array(kept, float))
    row, token, pair, label = (max(0.0, float(value)) for value in each)
    return RowMemory((row, token, pair, label))


def measure_checkpointed(model: AdaptedModel, checkpointing: Checkpointing) -> RowMemory:
    """Measure the same with layers that compute again."""
    checkpointing.switch_on()
    try:
        return measure_rows(model)
    finally:
        checkpointing.switch_off()


def _kept(model: AdaptedModel, tokens: int, labels: int) -> int:
    """Return the bytes of what the graph of one document holds beside the model's weights."""
    weights = chain(model.base.model.parameters(), model.weights())
    known = {weight.untyped_storage().data_ptr() for weight in weights}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = [1] * tokens
    document = Example.of(ids, [UNLABELLED] * (tokens - labels) + ids[tokens - labels :])
    row = make_row([document], model.base.device)
    with torch.autograd.graph.saved_tensors_hooks(pack, _unpacked), model.dropping_out(), drawing(0):
        model.label_likelihoods(row)
        return sum(storage.nbytes() for storage in kept.values())


def _unpacked(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
