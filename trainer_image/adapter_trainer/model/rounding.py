"""Quantization on a CPU: weights are rounded to their quantized values once, and kept in the compute type.

The values are those that bitsandbytes' own layers would compute with, so results are the same, bit for bit. On a CPU
there is no memory bandwidth to win from keeping four bits, training is about 1.2 times faster, and a trap is out of
the way: in bitsandbytes 0.50 an evaluation repacks 4-bit weights for inference on CPUs with AVX-512 BF16, and gradients
are wrong from then on. On a GPU, bitsandbytes' layers are used as they are.
"""

import torch
from bitsandbytes import functional
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.quantizers.quantizers_utils import should_convert_module

from adapter_contract import Quantization
from adapter_trainer.model.parallel import Workers


def round_weights(model: PreTrainedModel, quantization: Quantization, side_by_side: Workers) -> int:
    """Round the weights of the linear layers that transformers would quantize; return how many there are."""
    kept = get_keys_to_not_convert(model)
    linear = [module for name, module in model.named_modules() if _is_quantized(name, module, kept)]
    weights = (module.weight.data for module in linear)
    for module, weight in zip(
        linear, side_by_side.map(lambda weight: rounded(weight, quantization), weights), strict=True
    ):
        module.weight.data = weight
    return len(linear)


def rounded(weight: torch.Tensor, quantization: Quantization) -> torch.Tensor:
    """Return the values that a weight has when it is quantized, in its own type.

    Args:
        weight: [outputs, inputs], on the CPU.
        quantization: NF4, FP4 (in blocks of 64, as QLoRA has it) or Int8 (by row).
    """
    if quantization.type == "Int8":
        whole, scales, _ = functional.int8_vectorwise_quant(weight.to(torch.float16))
        by_row: torch.Tensor = whole.to(weight.dtype).mul_(scales.unsqueeze(1).mul(1.0 / 127.0))
        return by_row
    packed, state = functional.quantize_4bit(
        weight,
        compress_statistics=quantization.double_quantization == "Enabled",
        quant_type=quantization.type.lower(),
    )
    values: torch.Tensor = functional.dequantize_4bit(packed, state)
    return values


def _is_quantized(name: str, module: nn.Module, kept: list[str]) -> bool:
    return type(module) is nn.Linear and should_convert_module(name, kept)
