"""Bottleneck adapters are served beside LoRA adapters, and answer as the trainer's own model does."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from adapter_contract import AdapterManifest, Bottleneck, BottleneckConfig, Quantization
from adapter_server.engines.engine import AdapterRefused, GenerationRequest
from adapter_server.engines.transformers import TransformersEngine
from adapter_testing.engine_lab import (
    FIRST,
    SECOND,
    Lab,
    answers,
    engine_settings,
    publish_bottleneck,
    seal_bottleneck,
    started,
)
from adapter_testing.families_lab import family_model
from adapter_testing.trainer_lab import build_tokenizer
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import BaseModel, load_base

pytestmark = pytest.mark.integration

HOULSBY, PFEIFFER = "houlsby--0123456789ab", "pfeiffer--0123456789ab"
SIZES = {"Houlsby": 8, "Pfeiffer": 4}
PROMPTS = ((70, 80, 90, 100), (5, 6, 7), (200, 30, 201, 31, 202, 32, 203), (9,))
STOP_TOKEN = 2


@pytest.fixture(scope="module")
def artifacts(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bottlenecks")
    for seed, (name, architecture) in enumerate({HOULSBY: "Houlsby", PFEIFFER: "Pfeiffer"}.items()):
        publish_bottleneck(root / name, lab.base, seed=seed, architecture=architecture, size=SIZES[architecture])
    return {name: root / name for name in (HOULSBY, PFEIFFER)}


@pytest.fixture
def mixed(engine: TransformersEngine, lab: Lab, artifacts: dict[str, Path]) -> TransformersEngine:
    """The base with two LoRA adapters and both kinds of bottleneck adapters."""
    for name, directory in artifacts.items():
        engine.load(name, directory, manifest_of(directory))
    return engine


def manifest_of(directory: Path) -> AdapterManifest:
    return AdapterManifest.from_json((directory / "manifest.json").read_bytes())


def ask(prompt: Sequence[int], adapter: str | None, max_tokens: int = 16) -> GenerationRequest:
    return GenerationRequest(prompt_tokens=tuple(prompt), max_tokens=max_tokens, adapter=adapter, temperature=0)


FLOAT32 = Quantization(type="None", compute_type="Float32", double_quantization="Disabled")


def trainers_model(base: Path, artifact: Path) -> AdaptedModel:
    config = BottleneckConfig.from_json((artifact / "adapter_config.json").read_bytes())
    method = Bottleneck(architecture=config.architecture, size=config.size)
    return attach_adapter(load_base(base, FLOAT32), method, parent=artifact, seed=0)


@torch.no_grad()
def greedy(model: BaseModel, request: GenerationRequest) -> list[int]:
    tokens = list(request.prompt_tokens)
    while len(tokens) < len(request.prompt_tokens) + request.max_tokens:
        tokens.append(int(model.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
        if tokens[-1] == STOP_TOKEN:
            break
    return tokens[len(request.prompt_tokens) :]


def test_a_batch_of_all_methods_answers_as_each_alone_and_as_training_computes(
    mixed: TransformersEngine, lab: Lab, artifacts: dict[str, Path]
) -> None:
    requests = [ask(*pair) for pair in itertools.product(PROMPTS, (None, FIRST, HOULSBY, SECOND, PFEIFFER))]
    together = [answer.tokens for answer in answers(mixed, requests)]
    assert together == [answers(mixed, [request])[0].tokens for request in requests]
    trained = {name: trainers_model(lab.base, directory) for name, directory in artifacts.items()}
    expected = [
        greedy(trained[request.adapter].base, request) if request.adapter in trained else lab.peft.answer(request)
        for request in requests
    ]
    assert together == expected
    for first in range(0, len(requests), 5):
        assert len({tuple(tokens) for tokens in together[first : first + 5]}) == 5  # each changes the answer


@pytest.mark.parametrize("quantization", ["NF4", "Int8"])
def test_a_quantized_base_serves_them_in_bfloat16(lab: Lab, artifacts: dict[str, Path], quantization: str) -> None:
    settings = engine_settings(lab.base, quantization=quantization, compute_type="BFloat16")
    with started(settings) as engine:
        engine.load(HOULSBY, artifacts[HOULSBY], manifest_of(artifacts[HOULSBY]))
        engine.probe(HOULSBY)
        base, adapted = answers(engine, [ask(PROMPTS[0], None), ask(PROMPTS[0], HOULSBY)])
        assert base.tokens != adapted.tokens


def test_an_unloaded_one_is_forgotten_and_the_base_answers_as_before(mixed: TransformersEngine, lab: Lab) -> None:
    mixed.unload(HOULSBY)
    assert mixed.loaded == sorted([FIRST, SECOND, PFEIFFER])
    assert answers(mixed, [ask(PROMPTS[0], None)])[0].tokens == lab.peft.answer(ask(PROMPTS[0], None))


def test_one_that_computes_no_numbers_is_refused_by_its_probe(
    mixed: TransformersEngine, lab: Lab, tmp_path: Path
) -> None:
    publish_bottleneck(tmp_path, lab.base, seed=3, architecture="Pfeiffer")
    weights = tmp_path / "adapter_model.safetensors"
    save_file({name: tensor * 1e37 for name, tensor in load_file(weights).items()}, weights)
    mixed.load("broken", tmp_path, seal_bottleneck(tmp_path, lab.base))
    with pytest.raises(AdapterRefused, match="broken computes values that are no finite numbers"):
        mixed.probe("broken")
    assert mixed.failure is None


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3_text", "mistral", "phi", "phi3", "qwen2", "qwen3"])
def test_other_families_answer_as_training_computes(tmp_path: Path, family: str) -> None:
    base = build_tokenizer(tmp_path / "base")
    vocabulary = len(AutoTokenizer.from_pretrained(base))
    family_model(family, vocab_size=vocabulary).save_pretrained(base)
    manifest = publish_bottleneck(tmp_path / "adapter", base, seed=0, architecture="Houlsby")
    requests = [ask(prompt, adapter, 8) for prompt in PROMPTS for adapter in (None, HOULSBY)]
    with started(engine_settings(base, max_model_length=128)) as engine:
        engine.load(HOULSBY, tmp_path / "adapter", manifest)
        got = [answer.tokens for answer in answers(engine, requests)]
    trained = trainers_model(base, tmp_path / "adapter").base
    assert got[1::2] == [greedy(trained, request) for request in requests[1::2]]
    plain = load_base(base, FLOAT32)
    assert got[::2] == [greedy(plain, request) for request in requests[::2]]
    assert got[::2] != got[1::2]
