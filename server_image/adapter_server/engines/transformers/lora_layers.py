"""LoRA beside the linear layers of a base model that itself stays as it is: each linear layer gets one hook."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from adapter_server.engines.transformers.adapter_layers import Adapter, AdapterLayers


@dataclass(frozen=True, slots=True, eq=False)
class LoRAPair:
    """The two factors of one layer's change, after Hu et al. 2021 (arXiv:2106.09685).

    Attributes:
        down: [rank, in], called A.
        up: [out, rank], called B, times the scaling.
    """

    down: Tensor
    up: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LoRAAdapter(Adapter):
    """One adapter in memory.

    Attributes:
        pairs: by the name of the layer in the base model.
    """

    pairs: Mapping[str, LoRAPair]


class LoRALayers(AdapterLayers[LoRAAdapter]):
    """All linear layers of a model.

    Attributes:
        shapes: (out, in) of each linear layer by its name.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(LoRAAdapter)
        self.shapes: dict[str, tuple[int, int]] = {}
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                self.shapes[name] = (module.out_features, module.in_features)
                module.register_forward_hook(partial(self._add_change, name))

    def _add_change(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for segment in self.segments:
            if (pair := segment.adapter.pairs.get(name)) is not None:
                x, y = self.in_rows(name, inputs[0]), self.in_rows(name, output)
                segment.add(y, x, partial(_change, pair))


def _change(pair: LoRAPair, x: Tensor) -> Tensor:
    return functional.linear(functional.linear(x.to(pair.down.dtype), pair.down), pair.up)
