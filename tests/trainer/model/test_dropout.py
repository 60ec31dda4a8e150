import pytest
import torch

from adapter_trainer.model.dropout import SixteenBitDropout, drawing

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.9])
def test_the_share_is_dropped_and_the_rest_scaled_up_to_it(probability: float) -> None:
    dropout = SixteenBitDropout(probability)
    with drawing(7):
        values = dropout(torch.ones(1000, 333))
    kept = values[values != 0]
    assert kept.numel() / values.numel() == pytest.approx(1 - probability, abs=0.003)
    assert torch.equal(kept, torch.full_like(kept, 65536 / (65536 - round(probability * 65536))))
    assert values.mean().item() == pytest.approx(1, abs=0.02)
    assert values[::2].count_nonzero().item() == pytest.approx(values[1::2].count_nonzero().item(), rel=0.02)


def test_the_seed_decides() -> None:
    dropout = SixteenBitDropout(0.5)
    ones = torch.ones(64, 5, dtype=torch.bfloat16)

    def drawn(seed: int) -> torch.Tensor:
        with drawing(seed):
            return torch.cat([dropout(ones), dropout(ones)])

    assert torch.equal(drawn(2**64 - 1), drawn(2**64 - 1))
    assert not torch.equal(drawn(1), drawn(2))
    assert not torch.equal(*drawn(1).chunk(2))
    assert drawn(1).dtype == torch.bfloat16


def test_gradients_pass_where_values_do() -> None:
    values = torch.ones(100, requires_grad=True)
    with drawing(0):
        dropped = SixteenBitDropout(0.5)(values)
    (gradient,) = torch.autograd.grad(dropped.sum(), values)
    assert torch.equal(gradient, dropped)


def test_nothing_is_dropped_in_evaluation() -> None:
    values = torch.ones(3)
    assert SixteenBitDropout(0.5).train(mode=False)(values) is values
