"""A bottleneck adapter that does not fit the engine is refused with its reason, before anything of it is used."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapter_server.engines.engine import AdapterRefused
from adapter_server.engines.transformers import TransformersEngine
from adapter_testing.engine_lab import (
    Lab,
    change_config,
    engine_settings,
    publish_bottleneck,
    seal,
    seal_bottleneck,
    started,
)

pytestmark = pytest.mark.integration

DOWN = "model.layers.0.mlp.bottleneck.down.weight"
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def idle(lab: Lab) -> TransformersEngine:
    with started(engine_settings(lab.base)) as running:
        yield running


@pytest.fixture
def artifact(lab: Lab, tmp_path: Path) -> Path:
    publish_bottleneck(tmp_path / "artifact", lab.base, seed=0, architecture="Pfeiffer")
    return tmp_path / "artifact"


def refusal(engine: TransformersEngine, lab: Lab, artifact: Path, *, reseal: bool = True) -> tuple[str, str]:
    manifest = seal_bottleneck(artifact, lab.base) if reseal else seal(artifact, lab.base)
    with pytest.raises(AdapterRefused) as caught:
        engine.load("refused", artifact, manifest)
    assert engine.loaded == []
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"peft_type": "LORA"}, "MethodNotSupported", "peft_type is 'LORA', not 'BOTTLENECK'"),
        ({"format_version": 2}, "AdapterRefused", "format_version: Input should be 1"),
        ({"non_linearity": "gelu"}, "AdapterRefused", "non_linearity: Input should be 'relu' or 'silu'"),
        ({"scaling": 2}, "AdapterRefused", "scaling: Extra inputs are not permitted"),
        ({"architecture": "Houlsby"}, "AdapterRefused", "adapts self_attn and mlp, but model.layers.0 has one only"),
        ({"modules": ["lm_head"]}, "AdapterRefused", "lm_head is no layers.<number>.self_attn"),
        ({"modules": ["model.layers.2.mlp"]}, "AdapterRefused", "it changes model.layers.2.mlp, which is no"),
        ({"modules": ["model.layers.0.mlp"]}, "AdapterRefused", "no tensor of this adapter: model.layers.1.mlp"),
        ({"size": 9}, "AdapterRefused", "down.weight has the shape [8, 32], not [9, 32]"),
        ({"hidden_size": 64}, "AdapterRefused", "hidden_size is 64, but the base has 32"),
        ({"base_model_name_or_path": "other/base"}, "AdapterRefused", "is other/base, but the manifest says tests/"),
    ],
)
def test_a_configuration_that_contradicts_the_format_the_base_or_the_tensors(
    idle: TransformersEngine, lab: Lab, artifact: Path, changes: dict, reason: str, message: str
) -> None:
    change_config(artifact, **changes)
    got_reason, got_message = refusal(idle, lab, artifact)
    assert got_reason == reason
    assert message in got_message


def test_a_setting_that_is_missing(idle: TransformersEngine, lab: Lab, artifact: Path) -> None:
    path = artifact / "adapter_config.json"
    config = json.loads(path.read_text())
    del config["format_version"]
    path.write_text(json.dumps(config))
    reason, message = refusal(idle, lab, artifact)
    assert (reason, message.endswith("format_version: it is missing")) == ("AdapterRefused", True)


def replaced(make: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[DOWN] = make(tensors[DOWN]).contiguous()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(DOWN), f"tensors are missing: {DOWN}"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "no tensor of this adapter: extra"),
        (dict.clear, "holds no tensors"),
        (replaced(lambda old: old.T), f"{DOWN} has the shape [32, 8], not [8, 32]"),
        (replaced(torch.Tensor.int), f"{DOWN} has the dtype torch.int32, not one of floating point"),
        (replaced(lambda old: old * float("nan")), f"{DOWN} is not finite in torch.float32"),
        (replaced(lambda old: old.double() * 1e300), f"{DOWN} is not finite in torch.float32"),
    ],
)
def test_tensors_must_be_those_of_the_configuration(
    idle: TransformersEngine, lab: Lab, artifact: Path, change: Callable, message: str
) -> None:
    tensors = load_file(artifact / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, artifact / "adapter_model.safetensors")
    reason, got = refusal(idle, lab, artifact)
    assert reason == "AdapterRefused"
    assert message in got


def test_a_manifest_of_another_method(idle: TransformersEngine, lab: Lab, artifact: Path) -> None:
    reason, message = refusal(idle, lab, artifact, reseal=False)
    assert (reason, message) == ("MethodNotSupported", "adapter_config.json: peft_type is 'BOTTLENECK', not 'LORA'")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_broken_files(idle: TransformersEngine, lab: Lab, artifact: Path, name: str) -> None:
    (artifact / name).write_bytes(b"[1")
    reason, message = refusal(idle, lab, artifact)
    assert (reason, message.startswith(f"{name} can't be read")) == ("AdapterRefused", True)
