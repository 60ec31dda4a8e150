"""Bottleneck adapters: where they sit in each family, what they compute, and which parents they go on from."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from adapter_contract import BottleneckConfig, Quantization, find_bottleneck_problems
from adapter_contract.recipe import Bottleneck
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
from adapter_testing.learning_lab import FLOAT32, NF4
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import BaseModel, load_base
from adapter_trainer.model.parallel import workers
from adapter_trainer.model.saving import save_adapter
from adapter_trainer.training.objectives.objective import gradients
from adapter_trainer.training.objectives.supervised import Supervised

pytestmark = pytest.mark.integration

INT8 = Quantization(type="Int8", compute_type="BFloat16", double_quantization="Disabled")
HOULSBY = Bottleneck(architecture="Houlsby", size=8)
PFEIFFER = Bottleneck(architecture="Pfeiffer", size=8)

both = pytest.mark.parametrize("method", [HOULSBY, PFEIFFER], ids=lambda method: method.architecture)
every_family = pytest.mark.parametrize("family", FAMILIES)


def attached(
    base: BaseModel, method: Bottleneck = HOULSBY, *, parent: Path | None = None, seed: int = 0
) -> AdaptedModel:
    return attach_adapter(base, method, parent=parent, seed=seed)


def saved(model: AdaptedModel, directory: Path) -> Path:
    save_adapter(changed(model), directory, base_model_name="tests/base")
    return directory


class Adapted(nn.Module):
    """A sublayer with a bottleneck behind it, by the contract's formula."""

    def __init__(self, sublayer: nn.Module, tensors: Mapping[str, torch.Tensor], name: str) -> None:
        super().__init__()
        self.sublayer = sublayer
        self.weights = [tensors[f"{name}.bottleneck.{part}"] for part in ("down.weight", "down.bias")]
        self.weights += [tensors[f"{name}.bottleneck.{part}"] for part in ("up.weight", "up.bias")]

    def forward(self, *arguments: Any, **named: Any) -> Any:
        output = self.sublayer(*arguments, **named)
        y = output[0] if isinstance(output, tuple) else output
        down, down_bias, up, up_bias = self.weights
        y = y + torch.relu(y @ down.T + down_bias) @ up.T + up_bias
        return (y, *output[1:]) if isinstance(output, tuple) else y


@both
@every_family
def test_each_family_computes_what_the_saved_file_says(family: str, method: Bottleneck, tmp_path: Path) -> None:
    directory = saved(attached(family_base(family, FLOAT32), method), tmp_path)
    adapted = attached(family_base(family, FLOAT32), method, parent=directory, seed=9)
    tensors = load_file(directory / "adapter_model.safetensors")
    reference = family_model(family)
    kinds = ("self_attn", "mlp") if method is HOULSBY else ("mlp",)
    for number, block in enumerate(reference.model.layers):
        for kind in kinds:
            setattr(block, kind, Adapted(getattr(block, kind), tensors, f"model.layers.{number}.{kind}"))
    assert len(tensors) == 4 * len(kinds) * len(reference.model.layers)
    with torch.no_grad():
        for example in documents(ODD):
            ids = torch.tensor([list(example.tokens)])
            expected = reference(input_ids=ids, use_cache=False).logits[0, :-1]
            assert largest_difference(logits_in_one_row(adapted, [example]), expected) < 1e-5
            plain = family_model(family)(input_ids=ids, use_cache=False).logits[0, :-1]
            assert largest_difference(expected, plain) > 1e-2


@every_family
def test_documents_in_one_row_are_computed_bit_for_bit_as_alone(family: str) -> None:
    model = changed(attached(family_base(family, FLOAT32)))
    with torch.no_grad():
        assert torch.equal(logits_in_one_row(model, documents(EVEN)), logits_one_by_one(model, documents(EVEN)))


@every_family
def test_gradients_of_one_row_are_those_of_its_documents(family: str) -> None:
    model = changed(attached(family_base(family, FLOAT32)))
    examples = documents(ODD)
    divisor = sum(one.labelled_tokens for one in examples)
    _, packed = gradients(Supervised(), model, examples, divisor)
    each = [gradients(Supervised(), model, [one], divisor)[1] for one in examples]
    for found, *parts in zip(packed, *each, strict=True):
        assert largest_difference(found, torch.stack(parts).sum(0)) < 1e-4
        assert found.abs().max() > 0


@both
@pytest.mark.parametrize("held", [FLOAT32, NF4, INT8], ids=lambda held: held.type)
def test_it_learns_saves_and_reloads_without_any_difference(
    tiny_base: Path, tmp_path: Path, method: Bottleneck, held: Quantization
) -> None:
    base = load_base(tiny_base, held)
    examples = documents(EVEN)
    with torch.no_grad():
        plain = logits_in_one_row(attached(load_base(tiny_base, held), method), examples)
    model = attached(base, method)
    divisor = sum(one.labelled_tokens for one in examples)
    optimizer = torch.optim.AdamW(model.weights(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss, grads = gradients(Supervised(), model, examples, divisor)
        for weight, gradient in zip(model.weights(), grads, strict=True):
            weight.grad = gradient
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.05
    save_adapter(model, tmp_path, base_model_name="tests/base")
    again = attached(load_base(tiny_base, held), method, parent=tmp_path, seed=5)
    with torch.no_grad():
        learned = logits_in_one_row(model, examples)
        assert torch.equal(logits_in_one_row(again, examples), learned)
        assert not torch.allclose(learned, plain, atol=1e-2)


@both
def test_a_fresh_adapter_changes_nothing_and_its_weights_are_in_float32(tiny_base: Path, method: Bottleneck) -> None:
    base = load_base(tiny_base, NF4)
    ids = torch.arange(3, 35)[None]
    with torch.no_grad(), base.computing():
        before = base.model(input_ids=ids, use_cache=False).logits
        model = attached(base, method)
        assert torch.equal(base.model(input_ids=ids, use_cache=False).logits, before)
    assert {weight.dtype for weight in model.weights()} == {torch.float32}
    assert all(weight.requires_grad for weight in model.weights())
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_the_seed_decides_on_the_initial_weights(tiny_base: Path) -> None:
    one, again, other = (attached(load_base(tiny_base, FLOAT32), seed=seed).weights() for seed in (1, 1, 2))
    assert all(torch.equal(left, right) for left, right in zip(one, again, strict=True))
    assert not all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def test_rows_on_threads_are_computed_as_one_after_the_other(tiny_base: Path) -> None:
    model = changed(attached(load_base(tiny_base, FLOAT32)))
    rows = [[one] for one in documents(EVEN + ODD)]
    torch.set_num_threads(4)
    with workers(model.base.device) as side_by_side:
        found = list(side_by_side.map(lambda row: gradients(Supervised(), model, row, 10), rows * 3))
    torch.set_num_threads(1)
    for row, (loss, grads) in zip(rows * 3, found, strict=True):
        alone, expected = gradients(Supervised(), model, row, 10)
        assert torch.equal(loss, alone)
        assert all(torch.equal(left, right) for left, right in zip(grads, expected, strict=True))


@pytest.mark.parametrize(
    ("method", "modules", "names"), [(HOULSBY, 4, ("mlp", "self_attn")), (PFEIFFER, 2, ("mlp",))], ids=["Houlsby", "Pf"]
)
def test_the_files_are_those_of_the_contract(
    tiny_base: Path, tmp_path: Path, method: Bottleneck, modules: int, names: tuple[str, ...]
) -> None:
    one = save_adapter(attached(load_base(tiny_base, NF4), method), tmp_path / "a", base_model_name="tests/base")
    other = save_adapter(attached(load_base(tiny_base, NF4), method), tmp_path / "b", base_model_name="tests/base")
    assert (one.config.read_bytes(), one.weights.read_bytes()) == (
        other.config.read_bytes(),
        other.weights.read_bytes(),
    )
    config = BottleneckConfig.from_json(one.config.read_bytes())
    assert (config.architecture, config.size, config.hidden_size) == (method.architecture, 8, 32)
    assert (config.base_model_name_or_path, len(config.modules)) == ("tests/base", modules)
    tensors = load_file(one.weights)
    assert find_bottleneck_problems(config, {name: tuple(tensor.shape) for name, tensor in tensors.items()}) == ()
    facts = one.facts
    assert (facts.method, facts.rank, facts.target_modules, facts.dtype) == ("Bottleneck", None, names, "Float32")
    assert (
        facts.trainable_parameters == modules * (2 * 8 * 32 + 8 + 32) == sum(map(torch.Tensor.numel, tensors.values()))
    )


def edited(**changes: object) -> Callable[[Path], None]:
    def edit(parent: Path) -> None:
        path = parent / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def _without_a_tensor(parent: Path) -> None:
    weights = parent / "adapter_model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.bottleneck.up.bias"]
    save_file(tensors, weights)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            edited(peft_type="LORA"),
            BadConfiguration,
            "made with peft_type 'LORA', but method.type asks for 'BOTTLENECK'",
        ),
        (edited(size=4), BadConfiguration, "made with size 4, but method.bottleneck.size asks for 8"),
        (
            edited(architecture="Pfeiffer"),
            BadConfiguration,
            "made with architecture 'Pfeiffer', but method.bottleneck.architecture asks for 'Houlsby'",
        ),
        (edited(format_version=2), BadConfiguration, "format_version: Input should be 1"),
        (
            edited(non_linearity="silu"),
            BadConfiguration,
            "made with non_linearity 'silu', but method.type Bottleneck asks for 'relu'",
        ),
        (_without_a_tensor, BadConfiguration, "1 tensors differ, such as model.layers.1.mlp.bottleneck.up.bias"),
        (lambda parent: (parent / "adapter_config.json").write_text("[]"), BadData, "adapter_config.json of the"),
        (lambda parent: (parent / "adapter_model.safetensors").write_text("cut"), BadData, "adapter_model.safetensors"),
    ],
)
def test_a_parent_that_does_not_fit_is_refused(
    tiny_base: Path, tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    directory = saved(attached(load_base(tiny_base, FLOAT32)), tmp_path)
    spoil(directory)
    with pytest.raises(error) as raised:
        attached(load_base(tiny_base, FLOAT32), parent=directory)
    assert str(raised.value).startswith("initializeFrom: ")
    assert message in str(raised.value)


@both
def test_a_base_with_other_blocks_is_refused(tmp_path: Path, method: Bottleneck) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2)).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    base = BaseModel(model, FLOAT32, torch.float32, packable=False, directory=tmp_path)
    with pytest.raises(BadConfiguration, match=r"method.type: Bottleneck can't be trained on a GPT2LMHeadModel: "):
        attached(base, method)
