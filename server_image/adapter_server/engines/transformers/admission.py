"""Which of the waiting requests are computed next."""

from collections.abc import Sequence, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting request: the tokens to compute first, and its adapter's engine name."""

    tokens: int
    adapter: str | None


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """See EngineSettings for what they mean."""

    max_batch_size: int
    max_active_adapters: int
    max_prefill_tokens: int


def admit(waiting: Sequence[Candidate], *, running: int, active_adapters: Set[str], limits: AdmissionLimits) -> int:
    """Return how many of the waiting requests, from the first on, can be computed together with the running ones.

    Nobody is overtaken, so that nobody waits for ever: a request whose adapter is one too many stops those behind
    it, too. One prompt is let in however long it is.

    Args:
        waiting: in the order of their arrival.
        running: how many requests are being computed.
        active_adapters: engine names of the adapters that these use.
        limits: of the engine.
    """
    active = set(active_adapters)
    longest = 0
    for count, candidate in enumerate(waiting):
        if candidate.adapter is not None:
            active.add(candidate.adapter)
        longest = max(longest, candidate.tokens)
        full = running + count >= limits.max_batch_size or len(active) > limits.max_active_adapters
        if full or (count > 0 and longest * (count + 1) > limits.max_prefill_tokens):
            return count
    return len(waiting)
