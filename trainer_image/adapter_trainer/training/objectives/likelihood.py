"""Metrics of how likely a model finds tokens, the same under every objective."""

import math
from collections.abc import Mapping

_LARGEST_EXPONENT = 200.0
"""Perplexity is cut at e^200, so that it stays a number that JSON and gates can hold."""


def likelihood_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Return Perplexity and TokenAccuracy.

    Perplexity is e to the mean negative log likelihood per token; TokenAccuracy is the share of tokens that the model
    thinks likeliest, given all tokens before.

    Args:
        sums: over all tokens that count: `nats` (negative log likelihood), `hits` (that were the likeliest), `labels`
            (how many there are).
    """
    mean = sums["nats"] / sums["labels"]
    return {
        "Perplexity": math.exp(min(mean, _LARGEST_EXPONENT)),
        "TokenAccuracy": sums["hits"] / sums["labels"],
    }
