"""Bases that this engine serves, in every form it can hold them in, and bases that it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BloomConfig, BloomForCausalLM

from adapter_contract.s3 import LocalModel, base_digest
from adapter_server.engines.engine import BaseModelError, EngineUnavailable, GenerationRequest
from adapter_server.engines.transformers import TransformersEngine, base_model
from adapter_testing.engine_lab import FIRST, Lab, answers, engine_settings, started

pytestmark = pytest.mark.integration

CPU = torch.device("cpu")


@pytest.fixture
def base(lab: Lab, tmp_path: Path) -> Path:
    shutil.copytree(lab.base, tmp_path / "base")
    return tmp_path / "base"


def refusal(directory: Path, **changes: object) -> str:
    engine = TransformersEngine(engine_settings(directory, **changes))
    with pytest.raises(BaseModelError) as caught:
        engine.start()
    assert isinstance(engine.failure, EngineUnavailable)
    return str(caught.value)


@pytest.mark.parametrize(
    ("quantization", "compute_type"), [("None", "BFloat16"), ("None", "Float16"), ("NF4", "BFloat16"), ("Int8", "Auto")]
)
@pytest.mark.filterwarnings("ignore:_check_is_size will be removed:FutureWarning")
def test_every_form_of_the_base_answers_with_and_without_an_adapter(
    lab: Lab, quantization: str, compute_type: str
) -> None:
    with started(engine_settings(lab.base, quantization=quantization, compute_type=compute_type)) as engine:
        lab.load(engine, FIRST)
        engine.probe(FIRST)
        prompt = engine.encode("where is the boat")
        requests = [GenerationRequest(prompt, 8, adapter=name, temperature=0, top_logprobs=0) for name in (None, FIRST)]
        bare, adapted = answers(engine, requests)
        plain = answers(engine, requests)[0]
    assert (len(bare.pieces), len(adapted.pieces)) == (8, 8)
    assert bare.pieces[0].logprob != adapted.pieces[0].logprob
    assert bare.tokens == plain.tokens


def test_a_quantized_base_is_close_to_the_whole_one(lab: Lab) -> None:
    def first_logprobs(quantization: str) -> dict[int, float]:
        with started(engine_settings(lab.base, quantization=quantization, compute_type="Float32")) as engine:
            request = GenerationRequest(engine.encode("boats"), 1, temperature=0, top_logprobs=20)
            return {top.token_id: top.logprob for top in answers(engine, [request])[0].pieces[0].top_logprobs}

    whole, quantized = first_logprobs("None"), first_logprobs("NF4")
    both = whole.keys() & quantized.keys()
    assert len(both) >= 10
    assert all(abs(whole[token] - quantized[token]) < 0.2 for token in both)
    assert whole != quantized


def test_layers_that_the_packed_layout_can_not_hold_stay_as_they_are(lab: Lab) -> None:
    class Layer(torch.nn.Linear):
        support_avx512bf16_for_cpu = True

        def __init__(self, narrow: int, wide: int) -> None:
            super().__init__(narrow, wide)
            self.weight.quant_state = type("State", (), {"blocksize": 64})

    layers = [Layer(64, 32), Layer(32, 32), Layer(64, 48)]
    base_model._keep_odd_layers_unpacked(torch.nn.ModuleList(layers))
    assert [layer.support_avx512bf16_for_cpu for layer in layers] == [True, False, False]


def test_the_digest_is_the_contracts_and_must_be_the_wanted_one(base: Path) -> None:
    digest = base_digest(LocalModel(base), identity="abc")
    with started(engine_settings(base, base_digest=digest, base_identity="abc")) as engine:
        assert engine.facts.base_digest == digest
    other = "sha256:" + "0" * 64
    assert f"but {other} is wanted: mount the same revision" in refusal(base, base_digest=other)


def nothing(base: Path) -> None:
    shutil.rmtree(base)


def pickles_only(base: Path) -> None:
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()


def code_of_its_own(base: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    config |= {"model_type": "invented", "auto_map": {"AutoConfig": "configuration.Invented"}}
    (base / "config.json").write_text(json.dumps(config))


def linear_attention(base: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    config |= {"layer_types": ["full_attention", "linear_attention"]}
    (base / "config.json").write_text(json.dumps(config))


def no_positions(base: Path) -> None:
    BloomForCausalLM(BloomConfig(vocab_size=393, hidden_size=32, n_layer=1, n_head=2)).save_pretrained(base)


def no_numbers(base: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"] *= float("nan")
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def no_norm(base: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def other_sizes(base: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(7)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})


def numbers_that_torch_has_not(base: Path) -> None:
    tensor = {"dtype": "F6_E2M3", "shape": [32], "data_offsets": [0, 24]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "model.norm.weight": tensor}).encode()
    (base / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nothing, "look at file://"),
        (pickles_only, "safetensors"),
        (code_of_its_own, "can't be loaded"),
        (linear_attention, "models with layers of linear_attention can't be served by this engine"),
        (no_positions, "BloomForCausalLM can't be served by this engine: it takes no position_ids"),
        (no_norm, "lacks 1 of its weights (model.norm.weight): put the complete safetensors files"),
        (other_sizes, "can't be loaded: You set `ignore_mismatched_sizes` to `False`"),
        (numbers_that_torch_has_not, "can't be loaded: Dtype not understood: F6_E2M3"),
        (no_numbers, "the base model computes values that are no finite numbers"),
    ],
)
def test_what_can_not_be_served_is_refused_at_the_start(
    base: Path, change: Callable[[Path], None], message: str
) -> None:
    change(base)
    assert message in refusal(base)


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        ("flags\t\t: fpu sse avx512_bf16 amx_tile\n", torch.bfloat16),
        ("Features\t: fp asimd bf16 i8mm\n", torch.bfloat16),
        ("flags\t\t: fpu sse avx2 avx512f\n", torch.float32),
        ("nothing known\n", torch.float32),
        (None, torch.float32),
    ],
)
def test_bfloat16_is_chosen_where_the_cpu_computes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, information: str | None, expected: torch.dtype
) -> None:
    path = tmp_path / "cpuinfo"
    if information is not None:
        path.write_text(f"processor\t: 0\n{information}")
    monkeypatch.setattr(base_model, "_CPU_INFORMATION", path)
    assert base_model.compute_dtype(engine_settings(tmp_path, compute_type="Auto"), CPU) == expected


@pytest.mark.parametrize(("supported", "expected"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_computes_in_half_precision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, supported: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    settings = engine_settings(tmp_path, compute_type="Auto")
    assert base_model.compute_dtype(settings, torch.device("cuda")) == expected
    assert base_model.compute_dtype(engine_settings(tmp_path), torch.device("cuda")) == torch.float32
