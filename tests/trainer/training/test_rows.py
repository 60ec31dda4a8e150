"""What is computed from packed rows must be what each document gives by itself, with transformers' own loss."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from adapter_contract import Quantization
from adapter_testing.learning_lab import FLOAT32, NF4, example, examples_of, lora
from adapter_trainer.examples.example import UNLABELLED, Example
from adapter_trainer.model.base import load_base
from adapter_trainer.model.lora import TrainableModel, attach_adapter
from adapter_trainer.training.rows import gradients, label_logits, make_row

pytestmark = pytest.mark.integration


def model_of(base: Path, held: Quantization = FLOAT32, **changes: object) -> TrainableModel:
    model = attach_adapter(load_base(base, held), lora(**changes), parent=None, seed=0)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.weights():
            weight.add_(torch.randn_like(weight), alpha=0.05)
    return model


def test_a_row_is_laid_out_by_documents() -> None:
    documents = [Example((5, 6, 7), (UNLABELLED, 6, 7)), Example((8, 9), (8, 9)), Example((3, 4), (3, UNLABELLED))]
    row = make_row(documents, torch.device("cpu"))
    assert row.ids.tolist() == [[5, 6, 7, 8, 9, 3, 4]]
    assert row.positions.tolist() == [[0, 1, 2, 0, 1, 0, 1]]
    assert row.lengths == [3, 2, 2]
    # The first token of a document has none before it, so its label counts for nothing.
    assert (row.before.tolist(), row.targets.tolist()) == ([0, 1, 3], [6, 7, 9])


def reference(model: TrainableModel, documents: Sequence[Example]) -> tuple[float, list[torch.Tensor]]:
    """Return transformers' own loss over all labels, one document after the other, and its gradients."""
    labelled = sum(document.labelled_tokens for document in documents)
    total = torch.zeros(())
    for document in documents:
        output = model.peft(
            input_ids=torch.tensor([document.tokens]),
            labels=torch.tensor([document.labels]),
            num_items_in_batch=labelled,
            use_cache=False,
        )
        total = total + output.loss
    return total.item(), list(torch.autograd.grad(total, list(model.weights())))


@pytest.mark.parametrize("method", [{}, {"weightDecomposition": "Enabled"}])
def test_loss_and_gradients_of_a_row_are_those_of_its_documents(tiny_base: Path, method: dict[str, object]) -> None:
    model = model_of(tiny_base, **method)
    documents = examples_of(7)
    expected_loss, expected = reference(model, documents)
    loss, found = gradients(model, documents, sum(document.labelled_tokens for document in documents))
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
        packed = label_logits(model.base, make_row(documents, model.base.device))
        alone = [label_logits(model.base, make_row([document], model.base.device)) for document in documents]
    assert packed.dtype == torch.float32
    # Rows of a matrix product may be summed in another order where another number of them is computed.
    assert torch.allclose(packed, torch.cat(alone), rtol=0, atol=0 if held is FLOAT32 else 2e-2)


def test_how_a_step_is_divided_into_rows_changes_nothing(tiny_base: Path) -> None:
    model = model_of(tiny_base)
    documents = examples_of(8)
    labelled = sum(document.labelled_tokens for document in documents)
    whole_loss, whole = gradients(model, documents, labelled)
    parts = [gradients(model, documents[start : start + 2], labelled) for start in range(0, 8, 2)]
    assert float(sum(loss for loss, _ in parts)) == pytest.approx(float(whole_loss), rel=1e-6)
    for number, gradient in enumerate(whole):
        summed = torch.stack([shares[number] for _, shares in parts]).sum(0)
        assert torch.allclose(summed, gradient, rtol=1e-4, atol=1e-7)


def test_a_model_that_cannot_keep_documents_apart_gets_one_at_a_time(tiny_base: Path) -> None:
    model = model_of(tiny_base)
    (document,) = examples_of(1, first=3)
    model.base.model.set_attn_implementation("sdpa")
    object.__setattr__(model.base, "packable", False)
    loss, _ = gradients(model, [document], document.labelled_tokens)
    assert float(loss) == pytest.approx(reference(model, [document])[0], rel=1e-6)
