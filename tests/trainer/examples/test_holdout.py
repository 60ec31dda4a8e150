import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_trainer.examples.holdout import held_out
from adapter_trainer.examples.refusals import TooFewToHoldOut

pytestmark = pytest.mark.unit


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


@given(
    numbers=st.lists(st.integers(0, 40), min_size=2, max_size=60).filter(lambda numbers: len(set(numbers)) > 1),
    percent=st.sampled_from(["0.001", "5", "12.5", "50", "99.9"]),
    seed=st.integers(0, 99),
)
def test_the_choice_depends_on_the_examples_alone(numbers: list[int], percent: str, seed: int) -> None:
    chosen = {numbers[position] for position in held_out([digest(number) for number in numbers], percent)}
    left = [number for number in numbers if number not in chosen]
    assert chosen
    assert left
    shuffled = random.Random(seed).sample(numbers, len(numbers))  # noqa: S311 - test data
    again = [shuffled[position] for position in held_out([digest(number) for number in shuffled], percent)]
    assert set(again) == chosen
    assert again == sorted(again, key=digest)
    assert len(again) + len(left) == len(numbers)


def test_the_share_is_that_of_different_examples() -> None:
    digests = [digest(number) for number in range(200)]
    assert len(held_out(digests, "5")) == 10
    assert len(held_out(digests * 2, "5")) == 20


def test_one_example_cannot_be_divided() -> None:
    with pytest.raises(
        TooFewToHoldOut, match=r"evaluation.holdout.percent: the dataset has fewer than two different examples"
    ):
        held_out([digest(1), digest(1)], "50")
