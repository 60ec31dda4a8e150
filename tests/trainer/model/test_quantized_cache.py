"""The base model's quantized weights, kept beside it: the same weights, and no harm from what lies there."""

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from transformers import BitsAndBytesConfig

from adapter_contract import Quantization
from adapter_contract.s3 import LocalModel, base_digest
from adapter_testing.trainer_lab import trainer_config
from adapter_trainer.inputs.base_model import covered_files
from adapter_trainer.model import quantized_cache
from adapter_trainer.model.attach import load_adapted
from adapter_trainer.model.base import load_base, load_packed
from adapter_trainer.model.quantized_cache import DIRECTORY_NAME, QuantizedCache

pytestmark = pytest.mark.integration

DIGEST = "sha256:" + "1" * 64
NF4 = Quantization.model_validate({"type": "NF4", "computeType": "BFloat16", "doubleQuantization": "Enabled"})


@pytest.fixture
def model(tiny_base: Path, tmp_path: Path) -> Path:
    """A directory of its own with a base model."""
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


def weights(directory: Path, quantization: Quantization = NF4, *, cached: bool = True) -> dict[str, torch.Tensor]:
    cache = QuantizedCache.beside(directory, DIGEST) if cached else None
    return dict(load_base(directory, quantization, cache=cache).model.named_parameters())


def entries(directory: Path) -> list[Path]:
    return sorted(path.parent for path in (directory / DIRECTORY_NAME).glob("*/entry.json"))


def only_entry(directory: Path) -> Path:
    (entry,) = entries(directory)
    return entry


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def quantization(kind: str, double: str, compute: str) -> Quantization:
    return Quantization.model_validate({"type": kind, "computeType": compute, "doubleQuantization": double})


SETTINGS = [
    NF4,
    quantization("NF4", "Disabled", "BFloat16"),
    quantization("FP4", "Enabled", "Float32"),
    quantization("Int8", "Disabled", "BFloat16"),
]


def refuse(*_: object) -> None:
    raise AssertionError("it was rounded again")


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: f"{one.type}-{one.compute_type}")
def test_the_second_run_finds_the_same_weights(
    model: Path, settings: Quantization, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = weights(model, settings, cached=False)
    assert_equal(weights(model, settings), without)
    monkeypatch.setattr("adapter_trainer.model.rounding.rounded", refuse)
    assert_equal(weights(model, settings), without)


def test_each_setting_has_an_entry_of_its_own(model: Path) -> None:
    for settings in SETTINGS:
        weights(model, settings)
    assert len(entries(model)) == len(SETTINGS)
    for settings in SETTINGS:
        assert_equal(weights(model, settings), weights(model, settings, cached=False))


def test_the_base_digest_and_a_download_leave_it_out(model: Path) -> None:
    before = base_digest(LocalModel(model)), covered_files(LocalModel(model))
    weights(model)
    assert only_entry(model)
    assert (base_digest(LocalModel(model)), covered_files(LocalModel(model))) == before


def test_others_may_read_it(model: Path) -> None:
    weights(model)
    mask = os.umask(0)
    os.umask(mask)
    for path in only_entry(model).iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def cut(entry: Path) -> None:
    path = entry / "weights.safetensors"
    os.truncate(path, path.stat().st_size - 7)


def flip(entry: Path) -> None:
    path = entry / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def change_document(entry: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((entry / "entry.json").read_bytes())
    change(document)
    (entry / "entry.json").write_text(json.dumps(document))


def link(entry: Path) -> None:
    path = entry / "weights.safetensors"
    path.rename(entry.parent / "elsewhere")
    path.symlink_to(entry.parent / "elsewhere")


def pipe(entry: Path) -> None:
    (entry / "weights.safetensors").unlink()
    os.mkfifo(entry / "weights.safetensors")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a cut file": cut,
    "a changed bit": flip,
    "no weights": lambda entry: (entry / "weights.safetensors").unlink(),
    "no document": lambda entry: (entry / "entry.json").unlink(),
    "half a document": lambda entry: os.truncate(entry / "entry.json", 40),
    "another document": lambda entry: (entry / "entry.json").write_bytes(b"[1]"),
    "no digests": lambda entry: change_document(entry, lambda document: document.update(files={})),
    "a path that leads out": lambda entry: change_document(
        entry, lambda document: document["files"].update({"../../config.json": DIGEST})
    ),
    "another base": lambda entry: change_document(
        entry, lambda document: document["madeOf"].update(baseDigest="sha256:" + "2" * 64)
    ),
    "a file more": lambda entry: (entry / "pytorch_model.bin").write_bytes(b"pickle"),
    "a link": link,
    "a pipe": pipe,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_told_and_made_anew(model: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = weights(model)
    DAMAGES[damage](only_entry(model))
    with caplog.at_level(logging.WARNING):
        assert_equal(weights(model), expected)
    assert "can't be used and is made anew" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert_equal(weights(model), expected)
    assert caplog.text == ""


def test_weights_of_another_model_are_not_taken(model: Path) -> None:
    """Also where the entry is whole, and says that it belongs here."""
    expected = weights(model)
    entry = only_entry(model)
    quantized_cache.save_file({"model.layers.0.mlp.up_proj": torch.zeros(3, 7)}, entry / "weights.safetensors")
    digest = quantized_cache.sha256_file(entry / "weights.safetensors")
    change_document(entry, lambda told: told["files"].update({"weights.safetensors": digest}))
    assert_equal(weights(model), expected)


def test_a_file_that_fails_half_way_leaves_no_wrong_weight(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = weights(model)

    def read_two(entry: Path, layers: dict[str, torch.nn.Linear]) -> None:
        two = dict(list(layers.items())[:2])
        for layer in two.values():
            layer.weight.data = torch.empty_like(layer.weight.data)
        with quantized_cache.safe_open(entry / "weights.safetensors", framework="pt") as file:
            for name, layer in two.items():
                layer.weight.data.copy_(file.get_tensor(name))
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("adapter_trainer.model.base.read_weights", read_two)
    assert_equal(weights(model), expected)


def test_other_versions_make_another_entry_and_the_old_one_goes(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = weights(model)
    before = only_entry(model)
    monkeypatch.setattr(quantized_cache.importlib.metadata, "version", lambda _: "9.9")
    assert_equal(weights(model), expected)
    assert only_entry(model) != before


def test_another_base_makes_another_entry_and_the_old_one_goes(model: Path) -> None:
    weights(model)
    before = only_entry(model)
    load_base(model, NF4, cache=QuantizedCache.beside(model, "sha256:" + "2" * 64))
    assert only_entry(model) != before


def test_few_entries_are_kept_and_what_was_abandoned_goes(model: Path) -> None:
    place = model / DIRECTORY_NAME
    fresh, abandoned, foreign = place / ".x.tmp-1", place / ".x.tmp-2", place / "notes"
    for path in (fresh, abandoned, foreign):
        path.mkdir(parents=True)
    os.utime(abandoned, (0, 0))
    for settings in (*SETTINGS, quantization("FP4", "Disabled", "Float32")):
        weights(model, settings)
    assert len(entries(model)) == 4
    assert fresh.exists()
    assert foreign.exists()
    assert not abandoned.exists()


def test_a_place_that_can_not_be_written(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    (model / DIRECTORY_NAME).write_text("a file in its place")
    with caplog.at_level(logging.INFO):
        assert_equal(weights(model), weights(model, cached=False))
    assert "can't be kept" in caplog.text


def test_a_full_disk(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = weights(model, cached=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with caplog.at_level(logging.INFO):
            assert_equal(weights(model), expected)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "can't be kept" in caplog.text
    assert list((model / DIRECTORY_NAME).iterdir()) == []


def test_a_volume_is_not_filled_up(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000))
    with caplog.at_level(logging.INFO):
        weights(model)
    assert "isn't kept" in caplog.text
    assert entries(model) == []


def test_two_writers(model: Path) -> None:
    expected = weights(model, cached=False)
    cache = QuantizedCache.beside(model, DIGEST)
    made_of = cache.made_of(NF4, "Rounded")
    layers = quantized_cache_layers(model)
    together = threading.Barrier(2)

    def write(directory: Path) -> None:
        quantized_cache.write_weights(layers)(directory)
        together.wait(30)

    threads = [threading.Thread(target=cache.keep, args=(made_of, write, 1)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in (model / DIRECTORY_NAME).iterdir()] == [only_entry(model).name]
    assert_equal(weights(model), expected)


def quantized_cache_layers(directory: Path) -> dict[str, torch.nn.Linear]:
    loaded = load_base(directory, NF4).model
    return {
        name: module
        for name, module in loaded.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    }


def test_pissa_has_a_base_of_its_own(model: Path) -> None:
    """What it quantizes is not the base: it is neither kept nor taken from what was kept."""
    plain = trainer_config(dataset={"type": "Path", "path": "/data"}, base_model=model, output="file:///output").method
    method = plain.model_copy(update={"initialization": "PiSSA"})
    cache = QuantizedCache.beside(model, DIGEST)
    first = load_adapted(model, NF4, method, parent=None, seed=0, cache=cache).base.model.state_dict()
    assert not (model / DIRECTORY_NAME).exists()
    weights(model)
    second = load_adapted(model, NF4, method, parent=None, seed=0, cache=cache).base.model.state_dict()
    assert_equal(second, first)


SECOND_RUN = """
import sys
from pathlib import Path
from adapter_contract import TrainerConfig
from adapter_trainer.model.attach import load_adapted
from adapter_trainer.model.quantized_cache import QuantizedCache
config = TrainerConfig.from_json(Path(sys.argv[2]).read_bytes())
model = Path(sys.argv[1])
cache = QuantizedCache.beside(model, sys.argv[3])
load_adapted(model, config.quantization, config.method, parent=None, seed=0, cache=cache)
assert "bitsandbytes" not in sys.modules, "it was imported"
"""


def test_nothing_imports_bitsandbytes_where_the_weights_are_there(model: Path, tmp_path: Path) -> None:
    config = trainer_config(dataset={"type": "Path", "path": "/data"}, base_model=model, output="file:///output")
    assert config.quantization == NF4
    (tmp_path / "config.json").write_bytes(config.to_json())
    weights(model)
    command = [sys.executable, "-c", SECOND_RUN, str(model), str(tmp_path / "config.json"), DIGEST]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, timeout=120, env=environment)


PACKED = {
    "NF4": (
        NF4,
        {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": torch.bfloat16,
            "bnb_4bit_use_double_quant": True,
        },
        Linear4bit,
    ),
    "Int8": (quantization("Int8", "Disabled", "BFloat16"), {"load_in_8bit": True}, Linear8bitLt),
}


@pytest.mark.parametrize("kind", PACKED)
def test_packed_weights_for_a_gpu(model: Path, kind: str) -> None:
    """bitsandbytes' layers, here on the CPU, come back as they were, and from the entry alone."""
    settings, options, layers = PACKED[kind]
    placed = {"device_map": {"": "cpu"}, "quantization_config": BitsAndBytesConfig(**options)}
    cache = QuantizedCache.beside(model, DIGEST)
    first = load_packed(model, settings, placed, cache)
    assert only_entry(model)
    (model / "model.safetensors").rename(model / "away")
    second = load_packed(model, settings, placed, cache)
    assert isinstance(second.model.layers[0].mlp.up_proj, layers)
    assert second.dtype == first.dtype
    assert_equal(dict(second.state_dict()), dict(first.state_dict()))


def test_a_packed_entry_that_can_not_be_loaded(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings, options, _ = PACKED["NF4"]
    placed = {"device_map": {"": "cpu"}, "quantization_config": BitsAndBytesConfig(**options)}
    cache = QuantizedCache.beside(model, DIGEST)
    expected = dict(load_packed(model, settings, placed, cache).state_dict())
    entry = only_entry(model)
    document = json.loads((entry / "config.json").read_bytes())
    (entry / "config.json").write_text(json.dumps(document | {"num_hidden_layers": 3}))
    digest = quantized_cache.sha256_file(entry / "config.json")
    change_document(entry, lambda told: told["files"].update({"config.json": digest}))
    with caplog.at_level(logging.WARNING):
        assert_equal(dict(load_packed(model, settings, placed, cache).state_dict()), expected)
    assert "made anew" in caplog.text
