"""The number of trained parameters is exactly the model's, for every family and method."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter

from adapter_contract.recipe import Method
from adapter_testing.families_lab import FAMILIES, family_base
from adapter_testing.learning_lab import FLOAT32, METHOD
from adapter_trainer.architecture.shape import ModelShape
from adapter_trainer.estimate.adapter import trainable_parameters
from adapter_trainer.model.attach import attach_adapter

pytestmark = pytest.mark.integration

METHODS: dict[str, dict[str, Any]] = {
    "LoRA": METHOD,
    "LoRA of some": METHOD | {"targetModules": ["o_proj"], "rank": 3},
    "LoRA of the head": METHOD | {"targetModules": ["lm_head"]},
    "DoRA": METHOD | {"weightDecomposition": "Enabled"},
    "IA3": {"type": "IA3"},
    "PromptTuning": {"type": "PromptTuning", "virtualTokens": 4},
    "PrefixTuning": {"type": "PrefixTuning", "virtualTokens": 4},
    "Pfeiffer": {"type": "Bottleneck", "architecture": "Pfeiffer", "size": 8},
    "Houlsby": {"type": "Bottleneck", "architecture": "Houlsby", "size": 8},
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [name for name, config in FAMILIES.items() if name == config["model_type"]])
def test_as_many_as_the_model_has(name: str, method: str, shape_of: Callable[..., ModelShape]) -> None:
    settings = METHODS[method]
    if name == "phi" and method == "LoRA of some":
        settings = settings | {"targetModules": ["dense"]}
    parsed: Method = TypeAdapter(Method).validate_json(json.dumps(settings))
    model = attach_adapter(family_base(name, FLOAT32), parsed, parent=None, seed=0)
    assert trainable_parameters(shape_of(name), parsed) == sum(weight.numel() for weight in model.weights())
