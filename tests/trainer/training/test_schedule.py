import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_testing.learning_lab import learning_config
from adapter_trainer.training.schedule import Schedule

pytestmark = pytest.mark.unit


def schedule(examples: int, **given: object) -> Schedule:
    return Schedule(examples, learning_config(hyperparameters=given).hyperparameters)


@given(examples=st.integers(1, 50), batch=st.integers(1, 20), epochs=st.integers(1, 4), seed=st.integers(0, 5))
def test_every_pass_takes_every_example_once(examples: int, batch: int, epochs: int, seed: int) -> None:
    plan = schedule(examples, batchSize=batch, epochs=str(epochs), seed=seed)
    batches = [plan.batch(step) for step in range(1, plan.total_steps + 1)]
    assert all(len(one) == batch for one in batches[:-1])
    taken = [example for one in batches for example in one]
    assert len(taken) == examples * epochs
    for epoch in range(epochs):
        assert Counter(taken[epoch * examples : (epoch + 1) * examples]) == Counter(range(examples))


def test_the_order_differs_by_seed_and_by_pass_and_is_written_down() -> None:
    plan = schedule(6, batchSize=6, seed=0)
    assert [plan.batch(1), plan.batch(2)] == [[4, 2, 0, 5, 1, 3], [1, 3, 4, 0, 5, 2]]
    assert schedule(6, batchSize=6, seed=1).batch(1) != plan.batch(1)


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"epochs": "1"}, 3),
        ({"epochs": "2"}, 5),
        ({"epochs": "0.5"}, 2),
        ({"epochs": "0.001"}, 1),
        ({"epochs": "2", "maxSteps": 4}, 4),
        ({"epochs": "2", "maxSteps": 9}, 5),
    ],
)
def test_the_number_of_steps(given: dict[str, object], steps: int) -> None:
    assert schedule(10, batchSize=4, **given).total_steps == steps


def test_the_end_of_a_pass_falls_on_the_step_that_takes_its_last_example() -> None:
    plan = schedule(10, batchSize=4, epochs="2")
    assert [plan.epoch(step) for step in range(1, 6)] == [0.4, 0.8, 1.2, 1.6, 2.0]
    assert [step for step in range(1, 6) if plan.ends_epoch(step)] == [3, 5]


def rates(scheduler: str, warmup: str = "0.2", steps: int = 10) -> list[float]:
    plan = schedule(steps, batchSize=1, epochs="1", scheduler=scheduler, warmup=warmup, learningRate="1")
    return [plan.learning_rate(step) for step in range(1, steps + 1)]


def test_learning_rates_rise_to_the_peak_and_fall_towards_nothing() -> None:
    assert rates("Constant") == [0.5, *[1.0] * 9]
    assert rates("Linear") == pytest.approx([0.5, 1.0, *[left / 8 for left in range(8, 0, -1)]])
    cosine = [0.5 * (1 - math.cos(math.pi * left / 8)) for left in range(8, 0, -1)]
    assert rates("Cosine") == pytest.approx([0.5, 1.0, *cosine])
    assert rates("Cosine", "0")[0] == 1.0
    assert rates("Linear", "1")[-1] == 1.0


@given(
    scheduler=st.sampled_from(["Cosine", "Linear", "Constant"]),
    warmup=st.sampled_from(["0", "0.03", "0.5", "1"]),
    steps=st.integers(1, 40),
)
def test_every_step_learns_something_and_none_more_than_the_peak(scheduler: str, warmup: str, steps: int) -> None:
    assert all(0 < rate <= 1 for rate in rates(scheduler, warmup, steps))
