"""What the files of an adapter must fit, whatever its method."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import torch
from torch import Tensor

from adapter_contract import Digest
from adapter_server.engines.engine import AdapterRefused


@dataclass(frozen=True, slots=True)
class EngineFit:
    """What an adapter must fit.

    Attributes:
        shapes: (out, in) of the base's linear layers.
        sublayers: names of the base's modules that may have a bottleneck behind them.
        hidden_size: features of their outputs.
        compute_dtype, device: what the adapter becomes.
        template_digest: of the base's chat template; None where it has none.
    """

    base_model_name: str
    base_digest: Digest
    max_rank: int
    shapes: Mapping[str, tuple[int, int]]
    sublayers: Set[str]
    hidden_size: int | None
    vocabulary: int
    template_digest: Digest | None
    compute_dtype: torch.dtype
    device: torch.device

    def weight(self, what: str, tensor: Tensor, *, scaling: float = 1.0) -> Tensor:
        """Return a weight of an adapter as it is computed with, in memory of its own.

        Raises:
            AdapterRefused: it is no finite number there.
        """
        if not tensor.is_floating_point():
            raise AdapterRefused("AdapterRefused", f"{what} has the dtype {tensor.dtype}, not one of floating point")
        scaled = tensor if scaling == 1.0 else tensor.float() * scaling
        weight = scaled.to(self.device, self.compute_dtype, copy=True)
        if not torch.isfinite(weight).all():
            raise AdapterRefused("AdapterRefused", f"{what} is not finite in {self.compute_dtype}")
        return weight
