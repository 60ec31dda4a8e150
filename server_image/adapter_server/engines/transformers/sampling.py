"""Which token comes next, given the model's logits of one row."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adapter_server.engines.engine import GenerationRequest


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws tokens for one request, from a random generator of its own: neighbours in a batch change nothing.

    Attributes:
        generator: on the CPU; None takes the most likely token.
    """

    temperature: float
    top_p: float
    generator: torch.Generator | None

    @classmethod
    def of(cls, request: GenerationRequest) -> "Sampler":
        """Return the sampler of a request."""
        if request.temperature == 0:
            return cls(0.0, 1.0, None)
        generator = torch.Generator()
        if request.seed is None:
            generator.seed()
        else:
            generator.manual_seed(request.seed)
        return cls(request.temperature, request.top_p, generator)

    def choose(self, logits: Tensor) -> int:
        """Return the next token.

        Args:
            logits: [vocabulary], float32, on the CPU; finite at its maximum.
        """
        if self.generator is None:
            return int(logits.argmax())
        probabilities = token_probabilities(logits, self.temperature, self.top_p)
        return int(torch.multinomial(probabilities, 1, generator=self.generator))


def token_probabilities(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Return what is drawn from: [vocabulary], not normalized where `top_p` cuts.

    Nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751): the smallest set of the most likely tokens whose
    probabilities add up to `top_p`.
    """
    # Less the maximum first: a tiny temperature then gives -inf for all others, never inf - inf.
    probabilities = torch.softmax((logits - logits.max()) / temperature, dim=-1)
    if top_p >= 1:
        return probabilities
    ordered, tokens = probabilities.sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    cut = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(probabilities).scatter_(0, tokens, cut)
