import json
from pathlib import Path

import pytest
import torch
from peft.tuners.ia3 import IA3Layer
from peft.utils import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
)
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from adapter_contract.recipe import IA3
from adapter_testing.learning_lab import FLOAT32
from adapter_trainer.architecture.modules import IA3_DEFAULTS
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.methods.ia3 import IA3Adapter
from adapter_trainer.model.saving import save_adapter

pytestmark = pytest.mark.integration


def ia3(**fields: object) -> IA3:
    return IA3.model_validate_json(json.dumps(fields))


def attached(base: Path, method: IA3, *, parent: Path | None = None) -> IA3Adapter:
    model = attach_adapter(load_base(base, FLOAT32), method, parent=parent, seed=0)
    assert isinstance(model, IA3Adapter)
    return model


def scaled(model: IA3Adapter) -> tuple[set[str], set[str]]:
    """Return the names of the layers whose outputs are scaled, and of those whose inputs are, in the first block."""
    layers = [
        (name.rpartition(".")[2], layer)
        for name, layer in model.base.model.named_modules()
        if isinstance(layer, IA3Layer) and ".layers.0." in name
    ]
    inputs = {name for name, layer in layers if layer.is_feedforward}
    return {name for name, _ in layers} - inputs, inputs


LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize(
    ("fields", "outputs", "inputs"),
    [
        ({}, {"k_proj", "v_proj"}, {"down_proj"}),
        ({"targetModules": ["v_proj"]}, {"v_proj"}, set()),
        ({"targetModules": ["v_proj", "layers.0.mlp.down_proj"]}, {"v_proj"}, {"down_proj"}),
        ({"targetModules": ["up_proj", "down_proj"], "feedforwardModules": ["up_proj"]}, {"down_proj"}, {"up_proj"}),
        ({"targetModules": ["all-linear"]}, LINEAR - {"down_proj"}, {"down_proj"}),
    ],
    ids=str,
)
def test_which_layers_are_scaled(
    tiny_base: Path, fields: dict[str, object], outputs: set[str], inputs: set[str]
) -> None:
    assert scaled(attached(tiny_base, ia3(**fields))) == (outputs, inputs)


def test_it_begins_as_the_base_with_a_number_for_each_channel(tiny_base: Path, tmp_path: Path) -> None:
    model = attached(tiny_base, ia3())
    assert all(torch.equal(weight, torch.ones_like(weight)) for weight in model.weights())
    assert {weight.dtype for weight in model.weights()} == {torch.float32}
    facts = save_adapter(model, tmp_path, base_model_name="tests/tiny-llama").facts
    # Per block 16 keys, 16 values and 64 inputs of the last feed-forward layer.
    assert (facts.method, facts.rank, facts.trainable_parameters) == ("IA3", None, 2 * (16 + 16 + 64))
    assert facts.target_modules == ("down_proj", "k_proj", "v_proj")


@pytest.mark.parametrize("family", sorted(IA3_DEFAULTS.keys() & TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING))
def test_the_defaults_are_those_of_peft(family: str) -> None:
    targets, feedforward = IA3_DEFAULTS[family]
    assert list(targets) == TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING[family]
    assert list(feedforward) == TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[family]


def test_a_family_without_defaults_needs_names(tmp_path: Path) -> None:
    config = GPTNeoXConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(BadConfiguration, match=r"method.ia3.targetModules: there is no default for .* gpt_neox"):
        attached(tmp_path, ia3())
    assert scaled(attached(tmp_path, ia3(targetModules=["query_key_value"]))) == ({"query_key_value"}, set())


@pytest.mark.parametrize("name", ["keys", "mlp", "embed_tokens"])
def test_a_module_that_cannot_be_scaled_is_refused_by_name(tiny_base: Path, name: str) -> None:
    with pytest.raises(BadConfiguration, match=rf"method.ia3.targetModules: {name}: .* its linear layers are q_proj"):
        attached(tiny_base, ia3(targetModules=["v_proj", name]))


def test_a_parent_with_other_feed_forward_layers_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    targets = ["up_proj", "down_proj"]
    parent = attached(tiny_base, ia3(targetModules=targets, feedforwardModules=targets))
    save_adapter(parent, tmp_path, base_model_name="tests/tiny-llama")
    attached(tiny_base, ia3(targetModules=targets, feedforwardModules=targets[::-1]), parent=tmp_path)
    with pytest.raises(BadConfiguration, match=r"initializeFrom: .*up_proj.ia3_l of the shape \[1, 32\], but method"):
        attached(tiny_base, ia3(targetModules=targets), parent=tmp_path)
    with pytest.raises(BadConfiguration, match="initializeFrom: the adapter to go on from"):
        attached(tiny_base, ia3(targetModules=[*targets, "v_proj"], feedforwardModules=targets), parent=tmp_path)
