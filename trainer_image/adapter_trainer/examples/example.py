"""What the training loop learns from: tokens, and which of them are learned."""

from dataclasses import dataclass

UNLABELLED = -100
"""The label of a token that is read, but not learned: the value that PyTorch's losses ignore."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence of token ids.

    Attributes:
        tokens: ids, one per position.
        labels: of the same length and aligned with `tokens`, not shifted: the token's own id where it is learned,
            else `UNLABELLED`.
    """

    tokens: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def labelled_tokens(self) -> int:
        """How many tokens are learned. The first one never is: nothing stands before it to predict it from."""
        return sum(label != UNLABELLED for label in self.labels[1:])
