import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from adapter_contract import Quantization
from adapter_contract.recipe import LoRA
from adapter_testing.learning_lab import FLOAT32, NF4, copied, examples_of, lora
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.dropout import SixteenBitDropout, drawing
from adapter_trainer.model.parent import load_parent
from adapter_trainer.model.rows import make_row
from adapter_trainer.model.saving import save_adapter

pytestmark = pytest.mark.integration


def attached(
    base: Path, method: LoRA | None = None, *, parent: Path | None = None, seed: int = 0, held: Quantization = NF4
) -> AdaptedModel:
    return attach_adapter(load_base(base, held), method or lora(), parent=parent, seed=seed)


@torch.no_grad()
def logits(model: AdaptedModel) -> torch.Tensor:
    return model.label_logits(make_row(examples_of(3), torch.device("cpu")))


def test_all_linear_layers_but_the_head_get_an_adapter_in_float32(tiny_base: Path) -> None:
    model = attached(tiny_base)
    layers = [name for name, module in model.peft.named_modules() if isinstance(module, LoraLayer)]
    assert len(layers) == 2 * 7
    assert not any("lm_head" in name for name in layers)
    weights = list(model.weights())
    assert len(weights) == 2 * len(layers)
    assert {weight.dtype for weight in weights} == {torch.float32}
    assert not any(module.training for module in model.peft.modules())


def test_the_seed_decides_on_the_initial_weights(tiny_base: Path) -> None:
    one, again, other = (list(attached(tiny_base, seed=seed).weights()) for seed in (1, 1, 2))
    assert all(torch.equal(left, right) for left, right in zip(one, again, strict=True))
    assert not all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def test_named_modules_alone_get_one(tiny_base: Path) -> None:
    model = attached(tiny_base, lora(targetModules=["q_proj", "layers.1.mlp.up_proj"]))
    names = {name for name, module in model.peft.named_modules() if isinstance(module, LoraLayer)}
    assert {name.split("model.layers.")[-1] for name in names} == {
        "0.self_attn.q_proj",
        "1.self_attn.q_proj",
        "1.mlp.up_proj",
    }


@pytest.mark.parametrize(
    ("change", "scale"), [({}, 8 / 4), ({"scaling": "RankStabilized"}, 8 / 4**0.5), ({"alpha": 1}, 1 / 4)]
)
def test_the_scaling_is_that_of_the_method(tiny_base: Path, change: dict[str, object], scale: float) -> None:
    layers = [module for module in attached(tiny_base, lora(**change)).peft.modules() if isinstance(module, LoraLayer)]
    assert {layer.scaling["default"] for layer in layers} == {scale}


def test_dropout_works_in_training_only(tiny_base: Path) -> None:
    model = attached(tiny_base, lora(dropout="0.5"))
    dropouts = [module for module in model.peft.modules() if isinstance(module, SixteenBitDropout)]
    assert len(dropouts) == 14
    with model.dropping_out():
        assert all(dropout.training for dropout in dropouts)
        assert not model.base.model.training
    assert not any(dropout.training for dropout in dropouts)


def test_dora_drops_what_goes_into_its_layers_in_training_only(tiny_base: Path) -> None:
    """PEFT's DoRA looks at the layer, not at its dropout."""
    model = attached(tiny_base, lora(dropout="0.5", weightDecomposition="Enabled"))
    still = logits(model)
    with model.dropping_out(), drawing(1):
        dropped = logits(model)
    with model.dropping_out(), drawing(2):
        otherwise = logits(model)
    assert torch.equal(logits(model), still)
    # Magnitudes are still those of the weights, so all that dropping changes is a share of zero.
    assert torch.equal(dropped, otherwise)
    with torch.no_grad():
        for weight in model.weights():
            weight.add_(0.1)
    with model.dropping_out(), drawing(1):
        dropped = logits(model)
    with model.dropping_out(), drawing(2):
        otherwise = logits(model)
    assert not torch.equal(dropped, otherwise)


@pytest.mark.parametrize("held", [FLOAT32, NF4, NF4.model_copy(update={"type": "Int8"})], ids=lambda held: held.type)
def test_dora_begins_with_the_norms_of_the_rounded_weights_and_so_as_the_base(
    tiny_base: Path, held: Quantization
) -> None:
    model = attached(tiny_base, lora(weightDecomposition="Enabled"), held=held)
    layers = [module for module in model.base.model.modules() if isinstance(module, LoraLayer)]
    for layer in layers:
        magnitudes = layer.lora_magnitude_vector["default"].weight
        assert magnitudes.dtype == torch.float32
        norms = layer.get_base_layer().weight.double().square().sum(1).sqrt()
        assert torch.allclose(magnitudes.double(), norms, rtol=1e-6)
    # A fresh LoRA adapter adds zeros, so it gives what the base gives.
    assert torch.equal(logits(model), logits(attached(tiny_base, held=held)))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["k_projection"], "method.lora.targetModules: k_projection: the base model has no such module"),
        (["q_proj", "k_projection"], "method.lora.targetModules: k_projection: the base model has no such module"),
        (["proj"], "method.lora.targetModules: proj: the base model has no such module"),
        (["input_layernorm"], "method.lora.targetModules: input_layernorm: LlamaRMSNorm layers can't be adapted"),
        (["embed_tokens"], "method.lora.targetModules: embed_tokens: Embedding layers can't be adapted"),
        (["all-linear", "q_proj"], "method.lora.targetModules: all-linear: the base model has no such module"),
    ],
)
def test_modules_that_cannot_be_adapted_are_refused_by_name(tiny_base: Path, names: list[str], message: str) -> None:
    with pytest.raises(BadConfiguration) as raised:
        attached(tiny_base, lora(targetModules=names))
    assert str(raised.value).startswith(message)
    assert str(raised.value).endswith(
        "linear layers are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head"
    )


def saved(model: AdaptedModel, directory: Path) -> Path:
    with torch.no_grad():
        for number, weight in enumerate(model.weights()):
            weight.fill_(number / 100)
    save_adapter(model, directory, base_model_name="tests/tiny-llama")
    return directory


@pytest.mark.parametrize("change", [{}, {"weightDecomposition": "Enabled"}, {"targetModules": ["q_proj", "v_proj"]}])
def test_a_training_goes_on_from_its_parents_weights(
    tiny_base: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    parent = attached(tiny_base, lora(**change))
    directory = saved(parent, tmp_path / "parent")
    child = attached(tiny_base, lora(dropout="0.1", **change), parent=directory, seed=9)
    for left, right in zip(child.weights(), parent.weights(), strict=True):
        assert torch.equal(left, right)
        assert left.requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 8}, "initializeFrom: the adapter to go on from was made with r 4, but method.lora.rank asks for 8"),
        ({"alpha": 9}, "initializeFrom: the adapter to go on from was made with lora_alpha 8, but method.lora.alpha"),
        ({"scaling": "RankStabilized"}, "initializeFrom: the adapter to go on from was made with use_rslora False"),
        ({"weightDecomposition": "Enabled"}, "initializeFrom: the adapter to go on from was made with use_dora False"),
        ({"targetModules": ["q_proj"]}, "initializeFrom: the adapter to go on from has other target modules"),
    ],
)
def test_a_parent_of_another_method_is_refused(
    tiny_base: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    directory = saved(attached(tiny_base), tmp_path / "parent")
    with pytest.raises(BadConfiguration) as raised:
        attached(tiny_base, lora(**change), parent=directory)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    "key", ["alpha_pattern", "rank_pattern", "modules_to_save", "bias", "fan_in_fan_out", "unheard"]
)
def test_a_parent_with_settings_that_no_method_here_has_is_refused(tiny_base: Path, tmp_path: Path, key: str) -> None:
    """Its weights would be taken for what they are not: a pattern of alphas is a scaling per layer."""
    directory = saved(attached(tiny_base), tmp_path / "parent")
    config: dict[str, Any] = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps(config | {key: {"q_proj": 99}}))
    with pytest.raises(BadConfiguration, match=f"initializeFrom: the adapter to go on from was made with {key} .*99"):
        attached(tiny_base, parent=directory)


def test_a_parent_that_holds_weights_of_the_base_is_refused_and_changes_none(tiny_base: Path, tmp_path: Path) -> None:
    directory = saved(attached(tiny_base), tmp_path / "parent")
    state = load_file(directory / "adapter_model.safetensors")
    name = "base_model.model.model.norm.weight"
    save_file(state | {name: torch.zeros(32)}, directory / "adapter_model.safetensors")
    child = attached(tiny_base)
    plain = logits(child)
    with pytest.raises(BadConfiguration, match=f"initializeFrom: .*1 tensors differ, such as {name}"):
        load_parent(child, lora(), directory)
    assert torch.equal(logits(child), plain)


@pytest.mark.parametrize("initial", ["pissa", "olora", "corda"])
def test_a_parent_that_fits_a_changed_base_only_is_refused(tiny_base: Path, tmp_path: Path, initial: str) -> None:
    directory = saved(attached(tiny_base), tmp_path / "parent")
    config: dict[str, Any] = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": initial}))
    with pytest.raises(BadConfiguration, match=f"initializeFrom: .*init_lora_weights '{initial}'"):
        attached(tiny_base, parent=directory)


def test_a_parent_with_fewer_modules_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    directory = saved(attached(tiny_base, lora(targetModules=["q_proj"])), tmp_path / "parent")
    with pytest.raises(BadConfiguration, match="initializeFrom: the adapter to go on from has other target modules"):
        attached(tiny_base, parent=directory)


def _of_another_rank(directory: Path) -> None:
    config: dict[str, Any] = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps(config | {"r": 8}))


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            _of_another_rank,
            BadConfiguration,
            "initializeFrom: the adapter to go on from holds base_model.model.model.layers.0.mlp.down_proj.lora_A",
        ),
        (
            lambda parent: (parent / "adapter_config.json").write_text("[]"),
            BadData,
            "initializeFrom: adapter_config.json",
        ),
        (lambda parent: (parent / "adapter_config.json").unlink(), BadData, "initializeFrom: adapter_config.json"),
        (
            lambda parent: (parent / "adapter_model.safetensors").write_text("cut"),
            BadData,
            "initializeFrom: adapter_model",
        ),
    ],
)
def test_a_parent_whose_files_are_broken_is_refused(
    tiny_base: Path, tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    directory = copied(saved(attached(tiny_base), tmp_path / "parent"), tmp_path / "spoiled")
    spoil(directory)
    with pytest.raises(error) as raised:
        attached(tiny_base, lora(rank=8) if error is BadConfiguration else lora(), parent=directory)
    assert str(raised.value).startswith(message)
