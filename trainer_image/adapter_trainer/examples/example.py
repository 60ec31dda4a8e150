"""What the training loop learns from: tokens, and which of them are learned.

A dataset of millions of tokens stays in memory as these, so they are compact: four bytes per token, and the learned
ones as spans.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

UNLABELLED = -100
"""The label of a token that is read, but not learned: the value that PyTorch's losses ignore."""

Span: TypeAlias = tuple[int, int]
"""Positions from the first to before the second."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence of token ids.

    Attributes:
        tokens: ids, one per position, as 32-bit integers.
        learned: which positions are learned: spans in ascending order that neither touch nor overlap. The first
            position is in none: nothing stands before it to predict it from.
    """

    tokens: "array[int]"
    learned: tuple[Span, ...]

    @classmethod
    def of(cls, tokens: Iterable[int], labels: Sequence[int]) -> "Example":
        """Return the example in which a token is learned where its label is not `UNLABELLED`."""
        spans: list[Span] = []
        for position, label in enumerate(labels):
            if label == UNLABELLED or position == 0:
                continue
            if spans and spans[-1][1] == position:
                spans[-1] = (spans[-1][0], position + 1)
            else:
                spans.append((position, position + 1))
        return cls(array("i", tokens), tuple(spans))

    @property
    def labels(self) -> list[int]:
        """The label of each position: the token's own id where it is learned, else `UNLABELLED`; not shifted."""
        labels = [UNLABELLED] * len(self.tokens)
        for start, end in self.learned:
            labels[start:end] = self.tokens[start:end]
        return labels

    @property
    def labelled_tokens(self) -> int:
        """How many tokens are learned."""
        return sum(end - start for start, end in self.learned)

    @property
    def sequences(self) -> "tuple[Example, ...]":
        """Itself: what has to stand in one row of tokens."""
        return (self,)


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two answers to one prompt, of which the first is preferred; in each, the answer's tokens are the learned ones."""

    chosen: Example
    rejected: Example

    @property
    def labelled_tokens(self) -> int:
        """How many tokens both answers have."""
        return self.chosen.labelled_tokens + self.rejected.labelled_tokens

    @property
    def sequences(self) -> tuple[Example, ...]:
        """What has to stand in one row of tokens: the chosen one, then the rejected one."""
        return (self.chosen, self.rejected)


Unit: TypeAlias = Example | PreferencePair
"""What counts as one example: it is never divided between optimizer steps or rows."""


def tokens_of(unit: Unit) -> int:
    """Return how many tokens a unit has."""
    return sum(len(example.tokens) for example in unit.sequences)
