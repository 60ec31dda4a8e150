"""Layers that compute again in the backward pass give the same, bit for bit, and keep less."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from adapter_contract import Quantization
from adapter_contract.recipe import Method
from adapter_testing.families_lab import FAMILIES, ODD, changed, documents, family_base
from adapter_testing.learning_lab import FLOAT32, METHOD, pairs_of
from adapter_trainer.examples.example import PreferencePair, Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.checkpointing import Checkpointing
from adapter_trainer.model.dropout import SixteenBitDropout, drawing, drawing_again
from adapter_trainer.model.parallel import workers
from adapter_trainer.training.objectives.objective import Objective, gradients
from adapter_trainer.training.objectives.preference import PairWithReference, Preference
from adapter_trainer.training.objectives.supervised import Supervised

pytestmark = pytest.mark.unit

BFLOAT16 = FLOAT32.model_copy(update={"compute_type": "BFloat16"})
LORA = METHOD | {"dropout": "0.1"}
METHODS: dict[str, dict[str, Any]] = {
    "LoRA": LORA,
    "DoRA": LORA | {"weightDecomposition": "Enabled"},
    "IA3": {"type": "IA3"},
    "prompt tuning": {"type": "PromptTuning", "virtualTokens": 4},
    "prefix tuning": {"type": "PrefixTuning", "virtualTokens": 4},
    "Pfeiffer": {"type": "Bottleneck", "architecture": "Pfeiffer", "size": 8},
    "Houlsby": {"type": "Bottleneck", "architecture": "Houlsby", "size": 8},
}
HELD = {"float32": FLOAT32, "bfloat16": BFLOAT16}
ROWS = [documents(ODD), documents((64, 12)), documents((3,)), documents((40, 40))]

every_type = pytest.mark.parametrize("held", HELD.values(), ids=HELD)


def adapted(family: str, held: Quantization, method: dict[str, Any] = LORA, **config: object) -> AdaptedModel:
    settings: Method = TypeAdapter(Method).validate_json(json.dumps(method))
    return changed(attach_adapter(family_base(family, held, **config), settings, parent=None, seed=0))


def computed(
    model: AdaptedModel, objective: Objective, rows: Sequence[Sequence[Unit]], *, threads: int = 1
) -> list[torch.Tensor]:
    """Return the losses and the gradients of all rows, each with dropout of its own."""

    def compute(numbered: tuple[int, Sequence[Unit]]) -> list[torch.Tensor]:
        number, row = numbered
        with drawing(number):
            loss, found = gradients(objective, model, row, 1)
        return [loss, *found]

    torch.set_num_threads(threads)
    with workers(model.base.device) as side_by_side, model.dropping_out():
        return [tensor for found in side_by_side.map(compute, enumerate(rows)) for tensor in found]


def counting(model: AdaptedModel) -> list[int]:
    """Return a list that grows with each computation of a layer."""
    calls: list[int] = []
    for number, layer in enumerate(model.base.model.get_decoder().layers):
        layer.self_attn.register_forward_pre_hook(lambda *_, number=number: calls.append(number))
    return calls


def require_same(model: AdaptedModel, compute: Callable[[], list[torch.Tensor]]) -> None:
    plain = compute()
    checkpointing = Checkpointing(model.base.model)
    calls = counting(model)
    checkpointing.switch_on()
    again = compute()
    assert sorted(calls) == sorted([*range(checkpointing.layers)] * (len(calls) // checkpointing.layers))
    passes = len(calls)
    checkpointing.switch_off()
    calls.clear()
    after = compute()
    assert passes == 2 * len(calls)
    for one, other, last in zip(plain, again, after, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, last)
    assert all(tensor.isfinite().all() for tensor in plain)
    assert any(tensor.abs().max() > 0 for tensor in plain)


@every_type
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_learns_the_same(held: Quantization, method: dict[str, Any]) -> None:
    model = adapted("llama", held, method)
    require_same(model, lambda: computed(model, Supervised(), ROWS))


@every_type
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_the_same(held: Quantization, family: str) -> None:
    model = adapted(family, held)
    require_same(model, lambda: computed(model, Supervised(), ROWS))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_rows_side_by_side_learn_the_same(method: dict[str, Any]) -> None:
    model = adapted("qwen3", BFLOAT16, method)
    require_same(model, lambda: computed(model, Supervised(), ROWS * 4, threads=4))


@every_type
def test_preferences_are_learned_the_same(held: Quantization) -> None:
    pairs = [_referred(pair) for pair in pairs_of(6)]
    model = adapted("llama", held, vocab_size=400)
    require_same(model, lambda: computed(model, Preference(0.1), [pairs[:4], pairs[4:]]))


def _referred(pair: PreferencePair) -> PairWithReference:
    return PairWithReference(pair.chosen, pair.rejected, (-20.0, -21.0))


def kept_bytes(model: AdaptedModel) -> int:
    """Return what the graph of a row holds, of what isn't the model's."""
    storages = {tensor.untyped_storage().data_ptr() for tensor in model.base.model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in storages:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), model.dropping_out(), drawing(0):
        loss = Supervised().loss(model, ROWS[0])
    assert loss.requires_grad
    return sum(kept.values())


def test_layers_keep_their_inputs_only() -> None:
    model = adapted("llama", BFLOAT16, num_hidden_layers=8)
    plain = kept_bytes(model)
    checkpointing = Checkpointing(model.base.model)
    checkpointing.switch_on()
    assert kept_bytes(model) < plain / 5
    checkpointing.switch_off()
    assert kept_bytes(model) == plain


def test_nothing_is_computed_twice_where_nothing_is_learned() -> None:
    model = adapted("llama", FLOAT32)
    Checkpointing(model.base.model).switch_on()
    calls = counting(model)
    with torch.no_grad():
        computed_once = Supervised().measure(model, ROWS[0])
    assert calls == [0, 1]
    assert computed_once["labels"] == sum(one.labelled_tokens for one in ROWS[0])


def test_hooks_on_a_layer_are_called_once() -> None:
    model = adapted("llama", FLOAT32)
    called: list[object] = []
    model.base.model.get_decoder().layers[0].register_forward_hook(lambda *_: called.append(1))
    Checkpointing(model.base.model).switch_on()
    computed(model, Supervised(), ROWS[:1])
    assert len(called) == 1


def test_switching_twice_is_switching_once() -> None:
    model = adapted("llama", FLOAT32)
    checkpointing = Checkpointing(model.base.model)
    forward = type(model.base.model.get_decoder().layers[0]).forward
    checkpointing.switch_off()
    checkpointing.switch_on()
    checkpointing.switch_on()
    assert checkpointing.is_on
    checkpointing.switch_off()
    assert not checkpointing.is_on
    assert model.base.model.get_decoder().layers[0].forward.__func__ is forward


def test_dropout_draws_again_what_it_drew_and_goes_on_where_it_was() -> None:
    dropout, values = SixteenBitDropout(0.5).train(), torch.ones(64)
    with drawing(5):
        dropout(values)
        again = drawing_again()
        second, third = dropout(values), dropout(values)
    with drawing(5):
        first = dropout(values)
        with again:
            assert torch.equal(dropout(values), second)
        assert torch.equal(dropout(values), second)
        assert torch.equal(dropout(values), third)
    assert not torch.equal(first, second)


def test_dropout_draws_again_where_nothing_was_drawn_before() -> None:
    dropout, values = SixteenBitDropout(0.5).train(), torch.ones(64)
    with drawing(5):
        again = drawing_again()
        expected = dropout(values)
    with again:
        assert torch.equal(dropout(values), expected)
    with pytest.raises(AttributeError), drawing_again():
        dropout(values)
