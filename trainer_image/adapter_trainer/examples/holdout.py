"""Which examples are held out of training, to evaluate on."""

from collections.abc import Sequence

from adapter_contract import as_decimal
from adapter_trainer.examples.refusals import TooFewToHoldOut


def held_out(digests: Sequence[bytes], percent: str) -> list[int]:
    """Choose examples by their digests: the lowest ones, whatever the order of the data.

    Equal examples stay on one side, so that none is both learned and measured. At least one example is held out and
    at least one is left.

    Args:
        digests: one per example.
        percent: share of the different examples, in percent, as a decimal string.

    Returns:
        Positions in `digests`, ordered by digest.

    Raises:
        TooFewToHoldOut: fewer than two different examples.
    """
    different = sorted(set(digests))
    if len(different) < 2:
        raise TooFewToHoldOut(
            "evaluation.holdout.percent: the dataset has fewer than two different examples that can be learned from, "
            "so that none can be held out: give more examples, or remove evaluation"
        )
    share = round(len(different) * as_decimal(percent) / 100)
    chosen = set(different[: min(max(share, 1), len(different) - 1)])
    positions = [position for position, digest in enumerate(digests) if digest in chosen]
    return sorted(positions, key=lambda position: digests[position])
