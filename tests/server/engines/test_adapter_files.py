"""An artifact that does not fit the engine is refused with its reason, before anything of it is used."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapter_contract import AdapterManifest, verify_artifact
from adapter_server.engines.engine import AdapterRefused
from adapter_server.engines.transformers import TransformersEngine
from adapter_testing.engine_lab import FIRST, Lab, change_config, engine_settings, publish_lora, seal, started

pytestmark = pytest.mark.integration

QUERY = "base_model.model.model.layers.0.self_attn.q_proj"
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def idle(lab: Lab) -> TransformersEngine:
    with started(engine_settings(lab.base)) as running:
        yield running


@pytest.fixture
def artifact(lab: Lab, tmp_path: Path) -> Path:
    shutil.copytree(lab.artifacts[FIRST], tmp_path / "artifact")
    return tmp_path / "artifact"


def refusal(engine: TransformersEngine, directory: Path, manifest: AdapterManifest) -> tuple[str, str]:
    with pytest.raises(AdapterRefused) as caught:
        engine.load("refused", directory, manifest)
    assert engine.loaded == []
    return caught.value.reason, str(caught.value)


def test_what_the_lab_publishes_is_a_whole_artifact(idle: TransformersEngine, lab: Lab) -> None:
    assert verify_artifact(lab.artifacts[FIRST]).manifest == lab.manifests[FIRST]


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        (
            {"baseModel": {"name": "other/model"}},
            "BaseModelMismatch",
            "trained on other/model, not on tests/tiny-llama",
        ),
        ({"baseModel": {"digest": DIGEST}}, "BaseModelMismatch", f"a tests/tiny-llama with digest {DIGEST}"),
        ({"adapter": {"rank": None, "method": "IA3"}}, "MethodNotSupported", "its method is IA3"),
        ({"adapter": {"rank": 9}}, "RankExceedsEngine", "its rank 9 is over engine.maxRank 8"),
        ({"adapter": {"rank": 3}}, "AdapterRefused", "r is 4, but the manifest says 3"),
        ({"promptFormat": {"tokenizerDigest": DIGEST}}, "AdapterRefused", "a tokenizer of its own"),
        ({"promptFormat": {"chatTemplateDigest": DIGEST}}, "AdapterRefused", "another chat template"),
        ({"promptFormat": {"stopTokens": [{"id": 393, "text": "x"}]}}, "AdapterRefused", "stop token 393 is not"),
    ],
)
def test_what_the_manifest_says_must_fit(
    idle: TransformersEngine, lab: Lab, artifact: Path, changes: dict, reason: str, message: str
) -> None:
    got_reason, got_message = refusal(idle, artifact, seal(artifact, lab.base, **changes))
    assert got_reason == reason
    assert message in got_message


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"peft_type": "IA3"}, "MethodNotSupported", "peft_type is 'IA3', not 'LORA'"),
        ({"use_dora": True}, "MethodNotSupported", "a DoRA adapter"),
        ({"init_lora_weights": "pissa"}, "MethodNotSupported", "init_lora_weights 'pissa' changes the base"),
        ({"modules_to_save": ["lm_head"]}, "AdapterRefused", "can't serve modules_to_save: ['lm_head']"),
        ({"bias": "lora_only"}, "AdapterRefused", "can't serve bias: 'lora_only'"),
        ({"rank_pattern": {"q_proj": 2}}, "AdapterRefused", "can't serve rank_pattern"),
        ({"alpha_pattern": {"q_proj": 2}}, "AdapterRefused", "can't serve alpha_pattern"),
        ({"invented_later": True}, "AdapterRefused", "can't serve invented_later: True"),
        ({"r": 9}, "RankExceedsEngine", "its rank 9 is over engine.maxRank 8"),
        ({"r": 0}, "AdapterRefused", "r is 0 and lora_alpha is 8"),
        ({"r": True}, "AdapterRefused", "r is True"),
        ({"lora_alpha": "8"}, "AdapterRefused", "lora_alpha is '8'"),
        ({"lora_alpha": True}, "AdapterRefused", "lora_alpha is True"),
        ({"lora_alpha": float("nan")}, "AdapterRefused", "is not finite"),
    ],
)
def test_what_peft_would_compute_differently_is_refused_by_name(
    idle: TransformersEngine, lab: Lab, artifact: Path, changes: dict, reason: str, message: str
) -> None:
    change_config(artifact, **changes)
    got_reason, got_message = refusal(idle, artifact, seal(artifact, lab.base))
    assert got_reason == reason
    assert message in got_message


def renamed(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[new] = tensors.pop(old)

    return change


def replaced(name: str, make: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = make(tensors[name]).contiguous()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(f"{QUERY}.lora_B.weight"), "lora_B of model.layers.0.self_attn.q_proj is missing"),
        (
            renamed(f"{QUERY}.lora_A.weight", "base_model.model.model.extra.lora_A.weight"),
            "it changes model.extra, which is no linear layer",
        ),
        (
            renamed(f"{QUERY}.lora_A.weight", "base_model.model.model.embed_tokens.lora_embedding_A"),
            "holds what is no LoRA weight: base_model.model.model.embed_tokens.lora_embedding_A",
        ),
        (dict.clear, "holds no tensors"),
        (replaced(f"{QUERY}.lora_A.weight", lambda old: old[:3]), "has the shape [3, 32], not [4, 32]"),
        (replaced(f"{QUERY}.lora_B.weight", lambda old: old.T), "has the shape [4, 32], not [32, 4]"),
        (replaced(f"{QUERY}.lora_B.weight", torch.Tensor.int), "has the dtype torch.int32"),
        (replaced(f"{QUERY}.lora_B.weight", lambda old: old * float("inf")), "is not finite in torch.float32"),
        (replaced(f"{QUERY}.lora_A.weight", lambda old: old.double() * 1e300), "is not finite in torch.float32"),
    ],
)
def test_tensors_must_fit_the_base(
    idle: TransformersEngine, lab: Lab, artifact: Path, change: Callable, message: str
) -> None:
    tensors = load_file(artifact / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, artifact / "adapter_model.safetensors")
    reason, got = refusal(idle, artifact, seal(artifact, lab.base))
    assert reason == "AdapterRefused"
    assert message in got


def test_many_foreign_tensors_are_counted(idle: TransformersEngine, lab: Lab, artifact: Path) -> None:
    save_file({f"extra{number}": torch.zeros(1) for number in range(5)}, artifact / "adapter_model.safetensors")
    _, message = refusal(idle, artifact, seal(artifact, lab.base))
    assert message.endswith("extra0, extra1, extra2 and 2 more")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_files_that_are_gone_or_broken_are_refused(
    idle: TransformersEngine, lab: Lab, artifact: Path, name: str
) -> None:
    (artifact / name).write_bytes(b"[1")
    reason, message = refusal(idle, artifact, lab.manifests[FIRST])
    assert (reason, message.startswith(f"{name} can't be read")) == ("AdapterRefused", True)
    (artifact / name).unlink()
    assert refusal(idle, artifact, lab.manifests[FIRST])[1].startswith(f"{name} can't be read")


def test_a_configuration_that_is_no_object_is_refused(idle: TransformersEngine, lab: Lab, artifact: Path) -> None:
    (artifact / "adapter_config.json").write_bytes(b"[]")
    assert refusal(idle, artifact, lab.manifests[FIRST])[1] == "adapter_config.json is not a JSON object"


def test_an_adapter_of_the_head_alone_and_of_half_precision_is_served(lab: Lab, tmp_path: Path) -> None:
    manifest = publish_lora(tmp_path, lab.base, seed=4, target_modules=["lm_head"])
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    save_file({name: tensor.half() for name, tensor in tensors.items()}, tmp_path / "adapter_model.safetensors")
    with started(engine_settings(lab.base)) as engine:
        engine.load("head", tmp_path, manifest)
        engine.probe("head")
        (layer,) = engine._adapters["head"].pairs
        assert (layer, engine._adapters["head"].pairs[layer].down.dtype) == ("lm_head", torch.float32)
