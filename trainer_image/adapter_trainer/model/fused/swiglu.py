"""The gate of a feed-forward block: SiLU of one projection times the other, of which only both projections are kept."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional


def fuse_gate(module: nn.Module) -> bool:
    """Let a feed-forward block compute its gate in one function, if it has one with SiLU; tell whether it has.

    Whether it has, is tried out: both must give the same, bit for bit.
    """
    gate = getattr(module, "gate_proj", None)
    if type(gate) is not nn.Linear or not {"up_proj", "down_proj"} <= dict(module.named_children()).keys():
        return False
    block: Any = module  # an adapter may come to stand in a layer's place, so layers are looked up when they are needed

    def forward(x: torch.Tensor) -> torch.Tensor:
        gated = _SwiGLU.apply(block.gate_proj(x), block.up_proj(x))  # type: ignore[no-untyped-call]  # torch's
        result: torch.Tensor = block.down_proj(gated)
        return result

    weight = gate.weight
    probe = torch.linspace(-3, 3, 2 * gate.in_features, device=weight.device).to(weight.dtype).view(2, -1)
    with torch.no_grad():
        if not torch.equal(module(probe), forward(probe)):
            return False
    vars(module)["forward"] = forward
    return True


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - torch's
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401 - torch's
        gate, up = ctx.saved_tensors
        of_up = functional.silu(gate).mul_(gradient)
        of_gate = torch.ops.aten.silu_backward(gradient * up, gate)
        return of_gate, of_up
