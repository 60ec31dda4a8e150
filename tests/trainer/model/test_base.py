import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from adapter_testing.learning_lab import FLOAT32, NF4, copied
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model import base as loading
from adapter_trainer.model.base import load_base

pytestmark = pytest.mark.integration


def test_a_base_is_frozen_and_in_evaluation_mode(tiny_base: Path) -> None:
    base = load_base(tiny_base, NF4)
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert not base.model.training
    assert {parameter.dtype for parameter in base.model.parameters()} == {torch.bfloat16}
    assert base.device.type == "cpu"


def test_computing_is_in_the_compute_type(tiny_base: Path) -> None:
    matrix = torch.ones(2, 2)
    with load_base(tiny_base, NF4).computing():
        assert (matrix @ matrix).dtype == torch.bfloat16
        assert not torch.is_autocast_cache_enabled()
    with load_base(tiny_base, FLOAT32).computing():
        assert (matrix @ matrix).dtype == torch.float32


def test_a_compute_type_that_is_not_there_yet(tiny_base: Path) -> None:
    half = FLOAT32.model_copy(update={"compute_type": "Float16"})
    with pytest.raises(
        BadConfiguration, match=r"quantization.computeType: this release computes in BFloat16 or Float32"
    ):
        load_base(tiny_base, half)


def test_missing_weights_are_never_made_up(tiny_base: Path, tmp_path: Path) -> None:
    directory = copied(tiny_base, tmp_path / "base")
    weights = load_file(directory / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        BadConfiguration, match=r"baseModel: 1 weights of the base model are missing.*layers.1.mlp.up_proj"
    ):
        load_base(directory, FLOAT32)


def test_a_base_that_is_quantized_already_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    directory = copied(tiny_base, tmp_path / "base")
    config = json.loads((directory / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadConfiguration, match=r"baseModel: the base model's files are quantized already"):
        load_base(directory, NF4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, "baseModel: config.json of the base model can't be read"),
        ("config.json", "{", "baseModel: config.json of the base model can't be read"),
        ("config.json", '{"model_type": "unheard-of"}', "baseModel: transformers can't load the base model"),
        ("model.safetensors", None, "baseModel: transformers can't load the base model"),
        ("model.safetensors", "cut", "baseModel: transformers can't load the base model"),
    ],
)
def test_files_that_cannot_be_loaded(
    tiny_base: Path, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    directory = copied(tiny_base, tmp_path / "base")
    if content is None:
        (directory / name).unlink()
    else:
        (directory / name).write_text(content)
    with pytest.raises(BadConfiguration) as raised:
        load_base(directory, FLOAT32)
    assert str(raised.value).startswith(message)


def test_a_base_without_layers_to_quantize(tmp_path: Path) -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1, n_positions=32))
    model.save_pretrained(tmp_path)
    with pytest.raises(BadConfiguration, match=r"quantization.type: the base model has no linear layers for NF4"):
        load_base(tmp_path, NF4)


def test_memory_that_runs_out_while_loading_is_told_as_such(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        load_base(tiny_base, FLOAT32)


@pytest.mark.parametrize(
    ("kind", "flag"), [("NF4", "load_in_4bit"), ("FP4", "load_in_4bit"), ("Int8", "load_in_8bit"), ("None", None)]
)
def test_on_a_gpu_bitsandbytes_layers_hold_the_weights(kind: str, flag: str | None) -> None:
    chosen = NF4.model_copy(update={"type": kind})
    options = loading._layers(chosen, torch.bfloat16)
    assert options["device_map"] == {"": 0}
    config = options.get("quantization_config")
    assert (config is None) == (flag is None)
    if config is not None:
        assert getattr(config, flag or "")
    if flag == "load_in_4bit":
        assert (config.bnb_4bit_quant_type, config.bnb_4bit_compute_dtype) == (kind.lower(), torch.bfloat16)
        assert config.bnb_4bit_use_double_quant
