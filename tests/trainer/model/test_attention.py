from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, PreTrainedModel

from adapter_testing.families_lab import EVEN, FAMILIES, ODD, WINDOW, WINDOWED, documents, family_model
from adapter_testing.learning_lab import FLOAT32
from adapter_trainer.model.attention import (
    IMPLEMENTATION,
    UnsupportedAttention,
    enable_packing,
    per_document_attention,
)
from adapter_trainer.model.base import load_base

pytestmark = pytest.mark.integration

_SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


class Layer(torch.nn.Module):
    layer_idx = 1


def attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: object) -> torch.Tensor:
    found, weights = per_document_attention(Layer(), query, key, value, None, **options)
    assert weights is None
    return found


def by_definition(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    window: int | None = None,
    cap: float | None = None,
    scaling: float = 0.5,
) -> torch.Tensor:
    """Return what attention is, one query after the other; all in double precision."""
    heads, groups = query.shape[1], query.shape[1] // key.shape[1]
    out = torch.zeros(1, query.shape[2], heads, query.shape[3], dtype=torch.float64)
    earlier = key.shape[2] - query.shape[2]
    for head in range(heads):
        for token in range(query.shape[2]):
            last = earlier + token
            first = 0 if window is None else max(0, last - window + 1)
            scores = key[0, head // groups, first : last + 1] @ query[0, head, token] * scaling
            scores = scores if cap is None else cap * torch.tanh(scores / cap)
            out[0, token, head] = torch.softmax(scores, 0) @ value[0, head // groups, first : last + 1]
    return out


@pytest.mark.parametrize("cap", [None, 1.5])
@pytest.mark.parametrize("window", [None, 1, 4, 100])
@pytest.mark.parametrize("virtual", [0, 3])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_attention_is_what_it_is_by_definition(
    cap: float | None, window: int | None, virtual: int, key_heads: int
) -> None:
    torch.manual_seed(0)
    lengths = [5, 1, 9]
    query = torch.randn(1, 4, 15, 8, dtype=torch.float64)
    key, value = torch.randn(2, 1, key_heads, 15, 8, dtype=torch.float64)
    prefix = torch.randn(2, 2, 1, key_heads, virtual, 8, dtype=torch.float64)
    found = attention(
        query,
        key,
        value,
        scaling=0.5,
        sliding_window=window,
        softcap=cap,
        document_lengths=lengths,
        prefix=prefix if virtual else None,
    )
    parts = zip(*(tensor.split(lengths, 2) for tensor in (query, key, value)), strict=True)
    expected = [
        by_definition(one, torch.cat([prefix[1, 0], of], 2), torch.cat([prefix[1, 1], to], 2), window=window, cap=cap)
        for one, of, to in parts
    ]
    assert torch.allclose(found, torch.cat(expected, 1), rtol=0, atol=1e-12)


def test_keys_of_a_cache_are_seen_by_all_that_follow() -> None:
    query = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    key, value = torch.randn(2, 1, 2, 8, 4, dtype=torch.float64)
    assert torch.allclose(attention(query, key, value, scaling=0.5), by_definition(query, key, value), atol=1e-12)


@pytest.mark.parametrize(
    "part",
    [{"s_aux": torch.ones(2)}, {"position_bias": torch.ones(1)}, {"is_causal": False}, {"prefix": torch.ones(1)}],
)
def test_a_part_of_attention_that_is_not_computed_is_refused(part: dict[str, object]) -> None:
    query = torch.ones(1, 2, 3, 4)
    with pytest.raises(UnsupportedAttention, match=next(iter(part))):
        per_document_attention(torch.nn.Identity(), query, query, query, None, **part)


def packed_and_alone(model: PreTrainedModel, lengths: tuple[int, ...]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the logits of documents of these lengths, in one row and each alone."""
    assert enable_packing(model)
    rows = [torch.tensor([list(document.tokens)]) for document in documents(lengths)]
    with torch.no_grad():
        packed = model(
            input_ids=torch.cat(rows, 1),
            position_ids=torch.cat([torch.arange(length) for length in lengths])[None],
            document_lengths=lengths,
            use_cache=False,
        ).logits
        alone = [model(input_ids=row, use_cache=False).logits for row in rows]
    return list(zip(packed.split(lengths, 1), alone, strict=True))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_documents_in_a_row_give_bit_for_bit_what_each_gives_alone(name: str, dtype: torch.dtype) -> None:
    for packed, alone in packed_and_alone(family_model(name, dtype), EVEN):
        assert torch.equal(packed, alone)


@pytest.mark.parametrize("name", FAMILIES)
def test_documents_of_any_length_stay_apart_in_any_family(name: str) -> None:
    for packed, alone in packed_and_alone(family_model(name, torch.float64), ODD):
        # In double precision no more than the order of sums differs, by the shapes of matrix products; but some
        # families compute norms and positions in single precision whatever the type is.
        assert torch.allclose(packed, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        (name, theirs)
        for name, config in FAMILIES.items()
        for theirs in ("eager", "sdpa")
        # transformers refuses to cap scores with sdpa.
        if theirs == "eager" or "attn_logit_softcapping" not in config
    ],
)
def test_the_model_is_still_the_one_that_transformers_computes(name: str, theirs: str) -> None:
    """One document, below and above the window, against both of transformers' own ways."""
    ours, expected = family_model(name), family_model(name)
    expected.set_attn_implementation(theirs)
    assert enable_packing(ours)
    for length in (WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW):
        tokens = torch.tensor([list(documents([length])[0].tokens)])
        with torch.no_grad():
            assert torch.allclose(ours(input_ids=tokens).logits, expected(input_ids=tokens).logits, atol=2e-5)


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_bounds_what_is_seen(name: str) -> None:
    """The comparison above would not notice a window that no one applies, were it not for this one."""
    windowed = family_model(name)
    wide = family_model(name, sliding_window=200)
    assert enable_packing(windowed)
    assert enable_packing(wide)
    tokens = torch.tensor([list(documents([2 * WINDOW])[0].tokens)])
    with torch.no_grad():
        narrow_logits, wide_logits = windowed(input_ids=tokens).logits, wide(input_ids=tokens).logits
    assert torch.equal(narrow_logits[:, :WINDOW], wide_logits[:, :WINDOW])
    assert not torch.allclose(narrow_logits[:, WINDOW:], wide_logits[:, WINDOW:], atol=1e-2)


def model_of(kind: str, **changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(_SMALL | changes)))
    return model.train(mode=False)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        # A convolution mixes neighbouring tokens, whatever document they are in.
        ("lfm2", {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3}),
        # A recurrent state goes on through the row; there is no attention at all.
        ("mamba", {"state_size": 4}),
        # What bounds its attention is in the mask, and only shows in documents longer than a chunk.
        ("llama4_text", {"attention_chunk_size": 4096}),
        # It attends to tokens behind, too.
        ("gemma3_text", {"use_bidirectional_attention": True, "head_dim": 8}),
        # Its attention can't be exchanged.
        ("mpt", {"d_model": 32, "n_heads": 2, "n_layers": 2}),
    ],
)
@pytest.mark.filterwarnings("ignore")  # these models have warnings of their own
def test_a_model_that_mixes_documents_is_left_as_it_was(kind: str, changes: dict[str, object]) -> None:
    model = model_of(kind, **changes)
    before = model.config._attn_implementation
    assert not enable_packing(model)
    assert model.config._attn_implementation == before != IMPLEMENTATION


def test_a_model_with_another_attention_than_ours_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scores are biased by the distance, which its mask brings, so no argument shows it."""
    model = model_of("llama", initializer_range=0.3)

    def biased(module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: object, **__):
        distance = torch.arange(query.shape[2])[:, None] - torch.arange(query.shape[2])[None, :]
        mask = (distance * -0.5).masked_fill(distance < 0, float("-inf"))
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
        return found.transpose(1, 2), None

    monkeypatch.setitem(AttentionInterface._global_mapping, "biased", biased)
    model.set_attn_implementation("biased")
    assert not enable_packing(model)
    assert model.config._attn_implementation == "biased"


def test_a_base_is_packable_when_loaded(tiny_base: Path) -> None:
    base = load_base(tiny_base, FLOAT32)
    assert base.packable
    assert base.model.config._attn_implementation == IMPLEMENTATION
