"""Quantization on a CPU: weights are rounded to their quantized values once, and kept in the compute type.

The values are those that bitsandbytes' own layers would compute with, so results are the same, bit for bit. On a CPU
there is no memory bandwidth to win from keeping four bits, training is about 1.2 times faster, and a trap is out of
the way: in bitsandbytes 0.50 an evaluation repacks 4-bit weights for inference on CPUs with AVX-512 BF16, and gradients
are wrong from then on. On a GPU, bitsandbytes' layers are used as they are.
"""

from collections.abc import Mapping

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.quantizers.quantizers_utils import should_convert_module

from adapter_contract import Quantization
from adapter_trainer.model.parallel import Workers


def quantized_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Return the linear layers that transformers would quantize, by name."""
    kept = get_keys_to_not_convert(model)
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear and should_convert_module(name, kept)
    }


def round_weights(layers: Mapping[str, nn.Linear], quantization: Quantization, side_by_side: Workers) -> None:
    """Round the weights of layers, in place."""
    weights = (layer.weight.data for layer in layers.values())
    for layer, weight in zip(
        layers.values(), side_by_side.map(lambda weight: rounded(weight, quantization), weights), strict=True
    ):
        layer.weight.data = weight


def rounded(weight: torch.Tensor, quantization: Quantization) -> torch.Tensor:
    """Return the values that a weight has when it is quantized, in its own type.

    Args:
        weight: [outputs, inputs], on the CPU.
        quantization: NF4, FP4 (in blocks of 64, as QLoRA has it) or Int8 (by row).
    """
    from bitsandbytes import functional  # noqa: PLC0415 - 2 s, which a base that is rounded already does without

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
