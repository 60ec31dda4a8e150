from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

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


def model_of(kind: str, **changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(_SMALL | changes)))
    return model.train(mode=False)


def packed_and_alone(model: PreTrainedModel, lengths: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the logits of documents of these lengths, in one row and each alone."""
    assert enable_packing(model)
    documents = [torch.randint(3, 64, (1, length)) for length in lengths]
    with torch.no_grad():
        packed = model(
            input_ids=torch.cat(documents, 1),
            position_ids=torch.cat([torch.arange(length) for length in lengths])[None],
            document_lengths=lengths,
            use_cache=False,
        ).logits
        alone = [model(input_ids=document, use_cache=False).logits for document in documents]
    return list(zip(packed.split(lengths, 1), alone, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_documents_in_a_row_give_bit_for_bit_what_each_gives_alone(dtype: torch.dtype) -> None:
    for packed, alone in packed_and_alone(model_of("llama").to(dtype), [16, 64, 32]):
        assert torch.equal(packed, alone)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral", "phi3", "gemma3_text"])
def test_documents_of_any_length_stay_apart_in_any_family(kind: str) -> None:
    changes = {"layer_types": ["sliding_attention", "full_attention"]} if kind == "gemma3_text" else {}
    model = model_of(kind, sliding_window=8, **changes).to(torch.float64)
    for packed, alone in packed_and_alone(model, [5, 1, 17, 12]):
        # In double precision no more than the order of sums differs, by the shapes of matrix products.
        assert torch.allclose(packed, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_the_model_is_still_the_one_that_transformers_computes(kind: str) -> None:
    """One document, the same model with transformers' own attention: also where a window bounds it."""
    tokens = torch.randint(3, 64, (1, 21))
    ours, theirs = model_of(kind, sliding_window=8), model_of(kind, sliding_window=8)
    assert enable_packing(ours)
    with torch.no_grad():
        assert torch.allclose(ours(input_ids=tokens).logits, theirs(input_ids=tokens).logits, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        # A convolution mixes neighbouring tokens, whatever document they are in.
        ("lfm2", {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3}),
        # A recurrent state goes on through the row; there is no attention at all.
        ("mamba", {"state_size": 4}),
        # Soft capping is a part of attention that isn't computed here.
        ("gemma2", {"attn_logit_softcapping": 50.0, "head_dim": 8}),
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


def test_a_part_of_attention_that_is_not_computed_is_refused() -> None:
    query = torch.ones(1, 2, 3, 4)
    with pytest.raises(UnsupportedAttention, match="softcap"):
        per_document_attention(torch.nn.Identity(), query, query, query, None, softcap=50.0)


def test_attention_sees_a_window_of_tokens_back() -> None:
    query, key, value = torch.randn(3, 1, 2, 6, 4)
    allowed = torch.ones(6, 6).tril().triu(-2).bool()
    expected = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    found, weights = per_document_attention(torch.nn.Identity(), query, key, value, None, sliding_window=3)
    assert weights is None
    assert torch.allclose(found, expected.transpose(1, 2), atol=1e-6)


def test_a_base_is_packable_when_loaded(tiny_base: Path) -> None:
    base = load_base(tiny_base, FLOAT32)
    assert base.packable
    assert base.model.config._attn_implementation == IMPLEMENTATION
