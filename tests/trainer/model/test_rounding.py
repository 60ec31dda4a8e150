"""The rounded weights must be what bitsandbytes' own layers compute with, bit for bit."""

from pathlib import Path

import bitsandbytes
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from adapter_contract import Quantization
from adapter_trainer.model.base import BaseModel, load_base

pytestmark = pytest.mark.integration


def quantization(kind: str, double: str = "Enabled", compute: str = "BFloat16") -> Quantization:
    return Quantization.model_validate({"type": kind, "computeType": compute, "doubleQuantization": double})


def with_layers_of_bitsandbytes(directory: Path, config: BitsAndBytesConfig) -> torch.nn.Module:
    model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.bfloat16, quantization_config=config, device_map={"": "cpu"}, attn_implementation="sdpa"
    )
    # In evaluation mode these layers would pack their weights anew, and gradients be wrong from then on.
    return model.train()


def logits_and_gradient(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a sequence gives, and the gradient of the loss by its embeddings."""
    tokens = torch.arange(40)[None] % 37 + 3
    embedded = model.get_input_embeddings()(tokens).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, position_ids=torch.arange(40)[None], use_cache=False).logits
    (gradient,) = torch.autograd.grad(logits.float().square().sum(), embedded)
    return logits, gradient


@pytest.mark.parametrize("kind", ["NF4", "FP4"])
@pytest.mark.parametrize("double", ["Enabled", "Disabled"])
def test_four_bits(tiny_base: Path, kind: str, double: str) -> None:
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=kind.lower(),
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=double == "Enabled",
    )
    theirs = with_layers_of_bitsandbytes(tiny_base, config)
    assert isinstance(theirs.model.layers[0].mlp.up_proj, bitsandbytes.nn.Linear4bit)
    held = quantization(kind, double)
    theirs = BaseModel.of(theirs, held, torch.bfloat16, tiny_base).model
    ours = load_base(tiny_base, held).model
    for found, expected in zip(logits_and_gradient(ours), logits_and_gradient(theirs), strict=True):
        assert torch.equal(found, expected)


def test_eight_bits(tiny_base: Path) -> None:
    theirs = with_layers_of_bitsandbytes(tiny_base, BitsAndBytesConfig(load_in_8bit=True))
    layer = theirs.model.layers[0].mlp.up_proj
    assert isinstance(layer, bitsandbytes.nn.Linear8bitLt)
    ours = load_base(tiny_base, quantization("Int8")).model
    expected = layer.weight.CB.to(torch.bfloat16).mul_(layer.weight.SCB.unsqueeze(1).mul(1.0 / 127.0))
    assert torch.equal(ours.model.layers[0].mlp.up_proj.weight, expected)


def test_only_what_transformers_quantizes_is_rounded(tiny_base: Path) -> None:
    plain = dict(load_base(tiny_base, quantization("None")).model.named_parameters())
    rounded = dict(load_base(tiny_base, quantization("NF4")).model.named_parameters())
    changed = {name for name, weight in rounded.items() if not torch.equal(weight, plain[name])}
    assert changed == {name for name in plain if "_proj" in name}
    one = rounded["model.layers.0.mlp.up_proj.weight"].flatten()[:64]
    assert len(one.unique()) <= 16  # a block of 64 values has one scale and 16 levels
