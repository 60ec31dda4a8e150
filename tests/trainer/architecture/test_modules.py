"""Which modules get an adapter, against what the PEFT library adapts."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from peft import IA3Config, LoraConfig, get_peft_model
from peft.tuners.ia3 import IA3Layer
from peft.tuners.lora import LoraLayer
from peft.utils import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
)

from adapter_contract.recipe import IA3, LoRA, PromptTuning
from adapter_testing.families_lab import FAMILIES, family_model
from adapter_trainer.architecture.families import TESTED_FAMILIES
from adapter_trainer.architecture.modules import IA3_DEFAULTS, TargetModules, resolve_modules
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.errors import BadConfiguration

pytestmark = pytest.mark.unit

Shapes = Callable[..., ModelShape]


def lora(targets: Sequence[str], **changes: object) -> LoRA:
    settings: dict[str, Any] = {
        "rank": 4,
        "alpha": 8,
        "dropout": "0",
        "target_modules": tuple(targets),
        "scaling": "Standard",
        "weight_decomposition": "Disabled",
        "initialization": "Default",
    }
    return LoRA(**(settings | changes))


def adapted_by_peft(name: str, config: LoraConfig | IA3Config, kind: type) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(family_model(name), config).base_model.model
    return {module_name: module for module_name, module in model.named_modules() if isinstance(module, kind)}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "targets",
    [("all-linear",), ("down_proj", "fc2"), ("0.self_attn.o_proj", "0.self_attn.dense", "lm_head")],
    ids=["all", "by name", "by end of name"],
)
def test_lora_adapts_what_peft_adapts(name: str, targets: tuple[str, ...], shape_of: Shapes) -> None:
    shape = shape_of(name)
    # No family has both of the alternatives; names of another family are refused, which PEFT doesn't do.
    known = tuple(
        target for target in targets if target == "all-linear" or _means_some(target, shape) or target == "lm_head"
    )
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules="all-linear" if known == ("all-linear",) else list(known), r=4
    )
    assert set(resolve_modules(lora(known), shape).names) == set(adapted_by_peft(name, config, LoraLayer))


def _means_some(target: str, shape: ModelShape) -> bool:
    return any(module.name.endswith(f".{target}") for module in shape.linear)


@pytest.mark.parametrize("name", FAMILIES)
def test_ia3_adapts_what_peft_adapts(name: str, shape_of: Shapes) -> None:
    shape = shape_of(name)
    targets, feedforward = IA3_DEFAULTS[shape.family]
    config = IA3Config(task_type="CAUSAL_LM", target_modules=list(targets), feedforward_modules=list(feedforward))
    adapted = adapted_by_peft(name, config, IA3Layer)
    resolved = resolve_modules(IA3(), shape)
    assert set(resolved.names) == set(adapted)
    assert set(resolved.feedforward) == {key for key, layer in adapted.items() if layer.is_feedforward}
    assert len(resolved.feedforward) == shape.layers


def test_the_defaults_of_ia3_are_pefts_and_every_tested_family_has_some() -> None:
    assert set(TESTED_FAMILIES) <= IA3_DEFAULTS.keys()
    for family, (targets, feedforward) in IA3_DEFAULTS.items():
        known = TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING.get(family)
        assert known is None or (
            tuple(known) == targets
            and tuple(TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[family]) == feedforward
        )


def test_ia3_takes_the_familys_feedforward_modules_among_those_that_are_named(shape_of: Shapes) -> None:
    shape = shape_of("llama")
    named = IA3(target_modules=("v_proj", "layers.1.mlp.down_proj"))
    assert resolve_modules(named, shape).feedforward == ("model.layers.1.mlp.down_proj",)
    told = IA3(target_modules=("v_proj", "up_proj"), feedforward_modules=("up_proj",))
    assert resolve_modules(told, shape).feedforward == ("model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj")


def test_ia3_needs_names_where_the_family_has_no_default(shape_of: Shapes) -> None:
    from dataclasses import replace  # noqa: PLC0415 - for this test only

    unknown = replace(shape_of("llama"), family="olmo2")
    with pytest.raises(BadConfiguration, match="no default for the model family olmo2"):
        resolve_modules(IA3(), unknown)
    assert len(resolve_modules(IA3(target_modules=("v_proj",)), unknown).names) == 2
    assert resolve_modules(IA3(target_modules=("v_proj",)), unknown).feedforward == ()


def test_a_method_that_adapts_no_layer_has_no_modules(shape_of: Shapes) -> None:
    assert resolve_modules(PromptTuning(virtual_tokens=4), shape_of("llama")) == TargetModules(())


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("q_prj",), "the base model has no module q_prj: name linear layers, such as down_proj, gate_proj"),
        (("q_proj", "w1", "w2"), "no module w1; the base model has no module w2"),
        (("all-linear", "q_proj"), "all-linear must stand alone"),
        (("embed_tokens",), "embed_tokens means model.embed_tokens, which can't be adapted"),
        (("mlp",), r"mlp means model\.layers\.0\.mlp, which can't be adapted"),
        (("norm",), "norm means model.norm, which can't be adapted"),
        (("proj",), "no module proj"),
    ],
)
def test_names_that_mean_no_linear_layer_are_refused_together(
    targets: tuple[str, ...], message: str, shape_of: Shapes
) -> None:
    with pytest.raises(BadConfiguration, match=message):
        resolve_modules(lora(targets), shape_of("llama"))


def test_fused_layers_are_named_as_they_are(shape_of: Shapes) -> None:
    shape = shape_of("phi3")
    with pytest.raises(BadConfiguration, match="such as down_proj, gate_up_proj, o_proj, qkv_proj"):
        resolve_modules(lora(["q_proj"]), shape)
    assert len(resolve_modules(lora(["qkv_proj", "gate_up_proj"]), shape).names) == 4


def test_pissa_needs_weights_that_have_so_many_parts_and_are_the_layers_own(shape_of: Shapes) -> None:
    with pytest.raises(BadConfiguration, match=r"method.lora.rank: PiSSA takes the 33 largest parts"):
        resolve_modules(lora(["down_proj"], rank=33, initialization="PiSSA"), shape_of("llama"))
    with pytest.raises(BadConfiguration, match="whose weights are the embeddings' too"):
        resolve_modules(lora(["lm_head"], initialization="PiSSA"), shape_of("qwen2"))
    assert resolve_modules(lora(["lm_head"], initialization="PiSSA"), shape_of("llama")).names == ("lm_head",)
