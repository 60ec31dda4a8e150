"""A frozen linear layer with LoRA beside it, as one autograd function.

PEFT's layer computes the product with the scaling and the sum with the layer's own result over all outputs, and keeps
more for the backward pass. Here the low-rank part is added by the matrix product itself, and kept are the input and the
`rank` numbers per token between both factors.
"""

from collections.abc import Callable
from typing import Any

import torch
from peft.tuners.lora import Linear, LoraLayer
from torch import nn


def fuse_lora_layer(layer: LoraLayer, adapter: str) -> bool:
    """Let a layer compute in one function, if it is plain LoRA beside a frozen linear layer; tell whether it is.

    Args:
        layer: of the PEFT library, with a single adapter that is never merged or disabled while it trains.
        adapter: its name.
    """
    base = layer.get_base_layer()
    variants = getattr(layer, "lora_variant", {})
    if type(layer) is not Linear or type(base) is not nn.Linear or adapter in variants or base.weight.requires_grad:
        return False
    if layer.lora_A[adapter].bias is not None or layer.lora_B[adapter].bias is not None or layer.fan_in_fan_out:
        return False
    vars(layer)["forward"] = _forward(layer, base, adapter)
    return True


def _forward(layer: LoraLayer, base: nn.Linear, adapter: str) -> Callable[[torch.Tensor], torch.Tensor]:
    dropout, down, up = layer.lora_dropout, layer.lora_A[adapter], layer.lora_B[adapter]
    scaling: float = layer.scaling[adapter]

    def forward(values: torch.Tensor) -> torch.Tensor:
        if layer.disable_adapters:
            plain: torch.Tensor = base(values)
            return plain
        adapted = dropout[adapter](values)
        result: torch.Tensor = _LoRALinear.apply(  # type: ignore[no-untyped-call]  # torch's
            values, None if adapted is values else adapted, base.weight, base.bias, down.weight, up.weight, scaling
        )
        return result

    return forward


class _LoRALinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        values: torch.Tensor,
        adapted: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        inputs = values.reshape(-1, values.shape[-1])
        lowered = inputs if adapted is None else adapted.reshape(inputs.shape)
        between = torch.mm(lowered, down.to(weight.dtype).t()).mul_(scaling)
        result = torch.mm(inputs, weight.t()) if bias is None else torch.addmm(bias, inputs, weight.t())
        result.addmm_(between, up.to(weight.dtype).t())
        ctx.save_for_backward(values if adapted is None else adapted, between, weight, down, up)
        ctx.scaling, ctx.drops = scaling, adapted is not None
        return result.view(*values.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401 - torch's
        kept, between, weight, down, up = ctx.saved_tensors
        lowered = kept.reshape(-1, kept.shape[-1])
        outgoing = gradient.reshape(-1, gradient.shape[-1])
        of_between = torch.mm(outgoing, up.to(weight.dtype)).mul_(ctx.scaling)
        of_up = torch.mm(outgoing.t(), between).to(up.dtype)
        of_down = torch.mm(of_between.t(), lowered).to(down.dtype)
        of_values = torch.mm(outgoing, weight) if ctx.needs_input_grad[0] else None
        of_adapted = None
        if ctx.drops and ctx.needs_input_grad[1]:
            of_adapted = torch.mm(of_between, down.to(weight.dtype)).view(kept.shape)
        elif of_values is not None:
            of_values.addmm_(of_between, down.to(weight.dtype))
        of_values = None if of_values is None else of_values.view(*gradient.shape[:-1], -1)
        return of_values, of_adapted, None, None, of_down, of_up, None
