"""Keys and values of the rows that are being computed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache


class KVCache:
    """Keys and values of a batch: rows of different lengths, aligned at their ends, padded at their beginnings.

    So all rows grow at the same place, and rows join and leave by copying alone. Every layer keeps all tokens;
    models with sliding windows mask what is outside.

    Attributes:
        layers: what the model reads and extends, each [rows, heads, width, head size].
        lengths: tokens of each row, without padding.
    """

    def __init__(self) -> None:
        self.layers = DynamicCache()
        self.lengths: list[int] = []

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(self.lengths, default=0)

    def mask(self, new: Sequence[int], device: torch.device) -> Tensor:
        """Return where tokens are once each row has grown: [rows, width + longest], 1 for a token, 0 for padding.

        Args:
            new: tokens that come to each row. Either the cache is empty, or all are 1.
            device: of the model.
        """
        width = self.width + max(new)
        lengths = self.lengths or [0] * len(new)
        totals = torch.tensor([old + more for old, more in zip(lengths, new, strict=True)], device=device)
        return (torch.arange(width, device=device) >= width - totals[:, None]).long()

    def grown(self, new: Sequence[int]) -> None:
        """Note that the model has added so many tokens to each row."""
        lengths = self.lengths or [0] * len(new)
        self.lengths = [old + more for old, more in zip(lengths, new, strict=True)]

    def join(self, other: "KVCache") -> None:
        """Take over the rows of another cache, behind the own ones; where memory runs out, nothing has changed."""
        if not self.lengths:
            self.layers, self.lengths = other.layers, other.lengths
            return
        width = max(self.width, other.width)
        joined = [
            (_joined(mine.keys, theirs.keys, width), _joined(mine.values, theirs.values, width))
            for mine, theirs in zip(_filled(self.layers), _filled(other.layers), strict=True)
        ]
        for layer, (keys, values) in zip(_filled(self.layers), joined, strict=True):
            layer.keys, layer.values = keys, values
        self.lengths = self.lengths + other.lengths

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these, and padding that no row needs any more."""
        if len(rows) == len(self.lengths):
            return
        self.lengths = [self.lengths[row] for row in rows]
        if not rows:
            self.layers = DynamicCache()
            return
        for layer in _filled(self.layers):
            begin = layer.keys.shape[-2] - self.width
            layer.keys = layer.keys[list(rows), :, begin:]
            layer.values = layer.values[list(rows), :, begin:]


def _filled(cache: DynamicCache) -> list[Any]:
    """Return the layers that hold keys and values; some models let layers use those of another one."""
    layers: list[Any] = cache.layers
    return [layer for layer in layers if layer.is_initialized]


def _joined(first: Tensor, second: Tensor, width: int) -> Tensor:
    return torch.cat([functional.pad(states, (0, 0, width - states.shape[-2], 0)) for states in (first, second)])
