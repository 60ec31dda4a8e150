"""Bottleneck adapters behind the sublayers of a base model: each attention and feed-forward network gets one hook.

What they compute is the contract's: `adapter_contract.bottleneck`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from adapter_contract.bottleneck import NonLinearity, bottleneck_modules
from adapter_server.engines.transformers.adapter_layers import Adapter, AdapterLayers

_FUNCTIONS: Mapping[NonLinearity, Callable[[Tensor], Tensor]] = {"relu": functional.relu, "silu": functional.silu}


@dataclass(frozen=True, slots=True, eq=False)
class BottleneckLayer:
    """The weights behind one sublayer.

    Attributes:
        down: [size, hidden].
        down_bias: [size].
        up: [hidden, size].
        up_bias: [hidden].
    """

    down: Tensor
    down_bias: Tensor
    up: Tensor
    up_bias: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class BottleneckAdapter(Adapter):
    """One adapter in memory.

    Attributes:
        layers: by the name of the sublayer in the base model.
        non_linearity: between down and up.
    """

    layers: Mapping[str, BottleneckLayer]
    non_linearity: NonLinearity


class BottleneckLayers(AdapterLayers[BottleneckAdapter]):
    """All sublayers of a model, where its blocks are such as adapters are trained for.

    Attributes:
        names: of the sublayers.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(BottleneckAdapter)
        modules = dict(model.named_modules())
        self.names = frozenset(bottleneck_modules(modules, "Houlsby"))
        for name in self.names:
            modules[name].register_forward_hook(partial(self._add_change, name))

    def _add_change(
        self, name: str, _module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, object]
    ) -> None:
        for segment in self.segments:
            if (layer := segment.adapter.layers.get(name)) is not None:
                # Attention gives its weights besides.
                y = self.in_rows(name, output[0] if isinstance(output, tuple) else output)
                segment.add(y, y, partial(_change, layer, _FUNCTIONS[segment.adapter.non_linearity]))


def _change(layer: BottleneckLayer, function: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    narrow = function(functional.linear(y.to(layer.down.dtype), layer.down, layer.down_bias))
    return functional.linear(narrow, layer.up, layer.up_bias)
