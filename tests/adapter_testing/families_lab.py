"""A tiny model of each family that is trained, with random weights, and documents for it.

Each has what is particular to its family: grouped heads, a window shorter than the documents, capped scores, tied
embeddings, biases, partly rotated heads. Sizes are multiples of 16, and so are the lengths of `EVEN`: a matrix product
then rounds each row of tokens alike, whatever stands beside it, so that equality bit for bit can be asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from adapter_contract import Quantization
from adapter_trainer.examples.example import UNLABELLED, Example
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.rows import make_row

VOCABULARY = 96
WINDOW = 24
EVEN = (16, 64, 32)
"""Lengths of documents, below and above the window."""

ODD = (5, 41, 2, 27)
"""Likewise."""

_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LAYERS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
_LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "rope_theta": 1e4}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama"},
    "llama-rope-llama3": {
        "model_type": "llama",
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 1e4,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "mistral-window": {"model_type": "mistral", "sliding_window": WINDOW},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen2-window": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "max_window_layers": 1,
    },
    "qwen3": {"model_type": "qwen3", "head_dim": 16},
    "gemma": {"model_type": "gemma", "num_key_value_heads": 1, "head_dim": 16},
    "gemma2": {"model_type": "gemma2", "head_dim": 16, "attn_logit_softcapping": 2.0, "query_pre_attn_scalar": 16}
    | _LAYERS,
    "gemma3_text": {"model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16} | _LAYERS,
    "phi": {"model_type": "phi", "num_key_value_heads": 4, "partial_rotary_factor": 0.5},
    "phi3": {"model_type": "phi3", "sliding_window": None},
    "phi3-window": {"model_type": "phi3", "sliding_window": WINDOW},
    "phi3-longrope": {
        "model_type": "phi3",
        "original_max_position_embeddings": 128,
        "rope_parameters": _LONGROPE | {"original_max_position_embeddings": 128},
    },
}
"""Configurations by a name for each: one that is tested per family, and the variants that differ in attention."""

WINDOWED = tuple(name for name, config in FAMILIES.items() if "window" in name or "layer_types" in config)


def family_model(name: str, dtype: torch.dtype = torch.float32, **changes: object) -> PreTrainedModel:
    """Return the model with transformers' own attention; the same weights whenever it is asked for."""
    settings = _COMMON | FAMILIES[name] | changes
    torch.manual_seed(0)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for parameter in model.parameters():
        if parameter.dim() == 1:  # norms and biases begin as ones and zeros, which would hide them
            torch.nn.init.normal_(parameter, mean=float(parameter.data.flatten()[0]), std=0.1)
    return model.to(dtype).requires_grad_(requires_grad=False).train(mode=False)


def family_base(name: str, held: Quantization, **changes: object) -> BaseModel:
    """Return it as `load_base` would, from no files; it must take several documents in a row."""
    dtype = torch.bfloat16 if held.compute_type == "BFloat16" else torch.float32
    model = family_model(name, dtype, **changes)
    base = BaseModel.of(model, held, dtype, Path("/nowhere"))
    assert base.packable
    return base


def documents(lengths: Sequence[int], *, learned_from: int = 1) -> list[Example]:
    """Return documents of these lengths that differ from each other; tokens are learned from a position on."""
    generator = torch.Generator().manual_seed(7)
    made = []
    for length in lengths:
        tokens = torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()
        made.append(Example.of(tokens, [UNLABELLED] * learned_from + tokens[learned_from:]))
    return made


def logits_in_one_row(model: AdaptedModel, examples: Sequence[Example]) -> torch.Tensor:
    """Return the logits of all learned tokens, of documents behind one another."""
    return model.label_logits(make_row(examples, model.base.device))


def logits_one_by_one(model: AdaptedModel, examples: Sequence[Example]) -> torch.Tensor:
    """Return the same, each document computed in a row of its own."""
    return torch.cat([logits_in_one_row(model, [example]) for example in examples])


def changed(model: AdaptedModel, *, by: float = 0.1) -> AdaptedModel:
    """Return the model once its adapter does something: each weight moved at random."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.weights():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=by)
    return model


def largest_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference, as a share of the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())
