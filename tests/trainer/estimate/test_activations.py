"""What the estimate says is kept for the backward pass is what PyTorch keeps, for every family and method."""

import json
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from adapter_contract import Quantization, TrainerConfig
from adapter_testing.families_lab import FAMILIES, documents, family_base
from adapter_testing.learning_lab import FLOAT32, METHOD, learning_config
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.estimate.activations import HEAD_CHUNK, activations
from adapter_trainer.estimate.device import GPU, Device
from adapter_trainer.estimate.rows import unit_sizes
from adapter_trainer.model import attention, parallel
from adapter_trainer.model import base as base_module
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.dropout import drawing
from adapter_trainer.model.fused import head
from adapter_trainer.model.fused.attention import Documents
from adapter_trainer.model.methods import lora as lora_module
from adapter_trainer.training import memory
from adapter_trainer.training.objectives.supervised import Supervised

pytestmark = pytest.mark.integration

BFLOAT16 = Quantization(type="None", compute_type="BFloat16", double_quantization="Disabled")
TOKENS = 16
"""Below the window of the families that have one."""

METHODS: dict[str, dict[str, Any]] = {
    "LoRA": METHOD,
    "dropout": METHOD | {"dropout": "0.1"},
    "DoRA": METHOD | {"weightDecomposition": "Enabled"},
    "DoRA with dropout": METHOD | {"weightDecomposition": "Enabled", "dropout": "0.1"},
    "IA3": {"type": "IA3"},
    "PromptTuning": {"type": "PromptTuning", "virtualTokens": 4},
    "PrefixTuning": {"type": "PrefixTuning", "virtualTokens": 4},
    "Pfeiffer": {"type": "Bottleneck", "architecture": "Pfeiffer", "size": 8},
    "Houlsby": {"type": "Bottleneck", "architecture": "Houlsby", "size": 8},
}


def kept_by_pytorch(model: AdaptedModel) -> int:
    """Return the bytes of what is kept after a forward pass, each storage once, the model's own left out."""
    found = []

    @dataclass(eq=False)
    class Kept:
        tensor: torch.Tensor

    def keep(tensor: torch.Tensor) -> Kept:
        kept = Kept(tensor)
        found.append(weakref.ref(kept))
        return kept

    (document,) = documents((TOKENS,))
    with model.dropping_out(), drawing(0), saved_tensors_hooks(keep, lambda kept: kept.tensor):
        loss = Supervised().loss(model, [document])
    own = {weight.untyped_storage().data_ptr() for weight in [*model.base.model.parameters(), *model.weights()]}
    own |= {buffer.untyped_storage().data_ptr() for buffer in model.base.model.buffers()}
    storages = {}
    for reference in found:
        kept = reference()
        if kept is not None:
            storage = kept.tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    assert loss.requires_grad
    return sum(size for pointer, size in storages.items() if pointer not in own)


def configured(method: str, held: Quantization) -> TrainerConfig:
    document = json.loads(learning_config(quantization=held.model_dump(mode="json", by_alias=True)).to_json())
    return TrainerConfig.from_object(document | {"method": METHODS[method]})


def plain_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, documents: Documents, scaling: float | None
) -> torch.Tensor:
    parts = (torch.split(tensor, list(documents.queries), 2) for tensor in (query, key, value))
    each = list(zip(*parts, strict=True))
    return attention._attended(each, dropout=0.0, scaling=scaling, window=documents.window, cap=None)


def deep(name: str, layers: int) -> dict[str, Any]:
    """Return what makes a family's model so deep."""
    kinds = FAMILIES[name].get("layer_types")
    return {"num_hidden_layers": layers} | ({"layer_types": kinds * (layers // 2)} if kinds else {})


def kept_by_two_layers(name: str, config: TrainerConfig) -> int:
    """Return what two layers more keep: the first and the last of a model are special."""
    bases = [family_base(name, config.quantization, **deep(name, layers)) for layers in (2, 4)]
    fewer, more = (kept_by_pytorch(attach_adapter(base, config.method, parent=None, seed=0)) for base in bases)
    return more - fewer


def estimated_of_two_layers(
    name: str, config: TrainerConfig, shape_of: Callable[..., ModelShape], device: Device
) -> int:
    (row,) = unit_sizes(config, [TOKENS])
    fewer, more = (activations(shape_of(name, **deep(name, layers)), config, device).kept(row) for layers in (2, 4))
    return more - fewer


ONE_EACH = [name for name, config in FAMILIES.items() if name == config["model_type"]]


@pytest.mark.parametrize("held", [FLOAT32, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ONE_EACH)
def test_what_layers_keep_on_a_cpu(
    name: str, method: str, held: Quantization, shape_of: Callable[..., ModelShape]
) -> None:
    config = configured(method, held)
    expected = kept_by_two_layers(name, config)
    assert estimated_of_two_layers(name, config, shape_of, Device("CPU")) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("held", [FLOAT32, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", [method for method in METHODS if "dropout" not in method])
@pytest.mark.parametrize("name", ONE_EACH)
def test_what_layers_keep_on_a_gpu(
    name: str, method: str, held: Quantization, shape_of: Callable[..., ModelShape], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph that a GPU computes, on the CPU: without the functions that a CPU has instead of it."""
    monkeypatch.setattr(base_module, "fuse_base", lambda _: None)
    monkeypatch.setattr(lora_module, "fuse_lora_layer", lambda *_: False)
    monkeypatch.setattr(attention, "documents_attention", plain_attention)
    config = configured(method, held)
    expected = kept_by_two_layers(name, config)
    # Autocast computes layer norms in float32 on a GPU, but not on the CPU.
    tolerance = 0.12 if name == "phi" else 0.05
    assert estimated_of_two_layers(name, config, shape_of, GPU) == pytest.approx(expected, rel=tolerance)


def test_constants_are_those_of_the_training() -> None:
    assert HEAD_CHUNK == head._CHUNK_NUMBERS
    assert Device("CPU").row_tokens == memory.CPU_TOKENS
    assert GPU.row_tokens == memory.GPU_TOKENS
    assert Device("CPU").pieces == parallel.PIECES
