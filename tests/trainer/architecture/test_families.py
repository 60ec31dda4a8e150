import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig

from adapter_testing.families_lab import FAMILIES, family_model
from adapter_trainer.architecture.families import (
    TESTED_FAMILIES,
    family_problems,
    family_warnings,
    read_base_config,
    require_supported_family,
)
from adapter_trainer.errors import BadConfiguration

pytestmark = pytest.mark.unit

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 100}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_that_is_tested_is_taken_as_transformers_writes_it(name: str, tmp_path: Path) -> None:
    family_model(name).config.save_pretrained(tmp_path)
    config = read_base_config(tmp_path)
    assert config["model_type"] in TESTED_FAMILIES
    assert require_supported_family(config, longest=128) == []


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        ("mixtral", "MixtralForCausalLM"),
        ("qwen2_moe", "Qwen2MoeForCausalLM"),
        ("qwen3_moe", "Qwen3MoeForCausalLM"),
        ("olmoe", "OlmoeForCausalLM"),
        ("phimoe", "PhimoeForCausalLM"),
        ("deepseek_v3", "DeepseekV3ForCausalLM"),
        ("gpt_oss", "GptOssForCausalLM"),
        ("dbrx", "DbrxForCausalLM"),
        ("granitemoe", "GraniteMoeForCausalLM"),
        ("ernie4_5_moe", "Ernie4_5_MoeForCausalLM"),
        ("jetmoe", "JetMoeForCausalLM"),
        ("minimax", "MiniMaxForCausalLM"),
        ("glm4_moe", "Glm4MoeForCausalLM"),
    ],
)
def test_a_mixture_of_experts_is_refused(kind: str, architecture: str) -> None:
    config = AutoConfig.for_model(kind).to_dict() | {"architectures": [architecture]}
    (problem, *_) = family_problems(config, longest=128)
    assert problem.startswith(f"baseModel: {architecture} is a mixture of experts (")
    assert problem.endswith("give a dense model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["LlavaForConditionalGeneration"], "vision_config": {"hidden_size": 8}},
            "LlavaForConditionalGeneration is a multimodal model (vision_config in config.json)",
        ),
        ({"model_type": "gemma3", "vision_config": {}}, "is a multimodal model (vision_config"),
        ({"audio_config": {"hidden_size": 8}}, "is a multimodal model (audio_config"),
        ({"image_token_id": 0}, "is a multimodal model (image_token_id"),
        ({"text_config": {"model_type": "llama"}}, "is a multimodal model (text_config"),
        ({"is_encoder_decoder": True, "architectures": ["T5ForConditionalGeneration"]}, "is an encoder-decoder model"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "is no causal language model: give one whose"),
        ({"model_type": "bert", "architectures": ["BertLMHeadModel"]}, "BertLMHeadModel is no causal language model"),
        ({"model_type": "roberta", "architectures": ["RobertaForCausalLM"]}, "attends to tokens behind, too"),
        ({"num_local_experts": 8}, "is a mixture of experts (num_local_experts 8)"),
        ({"model_type": "mamba", "architectures": ["MambaForCausalLM"]}, "recurrent or convolutional layers"),
        ({"mamba_d_state": 16}, "recurrent or convolutional layers (mamba_d_state)"),
        ({"quantization_config": {"quant_method": "awq"}}, "files are quantized already (quantization_config"),
        ({"use_bidirectional_attention": True}, "it attends to tokens behind, too (use_bidirectional_attention"),
        ({"layer_types": ["full_attention", "chunked_attention"]}, "it has layers of type chunked_attention"),
        ({"model_type": "brand-new", "auto_map": {}}, "doesn't know model_type brand-new: give a model of a family"),
        ({"model_type": "brand-new", "auto_map": {"AutoConfig": "x.Y"}}, "code that a model brings with it (auto_map)"),
        ({"model_type": None}, "config.json has no model_type"),
    ],
)
def test_what_would_be_trained_wrongly_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadConfiguration) as raised:
        require_supported_family(LLAMA | changes, longest=128)
    assert str(raised.value).startswith("baseModel: ")
    assert message in str(raised.value)


def test_all_that_is_in_the_way_is_told() -> None:
    config = LLAMA | {"num_experts": 4, "quantization_config": {"bits": 4}, "use_bidirectional_attention": True}
    assert len(family_problems(config, longest=128)) == 3


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("olmo2", {"architectures": ["Olmo2ForCausalLM"]}),
        ("granite", {"architectures": ["GraniteForCausalLM"]}),
        ("gpt2", {"architectures": ["GPT2LMHeadModel"]}),
        ("cohere2", {"architectures": ["Cohere2ForCausalLM"]}),
        ("smollm3", {"architectures": ["SmolLM3ForCausalLM"]}),
        ("stablelm", {}),
    ],
)
def test_another_plain_model_is_trained_with_a_warning(kind: str, changes: dict[str, object]) -> None:
    config = AutoConfig.for_model(kind).to_dict() | changes
    (warning,) = require_supported_family(config, longest=128)
    assert warning.startswith(f"baseModel: models of type {kind} are not tested with this release")
    assert family_warnings(config) == [warning]


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_scaling": {"type": "longrope", "short_factor": [1.0]}, "original_max_position_embeddings": 4096},
        {"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 4096, "model_type": "phi3"},
        {"rope_scaling": {"type": "yarn"}, "original_max_position_embeddings": 4096, "model_type": "phi3"},
        {"rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": 4096}},
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 4096},
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "dynamic"},
                "sliding_attention": {"rope_type": "default"},
            },
            "max_position_embeddings": 4096,
        },
    ],
)
def test_positions_that_change_with_the_longest_document_are_held_below_that(changes: dict[str, object]) -> None:
    assert family_problems(LLAMA | changes, longest=4096) == []
    (problem,) = family_problems(LLAMA | changes, longest=4106)
    assert "change beyond 4096 tokens" in problem
    assert problem.endswith("4106 tokens, virtual ones included: lower hyperparameters.maxSequenceLength by 10 or more")


@pytest.mark.parametrize("kind", ["llama3", "linear", "yarn", "default"])
def test_positions_that_stay_the_same_have_no_such_bound(kind: str) -> None:
    config = LLAMA | {"rope_scaling": {"rope_type": kind, "original_max_position_embeddings": 64}}
    assert family_problems(config, longest=100_000) == []


def test_positions_without_their_bound_are_refused() -> None:
    (problem,) = family_problems(LLAMA | {"rope_scaling": {"type": "longrope"}}, longest=1)
    assert "no original_max_position_embeddings in config.json" in problem


def test_learned_positions_are_no_more_than_there_are() -> None:
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_positions": 1024}
    assert family_problems(config, longest=1024) == []
    (problem,) = family_problems(config, longest=1044)
    assert "no more than 1024 positions, and examples may have 1044 tokens" in problem


def test_examples_longer_than_the_model_was_made_for_are_told() -> None:
    config = LLAMA | {"max_position_embeddings": 2048}
    assert require_supported_family(config, longest=2048) == []
    (warning,) = require_supported_family(config, longest=2049)
    assert warning.startswith("hyperparameters.maxSequenceLength: examples may have 2049 tokens")


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff\xfe"])
def test_a_configuration_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(BadConfiguration, match=r"baseModel: config.json of the base model can't be read"):
        read_base_config(tmp_path)


@pytest.mark.parametrize("broken", [{"architectures": 3}, {"layer_types": 3}, {"rope_scaling": [1]}, {"model_type": 3}])
def test_values_of_other_types_are_no_crash(broken: dict[str, object]) -> None:
    assert isinstance(family_problems(LLAMA | broken, longest=1), list)


def test_no_torch_is_imported_for_a_family_that_is_tested() -> None:
    program = (
        "import json, sys; from adapter_trainer.architecture.families import require_supported_family as require; "
        f"require(json.loads({json.dumps(json.dumps(LLAMA))}), longest=9); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
