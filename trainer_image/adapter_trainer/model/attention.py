"""Causal attention inside each document of a row that holds several.

Documents of one optimizer step are laid behind one another in a row, without padding. Each attends to itself alone,
because attention is computed document by document: that gives, bit for bit, what each document gives by itself, which a
block-diagonal mask over the whole row doesn't.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

IMPLEMENTATION = "per_document_causal"
"""Name under which transformers knows `per_document_attention`."""

_UNSUPPORTED = ("softcap", "s_aux", "position_bias")


class UnsupportedAttention(Exception):
    """The model's attention has a part that `per_document_attention` can't compute."""


def per_document_attention(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - transformers passes it; the documents say more
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    document_lengths: Sequence[int] | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """Attend within each document; called by transformers' models.

    Args:
        query: [1, heads, tokens, size].
        key: [1, key heads, tokens, size].
        value: [1, key heads, tokens, size].
        attention_mask: none is used.
        dropout: of attention weights.
        scaling: of scores.
        sliding_window: how many tokens back a token sees, itself included, where that is bounded.
        document_lengths: tokens of each document in the row; the row is one document without it.
        others: what the model passes besides.

    Returns:
        [1, tokens, heads, size], and no weights.

    Raises:
        UnsupportedAttention: the model passes a part of attention that isn't computed here.
    """
    for name in _UNSUPPORTED:
        if others.get(name) is not None:
            raise UnsupportedAttention(name)
    lengths = list(document_lengths or [query.shape[2]])
    documents = zip(*(torch.split(tensor, lengths, 2) for tensor in (query, key, value)), strict=True)
    attended = [
        functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=(band := _band(queries, sliding_window)),
            dropout_p=dropout,
            is_causal=band is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        for queries, keys, values in documents
    ]
    return torch.cat(attended, 2).transpose(1, 2), None


def _band(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Return the mask of a causal window, where the document is longer than the window."""
    length = query.shape[2]
    if window is None or length <= window:
        return None
    back = torch.arange(length, device=query.device)
    distance = back[:, None] - back[None, :]
    return (distance >= 0) & (distance < window)


def enable_packing(model: PreTrainedModel) -> bool:
    """Let the model attend per document, if it then really keeps documents apart; else leave it as it was.

    Whether it does is tried out: the second of two documents must not change, bit for bit, when the first does. So a
    model that mixes positions by something besides attention (a convolution, a recurrent state) is found out.
    """
    before = model.config._attn_implementation  # noqa: SLF001 - transformers has no public name for reading it
    AttentionInterface.register(IMPLEMENTATION, per_document_attention)
    try:
        model.set_attn_implementation(IMPLEMENTATION)
        if model.config._attn_implementation == IMPLEMENTATION and _keeps_apart(model):  # noqa: SLF001
            return True
    except (UnsupportedAttention, ValueError):
        # Not every model lets its attention be exchanged.
        pass
    model.set_attn_implementation(before)
    return False


@torch.no_grad()
def _keeps_apart(model: PreTrainedModel) -> bool:
    ids = torch.arange(_PROBE_TOKENS, device=model.device) % model.config.get_text_config().vocab_size
    first, second = ids[: _PROBE_TOKENS // 2], ids[_PROBE_TOKENS // 2 :]
    positions = torch.arange(_PROBE_TOKENS // 2, device=model.device).repeat(2)[None]

    def second_after(tokens: torch.Tensor) -> torch.Tensor:
        output = model(
            input_ids=torch.cat([tokens, second])[None],
            position_ids=positions,
            document_lengths=[len(first), len(second)],
            use_cache=False,
        )
        logits: torch.Tensor = output.logits
        return logits[0, len(first) :]

    return torch.equal(second_after(first), second_after(first.flip(0)))


_PROBE_TOKENS = 24
