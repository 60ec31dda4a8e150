"""How likely a model's head makes the learned tokens, without keeping logits.

Logits take `vocabulary` numbers per learned token, several times over until their gradients are computed. Here they
are computed for a few hundred tokens at once. What a token's log probability changes by with its hidden state is
computed together with it, so that nothing of the size of the vocabulary is left for the backward pass.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

_CHUNK_NUMBERS = 1 << 23
"""How many logits are computed at once."""


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Of the learned tokens of a row.

    Attributes:
        log_probabilities: [labels], in nats, float32, with a gradient.
        hits: [labels], whether the model thinks the target likeliest.
    """

    log_probabilities: torch.Tensor
    hits: torch.Tensor


def head_likelihoods(hidden: torch.Tensor, head: nn.Linear, targets: torch.Tensor) -> Likelihoods:
    """Return how likely a frozen head makes each target.

    Args:
        hidden: [labels, size], the states that predict the targets, in the type of the head's weight.
        head: [vocabulary, size].
        targets: [labels], ids.
    """
    found = _Likelihoods.apply(hidden, head.weight, head.bias, targets)  # type: ignore[no-untyped-call]  # torch's
    return Likelihoods(*found)


def logits_likelihoods(logits: torch.Tensor, targets: torch.Tensor) -> Likelihoods:
    """Return how likely logits, [labels, vocabulary], make each target."""
    log_probabilities = torch.log_softmax(logits.float(), -1).gather(1, targets[:, None]).squeeze(1)
    return Likelihoods(log_probabilities, logits.argmax(-1) == targets)


def head_of(model: PreTrainedModel) -> nn.Module | None:
    """Return what makes logits of a model's last states."""
    head: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]  # transformers'
    return head


def decoder_of(model: PreTrainedModel) -> nn.Module:
    """Return what makes a model's last states; the model itself where it has no such part."""
    decoder: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]  # transformers'
    return decoder


@torch.no_grad()
def has_plain_head(model: PreTrainedModel) -> bool:
    """Tell whether a model's logits are its head's outputs as they are, neither scaled nor capped.

    That is tried out: both ways must give the same, bit for bit.
    """
    head, decoder = head_of(model), decoder_of(model)
    if type(head) is not nn.Linear or head.weight.requires_grad or decoder is model:
        return False
    ids = torch.arange(8, device=model.device)[None] % head.weight.shape[0]
    hidden: torch.Tensor = decoder(input_ids=ids, use_cache=False).last_hidden_state
    return torch.equal(head(hidden), model(input_ids=ids, use_cache=False).logits)


class _Likelihoods(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        size = max(1, _CHUNK_NUMBERS // weight.shape[0])
        likely, hits, slopes = [], [], []
        for states, wanted in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
            logits = torch.mm(states, weight.t()) if bias is None else torch.addmm(bias, states, weight.t())
            target = logits.gather(1, wanted[:, None]).float()
            highest, first = logits.max(-1, keepdim=True)
            hits.append(first.squeeze(1) == wanted)
            shares = torch.softmax(logits, -1, dtype=torch.float32)
            # The highest share is never too small for its logarithm.
            total = highest.float() - shares.gather(1, first).log_()
            likely.append((target - total).squeeze(1))
            if ctx.needs_input_grad[0]:
                # How the target's log probability changes: its own row of the weight, less the mean of all rows. The
                # target's share is taken from 1 before it is rounded: where it is nearly 1, nothing would be left.
                shares.neg_().scatter_add_(1, wanted[:, None], torch.ones_like(target))
                slopes.append(torch.mm(shares.to(weight.dtype), weight))
        if slopes:
            ctx.save_for_backward(torch.cat(slopes))
        found = torch.cat(likely), torch.cat(hits)
        ctx.mark_non_differentiable(found[1])
        return found

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        (slopes,) = ctx.saved_tensors
        return (slopes * gradient[:, None]).to(slopes.dtype), None, None, None
