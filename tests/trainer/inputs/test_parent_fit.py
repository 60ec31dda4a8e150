"""What of an earlier adapter's settings a method can go on from; what PEFT writes: preflight/test_parent_fit.py."""

from pathlib import Path
from typing import Any

import pytest

from adapter_contract.bottleneck import BottleneckConfig
from adapter_contract.recipe import IA3, Bottleneck, LoRA, Method, PrefixTuning, PromptTuning
from adapter_trainer.errors import BadData
from adapter_trainer.inputs.parent_fit import read_parent_settings, setting_problems, shape_problems

pytestmark = pytest.mark.unit

LORA = LoRA(
    rank=4,
    alpha=8,
    dropout="0",
    target_modules=("all-linear",),
    scaling="Standard",
    weight_decomposition="Disabled",
    initialization="Default",
)
OF_LORA = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": False, "use_dora": False, "bias": "none"}
OF_BOTTLENECK = BottleneckConfig(
    architecture="Pfeiffer",
    size=8,
    hidden_size=32,
    non_linearity="relu",
    modules=("model.layers.0.mlp",),
    base_model_name_or_path="tests/base",
).model_dump(mode="json")
PFEIFFER = Bottleneck(architecture="Pfeiffer", size=8)


def problems(method: Method, settings: dict[str, Any]) -> list[str]:
    return list(setting_problems(method, settings))


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (LORA, OF_LORA),
        (LORA, OF_LORA | {"lora_dropout": 0.1, "target_modules": ["q_proj"], "init_lora_weights": "gaussian"}),
        # What is not set does nothing, whatever it is.
        (LORA, OF_LORA | {"rank_pattern": {}, "megatron_config": None, "invented": False}),
        (IA3(), {"peft_type": "IA3", "feedforward_modules": ["down_proj"]}),
        (PromptTuning(virtual_tokens=2), {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 2, "token_dim": 32}),
        (PrefixTuning(virtual_tokens=2), {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 2, "num_layers": 2}),
        (PFEIFFER, OF_BOTTLENECK),
    ],
    ids=str,
)
def test_an_adapter_of_the_same_settings_fits(method: Method, settings: dict[str, Any]) -> None:
    assert problems(method, settings) == []


@pytest.mark.parametrize(
    ("method", "settings", "found"),
    [
        (LORA, OF_LORA | {"r": 8}, ["was made with r 8, but method.lora.rank asks for 4: they must agree"]),
        (LORA, {"peft_type": "LORA"}, ["was made with r False, but", "was made with lora_alpha False, but"]),
        # Its other settings are another method's.
        (LORA, {"peft_type": "IA3"}, ["was made with peft_type 'IA3', but method.type asks for 'LORA': they must agr"]),
        (LORA, OF_LORA | {"bias": "all"}, ["was made with bias 'all', which this release can't go on with"]),
        (LORA, OF_LORA | {"alpha_pattern": {"q_proj": 9}}, ["was made with alpha_pattern {'q_proj': 9}, which"]),
        (LORA, OF_LORA | {"r": 2, "invented": 1}, ["was made with r 2, but", "was made with invented 1, which"]),
        (
            LORA,
            OF_LORA | {"init_lora_weights": "pissa"},
            ["was made with init_lora_weights 'pissa', so it fits a chan"],
        ),
        (IA3(), {"peft_type": "IA3", "init_weights": "pissa"}, ["was made with init_weights 'pissa', which"]),
        (
            PrefixTuning(virtual_tokens=2),
            {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3},
            ["was made with num_virtual_tokens 3, but method.prefixTuning.virtualTokens asks for 2"],
        ),
        (PFEIFFER, OF_BOTTLENECK | {"non_linearity": "silu"}, ["was made with non_linearity 'silu', but method.type"]),
        (PFEIFFER, OF_BOTTLENECK | {"format_version": 2}, ["can't be gone on from: adapter_config.json of a bottlen"]),
    ],
    ids=str,
)
def test_every_difference_is_named(method: Method, settings: dict[str, Any], found: list[str]) -> None:
    named = problems(method, settings)
    assert len(named) == len(found)
    assert all(problem.startswith(beginning) for problem, beginning in zip(named, found, strict=True))


def test_tensors_are_compared_by_name_and_shape() -> None:
    wanted = {"a": (2, 3), "b": (4,)}
    assert list(shape_problems({"a": [2, 3], "b": [4]}, wanted)) == []
    (problem,) = shape_problems({"a": (2, 3)}, wanted)
    assert "1 tensors differ, such as b" in problem
    (problem,) = shape_problems({"a": (3, 3), "b": (5,)}, wanted)
    assert problem.startswith("holds a of the shape [3, 3], but method and baseModel ask for [2, 3]: ")


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", None])
def test_settings_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "adapter_config.json").write_bytes(content)
    with pytest.raises(BadData, match=r"^initializeFrom: adapter_config.json of the adapter to go on from can't be"):
        read_parent_settings(tmp_path)
