"""Progress lines: one line each, and never the reason why a training ends."""

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter_contract import InvalidDocument, Phase, Progress

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def progress(**changes):
    return Progress(run=1, attempt=1, phase=Phase.TRAINING, step=7, updated_time=NOW, **changes)


def test_a_report_is_one_line():
    line = progress(loss=1.5).to_line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Progress.from_json(line) == progress(loss=1.5)


@pytest.mark.parametrize("reading", [math.nan, math.inf, -math.inf])
def test_a_reading_that_is_no_number_counts_as_absent(reading):
    report = progress(loss=reading, eval_loss=reading, tokens_per_second=reading, epoch=reading)
    assert report == progress()
    assert b"loss" not in report.to_line()


@pytest.mark.parametrize("number", [1e21, 1e-7, 5e-324, 1.7976931348623157e308, 3.0, 0.1 + 0.2])
def test_readings_are_read_back_exactly(number):
    assert Progress.from_json(progress(loss=number).to_line()).loss == number


def test_negative_zero_is_zero():
    assert b'"loss":0,' in progress(loss=-0.0).to_line()


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'"percent":25', b'"percent":101', "percent"),
        (b'"percent":25', b'"percent":25.5', "percent"),
        (b'"step":120', b'"step":-1', "step"),
        (b'"phase":"Training"', b'"phase":"training"', "phase"),
        (b'"loss":1.3125', b'"loss":"1.3125"', "loss"),
    ],
)
def test_nonsense_is_refused(old, new, field):
    data = (GOLDEN / "progress.full.json").read_bytes()
    assert old in data
    with pytest.raises(InvalidDocument) as caught:
        Progress.from_json(data.replace(old, new))
    assert [problem.field for problem in caught.value.problems] == [field]
