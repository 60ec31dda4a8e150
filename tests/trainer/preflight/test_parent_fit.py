"""What an adapter to go on from must hold, against what PEFT and the trainer save for the same method."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import (
    IA3Config,
    LoraConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
    get_peft_model_state_dict,
)

from adapter_contract.bottleneck import bottleneck_tensors
from adapter_contract.recipe import IA3, Bottleneck, LoRA, Method, PrefixTuning, PromptTuning
from adapter_testing.families_lab import family_model
from adapter_trainer.architecture.modules import IA3_DEFAULTS, resolve_modules
from adapter_trainer.architecture.shape import shape_of_directory
from adapter_trainer.inputs.parent_fit import setting_problems, shape_problems
from adapter_trainer.preflight.parent import expected_shapes

pytestmark = pytest.mark.unit

FAMILIES = ("llama", "qwen2", "gemma2", "phi", "phi3")


def lora(**changes: object) -> LoRA:
    settings: dict[str, Any] = {
        "rank": 4,
        "alpha": 8,
        "dropout": "0",
        "target_modules": ("all-linear",),
        "scaling": "Standard",
        "weight_decomposition": "Disabled",
        "initialization": "Default",
    }
    return LoRA(**(settings | changes))


def ia3_config(family: str) -> IA3Config:
    targets, feedforward = IA3_DEFAULTS[family]
    return IA3Config(task_type="CAUSAL_LM", target_modules=list(targets), feedforward_modules=list(feedforward))


CASES: dict[str, tuple[Method, Callable[[str], Any]]] = {
    "LoRA": (lora(), lambda _: LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")),
    "DoRA": (
        lora(weight_decomposition="Enabled"),
        lambda _: LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear", use_dora=True),
    ),
    "IA3": (IA3(), ia3_config),
    "prompt tuning": (
        PromptTuning(virtual_tokens=5),
        lambda _: PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    ),
    "prefix tuning": (
        PrefixTuning(virtual_tokens=5),
        lambda _: PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", CASES)
def test_the_shapes_are_those_of_what_peft_saves(family: str, method: str, tmp_path: Path) -> None:
    model = family_model(family)
    model.save_pretrained(tmp_path)
    shape = shape_of_directory(tmp_path)
    recipe, config = CASES[method]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, config(shape.family))
        state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    saved = {name: tuple(tensor.shape) for name, tensor in state.items()}
    wanted = expected_shapes(recipe, shape, resolve_modules(recipe, shape))
    assert wanted == saved
    assert list(shape_problems(saved, wanted)) == []
    settings = {
        name: sorted(value) if isinstance(value, set) else getattr(value, "value", value)
        for name, value in adapted.peft_config["default"].to_dict().items()
    }
    assert list(setting_problems(recipe, settings)) == []


@pytest.mark.parametrize(("architecture", "sublayers"), [("Pfeiffer", {"mlp"}), ("Houlsby", {"mlp", "self_attn"})])
def test_bottleneck_adapters_sit_in_each_block(architecture: Any, sublayers: set[str], tmp_path: Path) -> None:
    family_model("llama").save_pretrained(tmp_path)
    shape = shape_of_directory(tmp_path)
    method = Bottleneck(architecture=architecture, size=8)
    targets = resolve_modules(method, shape)
    assert {name.rpartition(".")[2] for name in targets.names} == sublayers
    assert len(targets.names) == 2 * len(sublayers)
    wanted = expected_shapes(method, shape, targets)
    assert wanted.items() >= bottleneck_tensors("model.layers.1.mlp", size=8, hidden_size=32).items()
