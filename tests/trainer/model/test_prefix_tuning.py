import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from adapter_contract import Quantization
from adapter_contract.recipe import PrefixTuning
from adapter_testing.families_lab import (
    FAMILIES,
    VOCABULARY,
    WINDOW,
    changed,
    documents,
    family_base,
    largest_difference,
    logits_in_one_row,
    logits_one_by_one,
)
from adapter_testing.learning_lab import FLOAT32, NF4
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import BaseModel, load_base
from adapter_trainer.model.methods.prefix_tuning import PrefixTuningAdapter
from adapter_trainer.model.rows import make_row
from adapter_trainer.model.saving import save_adapter
from adapter_trainer.training.objectives.objective import gradients
from adapter_trainer.training.objectives.supervised import Supervised

pytestmark = [
    pytest.mark.integration,
    # PEFT 0.21 asks transformers 5.23 by a name that is to go in version 6.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    # PEFT's forward pass says that it drops position ids, where none are given.
    pytest.mark.filterwarnings("ignore:Position ids are not supported"),
]

FOUR_BITS = NF4.model_copy(update={"compute_type": "Float32"})
LENGTHS = (11, 5, 41)


def tuned(base: BaseModel, *, tokens: int = 6) -> PrefixTuningAdapter:
    model = attach_adapter(base, PrefixTuning(virtual_tokens=tokens), parent=None, seed=0)
    assert isinstance(model, PrefixTuningAdapter)
    return model


def require_equal_to_peft(model: PrefixTuningAdapter, directory: Path, *, theirs: str) -> None:
    """Compare logits and gradients with those of PEFT's own forward pass, one document after the other."""
    save_adapter(model, directory, base_model_name="tests/tiny")
    base = copy.deepcopy(model.base.model)
    base.set_attn_implementation(theirs)
    loaded = PeftModel.from_pretrained(base, directory)
    loaded.prompt_encoder.requires_grad_()
    examples = documents(LENGTHS)
    expected = torch.cat([loaded(input_ids=torch.tensor([list(one.tokens)])).logits[0, :-1] for one in examples])
    found = logits_in_one_row(model, examples)
    assert torch.allclose(found, expected, atol=3e-5)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (ours,) = torch.autograd.grad((found * upstream).sum(), model.weights())
    weight = loaded.prompt_encoder["default"].embedding.weight
    (other,) = torch.autograd.grad((expected * upstream).sum(), weight)
    assert largest_difference(ours, other) < 1e-4
    assert ours.abs().max() > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_it_computes_what_peft_computes_and_so_are_its_gradients(name: str, tmp_path: Path) -> None:
    model = changed(tuned(family_base(name, FLOAT32)))
    require_equal_to_peft(model, tmp_path, theirs="eager")


@pytest.mark.parametrize("name", ["mistral-window", "phi3-window", "qwen2-window", "gemma2", "gemma3_text"])
def test_a_window_slides_over_the_prefix_as_peft_has_it(name: str, tmp_path: Path) -> None:
    """A prefix almost as long as the window: the last tokens of the longest document see none of it."""
    model = changed(tuned(family_base(name, FLOAT32), tokens=WINDOW - 2))
    require_equal_to_peft(model, tmp_path, theirs="eager")


def test_on_a_base_of_four_bits_it_computes_what_peft_computes(tiny_base: Path, tmp_path: Path) -> None:
    require_equal_to_peft(changed(tuned(load_base(tiny_base, FOUR_BITS))), tmp_path, theirs="sdpa")


@pytest.mark.parametrize("held", [FLOAT32, NF4], ids=["float32", "QLoRA's base"])
def test_documents_in_a_row_give_bit_for_bit_what_each_gives_alone(tiny_base: Path, held: Quantization) -> None:
    model = changed(tuned(load_base(tiny_base, held)))
    examples = documents([16, 64, 32])
    assert torch.equal(logits_in_one_row(model, examples), logits_one_by_one(model, examples))


@pytest.mark.parametrize("held", [FLOAT32, NF4], ids=["float32", "QLoRA's base"])
def test_it_trains_saves_and_reloads_with_no_difference(tiny_base: Path, tmp_path: Path, held: Quantization) -> None:
    model = tuned(load_base(tiny_base, held))
    examples = documents(LENGTHS)
    before = logits_in_one_row(model, examples).detach()
    optimizer = torch.optim.AdamW(model.weights(), lr=0.05)
    losses = []
    for _ in range(20):
        loss, found = gradients(Supervised(), model, examples, sum(one.labelled_tokens for one in examples))
        (model.weights()[0].grad,) = found
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.03
    after = logits_in_one_row(model, examples).detach()
    assert not torch.allclose(after, before, atol=1e-2)
    save_adapter(model, tmp_path, base_model_name="tests/tiny-llama")
    again = attach_adapter(load_base(tiny_base, held), PrefixTuning(virtual_tokens=6), parent=tmp_path, seed=5)
    assert torch.equal(logits_in_one_row(again, examples), after)
    loaded = PeftModel.from_pretrained(load_base(tiny_base, held).model, tmp_path)
    assert torch.equal(loaded.prompt_encoder["default"].embedding.weight, model.learned)
    with torch.no_grad(), model.base.computing():
        ids = torch.tensor([list(examples[0].tokens)])
        assert torch.equal(loaded(input_ids=ids).logits, model.peft(input_ids=ids).logits)


@pytest.mark.parametrize("tokens", [6, 2 * WINDOW])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gemma3_text", "phi"])
def test_it_begins_as_tokens_of_the_vocabulary_before_each_document(name: str, tokens: int) -> None:
    """Also where they are more than the window, of which a cache would drop some."""
    base = family_base(name, FLOAT32)
    torch.manual_seed(0)
    first = torch.randint(VOCABULARY, (tokens,))
    model = tuned(base, tokens=tokens)
    (example,) = documents([30])
    with torch.no_grad():
        whole = base.model(input_ids=torch.cat([first, torch.tensor(list(example.tokens))])[None]).logits[0]
        assert torch.allclose(logits_in_one_row(model, [example]), whole[tokens:-1], atol=2e-5)


def test_a_prefix_takes_no_places_in_a_row(tiny_base: Path) -> None:
    model = tuned(load_base(tiny_base, FLOAT32))
    assert model.virtual_tokens == 0
    row = make_row(documents([3, 4]), model.base.device)
    inputs = model.inputs(row)
    assert inputs["position_ids"].tolist() == [[6, 7, 8, 6, 7, 8, 9]]
    assert inputs["document_lengths"] == [3, 4]
    assert inputs["prefix"].shape == (2, 2, 1, 2, 6, 8)


def test_what_is_published(tiny_base: Path, tmp_path: Path) -> None:
    saved = save_adapter(tuned(load_base(tiny_base, NF4)), tmp_path, base_model_name="tests/tiny-llama")
    assert (saved.facts.method, saved.facts.rank, saved.facts.target_modules) == ("PrefixTuning", None, ())
    # Two layers, keys and values, of two heads of size 8 each.
    assert saved.facts.trainable_parameters == 6 * 2 * 2 * 16
    (tensor,) = load_file(saved.weights).values()
    assert (tensor.dtype, list(tensor.shape)) == (torch.float32, [6, 64])
    config = json.loads(saved.config.read_text())
    assert (config["peft_type"], config["num_virtual_tokens"], config["num_layers"]) == ("PREFIX_TUNING", 6, 2)
    assert (config["num_attention_heads"], config["token_dim"]) == (2, 16)


def test_a_parent_must_be_made_alike(tiny_base: Path, tmp_path: Path) -> None:
    saved = save_adapter(tuned(load_base(tiny_base, FLOAT32)), tmp_path, base_model_name="tests/tiny-llama")
    with pytest.raises(BadConfiguration, match=r"method.prefixTuning.virtualTokens asks for 7"):
        attach_adapter(load_base(tiny_base, FLOAT32), PrefixTuning(virtual_tokens=7), parent=tmp_path, seed=0)
    save_file({"prompt_embeddings": torch.ones(6, 32)}, saved.weights)
    with pytest.raises(BadConfiguration, match=r"prompt_embeddings of the shape \[6, 32\], but .* \[6, 64\]"):
        attach_adapter(load_base(tiny_base, FLOAT32), PrefixTuning(virtual_tokens=6), parent=tmp_path, seed=0)


def test_a_base_whose_attention_cannot_be_exchanged_is_refused(tiny_base: Path) -> None:
    base = dataclasses.replace(load_base(tiny_base, FLOAT32), packable=False)
    with pytest.raises(BadConfiguration, match=r"method.type: PrefixTuning .* of llama can't be changed here"):
        tuned(base)


def test_a_base_whose_layers_have_other_keys_than_peft_takes_them_for_is_refused() -> None:
    base = family_base("llama", FLOAT32)
    base.model.config.num_key_value_heads = 1
    with pytest.raises(BadConfiguration, match=r"method.type: PrefixTuning .* those of llama differ"):
        tuned(base)
