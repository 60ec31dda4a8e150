"""Sampling draws from the distribution that temperature and top_p describe, repeatably by seed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from adapter_server.engines.engine import GenerationRequest
from adapter_server.engines.transformers.sampling import Sampler, token_probabilities

pytestmark = pytest.mark.unit

LOGITS = torch.tensor([0.5, 2.0, -1.0, 1.9, 0.0, -3.0])


def sampler(**changes: object) -> Sampler:
    return Sampler.of(GenerationRequest(prompt_tokens=(1,), max_tokens=1, **changes))


@given(
    st.lists(st.integers(-400, 400), min_size=2, max_size=12, unique=True),
    st.sampled_from([0.2, 0.7, 1.0, 1.8]),
    st.sampled_from([0.05, 0.31, 0.83, 0.97, 1.0]),
)
def test_probabilities_are_those_of_transformers(values: list[int], temperature: float, top_p: float) -> None:
    logits = torch.tensor(values) / 37
    expected = TemperatureLogitsWarper(temperature)(None, logits[None])
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    got = token_probabilities(logits, temperature, top_p)
    torch.testing.assert_close(got / got.sum(), torch.softmax(expected[0], -1))


def test_the_smallest_temperature_is_the_most_likely_token() -> None:
    probabilities = token_probabilities(LOGITS * 50, 1e-38, 1.0)
    assert probabilities.tolist() == [0, 1, 0, 0, 0, 0]


def test_temperature_zero_takes_the_most_likely_token() -> None:
    assert {sampler(temperature=0).choose(LOGITS) for _ in range(20)} == {1}


def test_a_seed_repeats_and_another_one_differs() -> None:
    def drawn(seed: int | None) -> list[int]:
        one = sampler(seed=seed)
        return [one.choose(LOGITS) for _ in range(50)]

    assert drawn(7) == drawn(7)
    assert drawn(-7) != drawn(7)
    assert drawn(None) != drawn(None)


def test_frequencies_follow_the_probabilities() -> None:
    one = sampler(seed=1, top_p=0.8)
    drawn = torch.bincount(torch.tensor([one.choose(LOGITS) for _ in range(4000)]), minlength=6) / 4000
    expected = token_probabilities(LOGITS, 1.0, 0.8)
    torch.testing.assert_close(drawn, expected / expected.sum(), atol=0.03, rtol=0)
    assert drawn[expected == 0].sum() == 0
