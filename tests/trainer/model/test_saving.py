import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from adapter_testing.learning_lab import FLOAT32, lora
from adapter_trainer.errors import Diverged
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.saving import save_adapter

pytestmark = [
    pytest.mark.integration,
    # PEFT 0.21 asks transformers 5.23 by a name that is to go in version 6.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


def trained(base: Path, **changes: object) -> AdaptedModel:
    """Return a model whose adapter does something."""
    model = attach_adapter(load_base(base, FLOAT32), lora(**changes), parent=None, seed=0)
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.weights():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    return model


@pytest.mark.parametrize(
    "changes", [{}, {"scaling": "RankStabilized"}, {"weightDecomposition": "Enabled"}, {"targetModules": ["v_proj"]}]
)
def test_peft_reads_what_was_saved_and_computes_the_same(
    tiny_base: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    model = trained(tiny_base, **changes)
    saved = save_adapter(model, tmp_path / "adapter", base_model_name="tests/tiny-llama")
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter")
    tokens = torch.arange(3, 23)[None]
    with torch.no_grad():
        expected = model.base.model(input_ids=tokens).logits
        plain = base.get_submodule("model").embed_tokens(tokens)
        assert torch.allclose(loaded(input_ids=tokens).logits, expected, atol=1e-5)
        with loaded.disable_adapter():
            assert not torch.allclose(loaded(inputs_embeds=plain).logits, expected, atol=1e-2)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {saved.config.name, saved.weights.name}


def test_the_facts_are_those_of_the_files(tiny_base: Path, tmp_path: Path) -> None:
    saved = save_adapter(trained(tiny_base, targetModules=["v_proj", "q_proj"]), tmp_path, base_model_name="tests/base")
    assert saved.facts.target_modules == ("q_proj", "v_proj")
    assert (saved.facts.method, saved.facts.rank, saved.facts.dtype) == ("LoRA", 4, "Float32")
    assert saved.facts.size_bytes == saved.weights.stat().st_size
    with safe_open(saved.weights, framework="pt") as file:
        tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118 - it is no mapping
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert saved.facts.trainable_parameters == sum(tensor.numel() for tensor in tensors)
    config = json.loads(saved.config.read_text())
    assert config["base_model_name_or_path"] == "tests/base"
    assert config["target_modules"] == ["q_proj", "v_proj"]


def test_equal_weights_give_equal_bytes(tiny_base: Path, tmp_path: Path) -> None:
    one, other = (
        save_adapter(trained(tiny_base), tmp_path / name, base_model_name="tests/base") for name in ("a", "b")
    )
    assert one.weights.read_bytes() == other.weights.read_bytes()
    assert one.config.read_bytes() == other.config.read_bytes()
    # PEFT keeps the names in a set, whose order changes from process to process.
    names = json.loads(one.config.read_text())["target_modules"]
    assert len(names) > 1
    assert names == sorted(names)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_never_written(tiny_base: Path, tmp_path: Path, value: float) -> None:
    model = trained(tiny_base)
    with torch.no_grad():
        list(model.weights())[5].view(-1)[3] = value
    with pytest.raises(Diverged, match=r"the adapter's weights hold NaN or infinity \(base_model.model.*lora_"):
        save_adapter(model, tmp_path / "adapter", base_model_name="tests/base")
    assert not (tmp_path / "adapter").exists()
