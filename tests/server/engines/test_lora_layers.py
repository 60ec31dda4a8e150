"""What the hooks add to linear layers depends on each row's adapter alone."""

import pytest
import torch
from torch import nn

from adapter_server.engines.transformers.lora_layers import LoRAAdapter, LoRALayers, LoRAPair

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


def adapter(seed: int) -> LoRAAdapter:
    generator = torch.Generator().manual_seed(seed)
    return LoRAAdapter({"0": LoRAPair(torch.randn(2, 3, generator=generator), torch.randn(5, 2, generator=generator))})


def change(one: LoRAAdapter, x: torch.Tensor) -> torch.Tensor:
    return x @ one.pairs["0"].down.T @ one.pairs["0"].up.T


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)).requires_grad_(requires_grad=False)


def test_rows_of_many_adapters_and_of_none_share_one_pass(model: nn.Sequential) -> None:
    layers, first, second = LoRALayers(model), adapter(1), adapter(2)
    x = torch.randn(4, 2, 3)
    bare = model(x)
    with layers.applied([second, None, first, second], 2, CPU):
        got = model(x)
    wide = model[0](x)
    for row, one in enumerate([second, None, first, second]):
        expected = model[1](wide[row] + change(one, x[row])) if one else bare[row]
        torch.testing.assert_close(got[row], expected)
    assert torch.equal(model(x), bare)


def test_rows_and_tokens_in_one_dimension_are_told_apart(model: nn.Sequential) -> None:
    layers, first = LoRALayers(model), adapter(1)
    x = torch.randn(2, 3, 3)
    with layers.applied([None, first], 3, CPU):
        got = model(x.reshape(6, 3)).reshape(2, 3, 2)
        torch.testing.assert_close(got, model(x))


def test_a_layer_that_sees_other_tokens_is_refused(model: nn.Sequential) -> None:
    layers = LoRALayers(model)
    with layers.applied([adapter(1), None], 3, CPU), pytest.raises(ValueError, match=r"layer 0 computes \(5, 3\)"):
        model(torch.randn(5, 3))
    model(torch.randn(5, 3))


def test_shapes_are_out_and_in(model: nn.Sequential) -> None:
    assert LoRALayers(model).shapes == {"0": (5, 3), "1": (2, 5)}
