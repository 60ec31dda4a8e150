"""The shape of a base model, read from its files, against transformers' model of the same files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from adapter_contract.s3 import LocalModel
from adapter_testing.families_lab import FAMILIES, family_model
from adapter_trainer.architecture.families import read_base_config
from adapter_trainer.architecture.shape import OUTPUT_HEAD, ModelShape, read_config, read_shape, shape_of_directory
from adapter_trainer.errors import BadConfiguration, BadData

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_that_of_the_model_that_transformers_loads(name: str, shape_of: Callable[..., ModelShape]) -> None:
    shape, model = shape_of(name), family_model(name)
    config: Any = model.config
    linear = {
        module_name: (module.out_features, module.in_features)
        for module_name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module_name != OUTPUT_HEAD
    }
    assert {module.name: (module.out_features, module.in_features) for module in shape.linear} == linear
    assert shape.parameters == model.num_parameters()
    assert shape.weight_bytes == sum(weight.numel() * weight.element_size() for weight in model.parameters())
    assert shape.family == config.model_type
    assert shape.layers == config.num_hidden_layers
    assert shape.hidden_size == config.hidden_size
    assert shape.intermediate_size == config.intermediate_size
    assert shape.attention_heads == config.num_attention_heads
    assert shape.key_value_heads == config.num_key_value_heads
    assert shape.head_dim == getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    assert shape.vocabulary_size == config.vocab_size
    assert shape.tied_embeddings == config.tie_word_embeddings
    assert shape.dtype == "F32"
    assert (shape.output_head.out_features, shape.output_head.in_features) == tuple(
        model.get_output_embeddings().weight.shape
    )


def test_the_bytes_are_those_of_the_type_that_the_files_have(tmp_path: Path) -> None:
    model = family_model("llama").to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    shape = shape_of_directory(tmp_path)
    assert shape.dtype == "BF16"
    assert shape.weight_bytes == 2 * model.num_parameters()


def test_several_files_are_one_model(tmp_path: Path, shape_of: Callable[..., ModelShape]) -> None:
    family_model("llama").save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert shape_of_directory(tmp_path) == shape_of("llama")


def test_only_headers_are_read(saved: Callable[..., Path]) -> None:
    directory = saved("llama")
    read: list[int] = []

    class Counting(LocalModel):
        def read(self, path: str, start: int, length: int) -> bytes:
            read.append(length)
            return super().read(path, start, length)

    read_shape(Counting(directory))
    assert sum(read) < (directory / "model.safetensors").stat().st_size / 2


def test_layers_are_in_the_order_of_the_model(shape_of: Callable[..., ModelShape]) -> None:
    shape = shape_of("llama", num_hidden_layers=12)
    blocks = [int(module.name.split(".")[2]) for module in shape.linear]
    assert blocks == sorted(blocks)
    assert len(set(blocks)) == 12


@pytest.fixture
def copy(saved: Callable[..., Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved("llama"), tmp_path / "copy"))


def _change_config(directory: Path, **changes: object) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_bytes()) | changes
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def _drop_tensor(directory: Path, name: str) -> None:
    path = directory / "model.safetensors"
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "has no hidden_size"),
        ({"vocab_size": 97}, r"vocab_size, hidden_size \(97, 32\), but model.embed_tokens.weight is \(96, 32\)"),
        ({"num_hidden_layers": 3}, "3 layers, but there are no weights of layer 2"),
        ({"num_attention_heads": 0}, "has no num_attention_heads"),
    ],
)
def test_a_configuration_of_another_model_is_refused(copy: Path, changes: dict[str, object], message: str) -> None:
    _change_config(copy, **changes)
    with pytest.raises(BadConfiguration, match=message):
        shape_of_directory(copy)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ("model.embed_tokens.weight", "no token embeddings"),
        ("lm_head.weight", "no lm_head.weight"),
    ],
)
def test_weights_that_lack_a_part_are_refused(copy: Path, tensor: str, message: str) -> None:
    _drop_tensor(copy, tensor)
    with pytest.raises(BadConfiguration, match=message):
        shape_of_directory(copy)


def test_a_part_of_one_block_that_is_missing_is_named(tmp_path: Path) -> None:
    family_model("llama", num_hidden_layers=3).save_pretrained(tmp_path)
    _drop_tensor(tmp_path, "model.layers.1.mlp.up_proj.weight")
    with pytest.raises(BadConfiguration, match=r"model\.layers\.1\.mlp\.up_proj\.weight is missing"):
        shape_of_directory(tmp_path)


def test_more_blocks_than_the_configuration_counts_are_left_out_by_transformers_and_here(copy: Path) -> None:
    _change_config(copy, num_hidden_layers=1)
    assert {module.name.split(".")[2] for module in shape_of_directory(copy).linear} == {"0"}


def test_a_cut_file_and_a_configuration_that_is_none_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    with pytest.raises(BadData, match="copy the file again"):
        shape_of_directory(copy)
    weights.write_bytes(whole[:4])
    with pytest.raises(BadData, match="4 bytes"):
        shape_of_directory(copy)
    weights.write_bytes(whole)
    (copy / "config.json").write_text("[]")
    with pytest.raises(BadConfiguration, match=r"config.json of the base model can't be read"):
        shape_of_directory(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: text.rindex("}")] + ', "limits": [0.0, Infinity]}',
        lambda text: text[: text.rindex("}")] + ', "model_type": "llama"}',
    ],
)
def test_what_transformers_reads_is_read_before_the_model_is_loaded_and_after(copy: Path, change) -> None:
    file = copy / "config.json"
    file.write_text(change(file.read_text()))
    assert AutoConfig.from_pretrained(copy).model_type == shape_of_directory(copy).family == "llama"
    assert read_base_config(copy) == read_config(LocalModel(copy))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    for read in (lambda: read_base_config(copy), lambda: read_config(LocalModel(copy))):
        with pytest.raises(BadConfiguration, match=r"Unexpected UTF-8 BOM.*; copy the model again"):
            read()


def test_one_tensor_in_two_files_is_refused(copy: Path) -> None:
    shutil.copy(copy / "model.safetensors", copy / "other.safetensors")
    names = load_file(copy / "model.safetensors")
    index = {"weight_map": dict.fromkeys(names, "other.safetensors")}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(BadData, match="stands in two weight files"):
        shape_of_directory(copy)
