"""What is computed from packed rows must be what each document gives by itself, with transformers' own loss."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_contract import Quantization
from adapter_testing.learning_lab import FLOAT32, NF4, Recorder, example, examples_of, lora, pairs_of
from adapter_trainer.examples.example import UNLABELLED, Example, Unit
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.parallel import workers
from adapter_trainer.model.rows import make_row
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.objectives.objective import Objective, gradients
from adapter_trainer.training.objectives.preference import Preference
from adapter_trainer.training.objectives.supervised import Supervised
from adapter_trainer.training.passes import Passes

pytestmark = pytest.mark.integration


def model_of(base: Path, held: Quantization = FLOAT32, **changes: object) -> AdaptedModel:
    model = attach_adapter(load_base(base, held), lora(**changes), parent=None, seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.weights():
            weight.add_(torch.randn_like(weight), alpha=0.05)
    return model


def test_a_row_is_laid_out_by_documents() -> None:
    documents = [
        Example.of((5, 6, 7), (UNLABELLED, 6, 7)),
        Example.of((8, 9), (8, 9)),
        Example.of((3, 4), (3, UNLABELLED)),
    ]
    row = make_row(documents, torch.device("cpu"))
    assert row.ids.tolist() == [[5, 6, 7, 8, 9, 3, 4]]
    assert row.positions.tolist() == [[0, 1, 2, 0, 1, 0, 1]]
    assert row.lengths == [3, 2, 2]
    # The first token of a document has none before it, so its label counts for nothing.
    assert (row.before.tolist(), row.targets.tolist()) == ([0, 1, 3], [6, 7, 9])


def reference(model: AdaptedModel, documents: Sequence[Example]) -> tuple[float, list[torch.Tensor]]:
    """Return transformers' own loss over all labels, one document after the other, and its gradients."""
    labelled = sum(document.labelled_tokens for document in documents)
    total = torch.zeros(())
    for document in documents:
        output = model.peft(
            input_ids=torch.tensor([list(document.tokens)]),
            labels=torch.tensor([document.labels]),
            num_items_in_batch=labelled,
            use_cache=False,
        )
        total = total + output.loss
    return total.item(), list(torch.autograd.grad(total, model.weights()))


@pytest.mark.parametrize("method", [{}, {"weightDecomposition": "Enabled"}])
def test_loss_and_gradients_of_a_row_are_those_of_its_documents(tiny_base: Path, method: dict[str, object]) -> None:
    model = model_of(tiny_base, **method)
    documents = examples_of(7)
    expected_loss, expected = reference(model, documents)
    loss, found = gradients(Supervised(), model, documents, sum(document.labelled_tokens for document in documents))
    assert float(loss) == pytest.approx(expected_loss, rel=1e-6)
    for left, right in zip(found, expected, strict=True):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-7)
        assert left.abs().max() > 0


@pytest.mark.parametrize("held", [FLOAT32, NF4])
def test_logits_in_a_row_are_bit_for_bit_those_of_each_document_alone(tiny_base: Path, held: Quantization) -> None:
    model = model_of(tiny_base, held)
    documents = [
        example([(7 * number + position) % 300 + 3 for position in range(length)])
        for number, length in enumerate((16, 64, 32))
    ]
    with torch.no_grad():
        packed = model.label_logits(make_row(documents, model.base.device))
        alone = [model.label_logits(make_row([document], model.base.device)) for document in documents]
    assert packed.dtype == torch.float32
    # Rows of a matrix product may be summed in another order where another number of them is computed.
    assert torch.allclose(packed, torch.cat(alone), rtol=0, atol=0 if held is FLOAT32 else 2e-2)


@pytest.fixture(scope="module")
def shared_model(tiny_base: Path) -> AdaptedModel:
    """In float32; nobody changes its weights."""
    return model_of(tiny_base)


@pytest.fixture(scope="module")
def preference(shared_model: AdaptedModel) -> tuple[Preference, Sequence[Unit]]:
    """Pairs that refer to another adapter than the one with which they are computed."""
    objective = Preference(0.7)
    kept = [weight.detach().clone() for weight in shared_model.weights()]
    with torch.no_grad():
        for weight in shared_model.weights():
            weight.mul_(0.5)
    with workers(shared_model.base.device) as side_by_side:
        passes = Passes(RowBudget(shared_model, packing=True), side_by_side, Recorder())
        units = objective.begin(shared_model, pairs_of(24), passes)
    with torch.no_grad():
        for weight, value in zip(shared_model.weights(), kept, strict=True):
            weight.copy_(value)
    return objective, units


def step(
    objective: Objective, model: AdaptedModel, batch: Sequence[Unit], tokens: int
) -> tuple[float, list[torch.Tensor]]:
    """Return the loss and gradients of an optimizer step, in rows of so many tokens."""
    budget = RowBudget(model, packing=True)
    budget.tokens = tokens
    shares = [gradients(objective, model, row, objective.weight(batch)) for row in budget.rows(batch)]
    return float(sum(loss for loss, _ in shares)), [
        torch.stack(parts).sum(0) for parts in zip(*(part for _, part in shares), strict=True)
    ]


def require_equal_steps(
    objective: Objective, model: AdaptedModel, batch: Sequence[Unit], budgets: Sequence[int]
) -> None:
    expected_loss, expected = step(objective, model, batch, 100_000)
    for tokens in budgets:
        loss, found = step(objective, model, batch, tokens)
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        for left, right in zip(found, expected, strict=True):
            assert torch.allclose(left, right, rtol=1e-3, atol=1e-6)


batches = st.lists(st.integers(0, 23), min_size=1, max_size=12)
budgets = st.lists(st.integers(0, 200), min_size=1, max_size=3)
some_examples = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@some_examples
@given(numbers=batches, tokens=budgets)
def test_the_budget_of_tokens_changes_no_supervised_step(
    shared_model: AdaptedModel, numbers: list[int], tokens: list[int]
) -> None:
    units = examples_of(24)
    require_equal_steps(Supervised(), shared_model, [units[number] for number in numbers], tokens)


@some_examples
@given(numbers=batches, tokens=budgets)
def test_the_budget_of_tokens_changes_no_step_of_preference(
    shared_model: AdaptedModel, preference: tuple[Preference, Sequence[Unit]], numbers: list[int], tokens: list[int]
) -> None:
    objective, units = preference
    require_equal_steps(objective, shared_model, [units[number] for number in numbers], tokens)


def test_a_model_that_cannot_keep_documents_apart_gets_one_at_a_time(tiny_base: Path) -> None:
    model = model_of(tiny_base)
    (document,) = examples_of(1, first=3)
    model.base.model.set_attn_implementation("sdpa")
    object.__setattr__(model.base, "packable", False)
    loss, _ = gradients(Supervised(), model, [document], document.labelled_tokens)
    assert float(loss) == pytest.approx(reference(model, [document])[0], rel=1e-6)
