"""Causal attention inside each document of a row that holds several.

Documents of one optimizer step are laid behind one another in a row, without padding. Each attends to itself alone,
because attention is computed document by document: that gives, bit for bit, what each document gives by itself, which a
block-diagonal mask over the whole row doesn't. Sliding windows, capped scores and learned prefixes are computed here,
too, so that a model gives what it gives with transformers' own attention.
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from adapter_trainer.model.fused.attention import Documents, documents_attention

IMPLEMENTATION = "per_document_causal"
"""Name under which transformers knows `per_document_attention`."""

_UNSUPPORTED = ("s_aux", "position_bias", "cache")


class UnsupportedAttention(Exception):
    """The model's attention has a part that `per_document_attention` can't compute."""


def per_document_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - transformers passes it; the documents say more
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    is_causal: bool | None = None,
    document_lengths: Sequence[int] | None = None,
    prefix: torch.Tensor | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """Attend within each document; called by transformers' models.

    Args:
        module: the attention layer; its `layer_idx` finds its part of the prefix.
        query: [1, heads, tokens, size].
        key: [1, key heads, tokens, size]; without `document_lengths`, those of a cache may stand before them.
        value: as `key`.
        attention_mask: none is used.
        dropout: of attention weights.
        scaling: of scores.
        sliding_window: how many tokens back a token sees, itself included, where that is bounded.
        softcap: what scores are bounded by, as Gemma 2 has it: cap * tanh(score / cap).
        is_causal: as transformers passes it; False is refused.
        document_lengths: tokens of each document in the row; the row is one document without it.
        prefix: [layers, 2, 1, key heads, virtual tokens, size]: keys and values that stand before each document's own.
        others: what the model passes besides.

    Returns:
        [1, tokens, heads, size], and no weights.

    Raises:
        UnsupportedAttention: the model passes a part of attention that isn't computed here.
    """
    for name in _UNSUPPORTED:
        if others.get(name) is not None:
            raise UnsupportedAttention(name)
    if not (getattr(module, "is_causal", True) if is_causal is None else is_causal):
        raise UnsupportedAttention("is_causal=False")
    if query.device.type == "cpu" and prefix is None and softcap is None and dropout == 0:
        queries = tuple(document_lengths or [query.shape[2]])
        keys = queries if document_lengths else (key.shape[2],)
        return documents_attention(query, key, value, Documents(queries, keys, sliding_window), scaling), None
    if document_lengths is None:
        documents = [(query, key, value)]
    else:
        parts = (torch.split(tensor, list(document_lengths), 2) for tensor in (query, key, value))
        documents = list(zip(*parts, strict=True))
    if prefix is not None:
        keys, values = prefix[_layer_index(module)].to(key.dtype)
        documents = [(one, torch.cat([keys, of], 2), torch.cat([values, to], 2)) for one, of, to in documents]
    return _attended(documents, dropout=dropout, scaling=scaling, window=sliding_window, cap=softcap), None


def _layer_index(module: torch.nn.Module) -> int:
    index = getattr(module, "layer_idx", None)
    if not isinstance(index, int):
        raise UnsupportedAttention("a prefix in a layer without an index")
    return index


_Document: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries [1, heads, tokens, size]; keys and values [1, key heads, earlier and own tokens, size]."""


def _attended(
    documents: Sequence[_Document], *, dropout: float, scaling: float | None, window: int | None, cap: float | None
) -> torch.Tensor:
    """Return what each document attends to, behind one another, [1, tokens, heads, size]."""
    attended = [_attend(*document, dropout=dropout, scaling=scaling, window=window, cap=cap) for document in documents]
    return torch.cat(attended, 2).transpose(1, 2)


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    dropout: float,
    scaling: float | None,
    window: int | None,
    cap: float | None,
) -> torch.Tensor:
    """Attend within one document, whose last key is the last query's own."""
    causal = key.shape[2] == query.shape[2] and (window is None or key.shape[2] <= window)
    groups = query.shape[1] // key.shape[1]
    if causal and cap is None:
        return functional.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=groups > 1
        )
    # With a mask, GPU kernels don't take grouped heads: PyTorch would hold all scores instead.
    key, value = (tensor.repeat_interleave(groups, 1) if groups > 1 else tensor for tensor in (key, value))
    visible = _visible(query, key, window)
    if cap is None:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, dropout_p=dropout, scale=scaling
        )
    scores = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if scaling is None else scaling)
    capped = (torch.tanh(scores / cap) * cap).masked_fill(~visible, float("-inf"))
    weights = functional.softmax(capped, -1, dtype=torch.promote_types(query.dtype, torch.float32)).to(query.dtype)
    return functional.dropout(weights, dropout) @ value


def _visible(query: torch.Tensor, key: torch.Tensor, window: int | None) -> torch.Tensor:
    """Return which keys each query sees, [queries, keys]: none behind it, and within the window where there is one."""
    positions = torch.arange(key.shape[2], device=query.device)
    distance = positions[-query.shape[2] :, None] - positions[None, :]
    return distance >= 0 if window is None else (distance >= 0) & (distance < window)


def enable_packing(model: PreTrainedModel) -> bool:
    """Let the model attend per document, if that is the attention it has; else leave it as it was.

    Whether it is is tried out. With one document, the model must give what it gives with its own attention, but for
    rounding: else a part of its attention (biases by distance, chunks, ...) isn't computed here. And the second of two
    documents must not change, bit for bit, when the first does: so a model that mixes positions by something besides
    attention (a convolution, a recurrent state) is found out.
    """
    if not _only_attends(model):
        return False
    before = model.config._attn_implementation  # noqa: SLF001 - transformers has no public name for reading it
    expected = _one_document(model)
    AttentionInterface.register(IMPLEMENTATION, per_document_attention)
    try:
        model.set_attn_implementation(IMPLEMENTATION)
        exchanged = model.config._attn_implementation == IMPLEMENTATION  # noqa: SLF001
        if exchanged and _close(_one_document(model), expected) and _keeps_apart(model):
            return True
    except (UnsupportedAttention, ValueError, TypeError):
        # Not every model lets its attention be exchanged, or hands on what it doesn't know.
        pass
    model.set_attn_implementation(before)
    return False


def _only_attends(model: PreTrainedModel) -> bool:
    """Tell whether layers are of the types that are computed here: others bound attention by its mask alone."""
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
    return set(kinds) <= {"full_attention", "sliding_attention"}


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Tell whether logits differ by no more than rounding does, in all layers of a deep model."""
    difference = (ours.double() - theirs.double()).norm() / theirs.double().norm()
    return bool(difference < (_LARGEST_DIFFERENCE if ours.dtype.itemsize < 4 else _LARGEST_DIFFERENCE_FLOAT32))


@torch.no_grad()
def _one_document(model: PreTrainedModel) -> torch.Tensor:
    """Return the logits of a document as any model takes it."""
    logits: torch.Tensor = model(input_ids=_probe(model)[None], use_cache=False).logits
    return logits


@torch.no_grad()
def _keeps_apart(model: PreTrainedModel) -> bool:
    first, second = _probe(model).chunk(2)
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


def _probe(model: PreTrainedModel) -> torch.Tensor:
    vocabulary: int = model.config.get_text_config().vocab_size
    return torch.arange(_PROBE_TOKENS, device=model.device) % vocabulary


_PROBE_TOKENS = 24
_LARGEST_DIFFERENCE = 0.3
"""Relative, with activations of 16 bits. In SmolLM2-135M, transformers' own two ways of computing attention differ by
0.05 in bfloat16; leaving out biases by distance makes 0.5, and another scaling or a window 0.7 and more."""

_LARGEST_DIFFERENCE_FLOAT32 = 1e-3
