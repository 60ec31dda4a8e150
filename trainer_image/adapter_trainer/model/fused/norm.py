"""Root mean square normalisation with a frozen weight."""

from typing import Any

import torch
from torch import nn


def fuse_norm(module: nn.Module) -> bool:
    """Let a normalisation of a model compute in one function, if it is one that this module knows; tell whether it is.

    Whether it is, is tried out: both must give the same, bit for bit.
    """
    epsilon = getattr(module, "variance_epsilon", None)
    weight = getattr(module, "weight", None)
    if not type(module).__name__.endswith("RMSNorm") or epsilon is None or weight is None or weight.requires_grad:
        return False

    def forward(hidden_states: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _RMSNorm.apply(hidden_states, weight, epsilon)  # type: ignore[no-untyped-call]  # torch's
        return result

    probe = torch.linspace(-3, 5, 2 * weight.shape[0], device=weight.device).to(weight.dtype).view(2, -1)
    if not torch.equal(module(probe), forward(probe)):
        return False
    vars(module)["forward"] = forward
    return True


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:  # noqa: ANN401
        wide = values.float()
        inverse = wide.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        ctx.save_for_backward(values, inverse, weight)
        return (wide * inverse).to(values.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401 - torch's
        values, inverse, weight = ctx.saved_tensors
        normal = values.float() * inverse
        outgoing = (gradient * weight).float()
        along = torch.linalg.vecdot(normal, outgoing).div_(values.shape[-1]).unsqueeze_(-1)
        return outgoing.addcmul_(normal, along, value=-1).mul_(inverse).to(values.dtype), None, None
