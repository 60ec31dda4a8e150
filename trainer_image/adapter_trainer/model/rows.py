"""Rows of tokens as tensors: several documents behind one another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from adapter_trainer.examples.example import Example


@dataclass(frozen=True, slots=True)
class Row:
    """Documents behind one another.

    Attributes:
        ids, positions: [1, tokens]; positions begin at 0 in each document.
        lengths: tokens of each document.
        before: [labels], where in the row the token before each learned one stands: its output predicts that one.
        targets: [labels], the ids of the learned tokens.
        labels: how many learned tokens each document has, in the order of `targets`.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    lengths: list[int]
    before: torch.Tensor
    targets: torch.Tensor
    labels: list[int]


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
        for start, end in example.learned:
            before += range(offset + start - 1, offset + end - 1)
            targets += example.tokens[start:end]
    tensors = [torch.tensor(values, device=device) for values in ([ids], [positions], before, targets)]
    lengths = [len(example.tokens) for example in examples]
    labels = [example.labelled_tokens for example in examples]
    return Row(tensors[0], tensors[1], lengths, tensors[2], tensors[3], labels)


def behind_virtual_tokens(row: Row, count: int) -> Row:
    """Return where the documents' tokens stand once `count` virtual tokens stand before each of them.

    Positions and lengths count the virtual tokens; the ids stay those of the real ones.
    """
    places = torch.arange(max(row.lengths, default=0) + count, device=row.ids.device)
    lengths = [length + count for length in row.lengths]
    labels = torch.tensor(row.labels, device=row.ids.device)
    shifts = torch.arange(1, len(lengths) + 1, device=row.ids.device) * count
    return replace(
        row,
        positions=torch.cat([places[:length] for length in lengths])[None],
        lengths=lengths,
        before=row.before + shifts.repeat_interleave(labels),
    )
