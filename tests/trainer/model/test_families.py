"""Every family, with every method that works on plain layers: what packing must never change."""

from pathlib import Path

import pytest
import torch

from adapter_contract import Quantization
from adapter_contract.recipe import Method, PrefixTuning, PromptTuning
from adapter_testing.families_lab import (
    EVEN,
    FAMILIES,
    ODD,
    changed,
    documents,
    family_base,
    family_model,
    largest_difference,
    logits_in_one_row,
    logits_one_by_one,
)
from adapter_testing.learning_lab import FLOAT32, NF4, lora
from adapter_trainer.architecture.families import TESTED_FAMILIES
from adapter_trainer.examples.example import Example
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.training.objectives.objective import gradients
from adapter_trainer.training.objectives.supervised import Supervised

pytestmark = pytest.mark.integration

BFLOAT16 = Quantization(type="None", compute_type="BFloat16", double_quantization="Disabled")
METHODS: dict[str, Method] = {
    "LoRA": lora(),
    "PromptTuning": PromptTuning(virtual_tokens=16),
    "PrefixTuning": PrefixTuning(virtual_tokens=5),
}


def adapted(name: str, method: str, held: Quantization = FLOAT32) -> AdaptedModel:
    return changed(attach_adapter(family_base(name, held), METHODS[method], parent=None, seed=0))


def test_the_families_that_are_told_to_be_tested_are() -> None:
    assert {config["model_type"] for config in FAMILIES.values()} == set(TESTED_FAMILIES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_of_a_packed_row_are_those_of_its_documents(name: str, method: str) -> None:
    model = adapted(name, method)
    examples = documents(ODD)
    labels = sum(example.labelled_tokens for example in examples)

    def of(units: list[Example]) -> tuple[torch.Tensor, ...]:
        loss, found = gradients(Supervised(), model, units, labels)
        return loss, *found

    packed = of(examples)
    alone = [torch.stack(parts).sum(0) for parts in zip(*(of([example]) for example in examples), strict=True)]
    for found, expected in zip(packed, alone, strict=True):
        # The order of sums differs, so single precision rounds differently.
        assert largest_difference(found, expected) < 2e-6
    assert all(found.abs().max() > 1e-6 for found in packed)


@pytest.mark.parametrize("held", [FLOAT32, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FAMILIES)
def test_logits_of_a_packed_row_are_bit_for_bit_those_of_its_documents(
    name: str, method: str, held: Quantization
) -> None:
    model = adapted(name, method, held)
    examples = documents(EVEN)
    with torch.no_grad():
        assert torch.equal(logits_in_one_row(model, examples), logits_one_by_one(model, examples))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FAMILIES)
def test_each_method_learns_on_each_family(name: str, method: str) -> None:
    model = attach_adapter(family_base(name, FLOAT32), METHODS[method], parent=None, seed=0)
    examples = documents(ODD)
    labels = sum(example.labelled_tokens for example in examples)
    optimizer = torch.optim.AdamW(model.weights(), lr=0.02)
    losses = []
    for _ in range(8):
        loss, found = gradients(Supervised(), model, examples, labels)
        for weight, gradient in zip(model.weights(), found, strict=True):
            weight.grad = gradient
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_loaded_from_files_as_it_is_tested(name: str, tmp_path: Path) -> None:
    family_model(name).save_pretrained(tmp_path)
    loaded = load_base(tmp_path, FLOAT32)
    assert loaded.packable
    model = changed(attach_adapter(loaded, METHODS["LoRA"], parent=None, seed=0))
    assert torch.equal(
        logits_in_one_row(model, documents(EVEN)), logits_in_one_row(adapted(name, "LoRA"), documents(EVEN))
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_of_four_bits_is_packed_bit_for_bit(name: str, tmp_path: Path) -> None:
    family_model(name).save_pretrained(tmp_path)
    whole, rounded = load_base(tmp_path, BFLOAT16), load_base(tmp_path, NF4)
    tokens = torch.tensor([list(documents([16])[0].tokens)])
    with torch.no_grad():
        assert not torch.allclose(rounded.model(tokens).logits, whole.model(tokens).logits, atol=1e-2)
    model = changed(attach_adapter(rounded, METHODS["PrefixTuning"], parent=None, seed=0))
    examples = documents(EVEN)
    with torch.no_grad():
        assert torch.equal(logits_in_one_row(model, examples), logits_one_by_one(model, examples))
