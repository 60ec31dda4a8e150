"""What the hooks add behind sublayers depends on each row's adapter alone, whatever its method."""

import pytest
import torch
from torch import nn

from adapter_server.engines.transformers.adapter_layers import Adapter
from adapter_server.engines.transformers.bottleneck_layers import BottleneckAdapter, BottleneckLayer, BottleneckLayers
from adapter_server.engines.transformers.lora_layers import LoRAAdapter, LoRALayers, LoRAPair

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
ATTENTION, MLP = "layers.0.self_attn", "layers.0.mlp"


class Attention(nn.Linear):
    """Gives its weights besides, as transformers' attention does."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return super().forward(x), None


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention(3, 3)
        self.mlp = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(x)[0]
        return x + self.mlp(x)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers[0](x)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model().requires_grad_(requires_grad=False)


def bottleneck(seed: int, *modules: str, non_linearity: str = "relu") -> BottleneckAdapter:
    generator = torch.Generator().manual_seed(seed)
    layers = {
        module: BottleneckLayer(*(torch.randn(shape, generator=generator) for shape in ((2, 3), (2,), (3, 2), (3,))))
        for module in modules
    }
    return BottleneckAdapter(layers, non_linearity)


def expected(model: Model, adapter: BottleneckAdapter | None, x: torch.Tensor) -> torch.Tensor:
    """Compute the block as the contract says, from its own weights."""

    def adapted(name: str, y: torch.Tensor) -> torch.Tensor:
        layer = adapter.layers.get(name) if adapter else None
        if layer is None:
            return y
        function = {"relu": torch.relu, "silu": lambda h: h * torch.sigmoid(h)}[adapter.non_linearity]
        return y + function(y @ layer.down.T + layer.down_bias) @ layer.up.T + layer.up_bias

    block = model.layers[0]
    x = x + adapted(ATTENTION, x @ block.self_attn.weight.T + block.self_attn.bias)
    return x + adapted(MLP, x @ block.mlp.weight.T + block.mlp.bias)


def test_rows_of_many_adapters_and_of_none_share_one_pass(model: Model) -> None:
    layers = BottleneckLayers(model)
    both, one = bottleneck(1, ATTENTION, MLP), bottleneck(2, MLP, non_linearity="silu")
    adapters = [one, None, both, one]
    x = torch.randn(4, 2, 3)
    bare = model(x)
    with layers.applied(adapters, 2, CPU):
        got = model(x)
    for row, adapter in enumerate(adapters):
        torch.testing.assert_close(got[row], expected(model, adapter, x[row]))
    assert torch.equal(model(x), bare)
    assert torch.equal(got[1], bare[1])


def test_one_adapter_for_all_rows(model: Model) -> None:
    layers, both = BottleneckLayers(model), bottleneck(1, ATTENTION, MLP)
    x = torch.randn(2, 2, 3)
    with layers.applied([both, both], 2, CPU):
        torch.testing.assert_close(model(x), expected(model, both, x))


def test_lora_and_bottleneck_rows_do_not_meet(model: Model) -> None:
    linear, sublayers = LoRALayers(model), BottleneckLayers(model)
    lora = LoRAAdapter({MLP: LoRAPair(torch.randn(2, 3), torch.randn(3, 2))})
    small = bottleneck(1, MLP)
    x = torch.randn(3, 2, 3)

    def computed(adapters: list[Adapter | None], rows: torch.Tensor) -> torch.Tensor:
        with linear.applied(adapters, 2, CPU), sublayers.applied(adapters, 2, CPU):
            return model(rows)

    together = computed([lora, small, None], x)
    for row, adapter in enumerate([lora, small, None]):
        torch.testing.assert_close(together[row], computed([adapter], x[row : row + 1])[0])


def test_only_blocks_with_known_sublayers_have_hooks(model: Model) -> None:
    assert BottleneckLayers(model).names == {ATTENTION, MLP}
    assert BottleneckLayers(nn.Sequential(nn.Linear(3, 3))).names == frozenset()
