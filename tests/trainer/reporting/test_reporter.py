"""What becomes of the training's events: documents on the board, fewer of them in the log."""

import io
import json
import math

import pytest

from adapter_contract import Phase, Progress
from adapter_trainer.reporting.logs import LineStream
from adapter_trainer.reporting.reporter import LOG_INTERVAL_SECONDS, ProgressReporter
from adapter_trainer.training.observer import StepReport

pytestmark = pytest.mark.unit


def report(step: int, loss: float, *, tokens_per_second: float = 160.0, remaining: float = 12.4) -> StepReport:
    return StepReport(
        step=step,
        total_steps=40,
        epoch=0.5,
        loss=loss,
        tokens_per_second=tokens_per_second,
        estimated_remaining_seconds=remaining,
    )


class Lab:
    def __init__(self) -> None:
        self.now = 100.0
        self.text = io.StringIO()
        self.reporter = ProgressReporter(run=2, attempt=3, lines=LineStream(self.text), monotonic=lambda: self.now)

    @property
    def logged(self) -> list[Progress]:
        return [Progress.from_json(line) for line in self.text.getvalue().splitlines()]


def test_it_begins_with_loading() -> None:
    lab = Lab()
    (first,) = lab.logged
    assert (first.run, first.attempt, first.phase, first.step) == (2, 3, Phase.LOADING, 0)
    assert lab.reporter.board.newest.progress == first


def test_a_phase_is_logged_once_and_at_once() -> None:
    lab = Lab()
    for phase in (Phase.LOADING, Phase.TRAINING, Phase.TRAINING, Phase.UPLOADING):
        lab.reporter.phase(phase)
    assert [one.phase for one in lab.logged] == [Phase.LOADING, Phase.TRAINING, Phase.UPLOADING]


def test_steps_change_the_board_each_time_and_the_log_now_and_then() -> None:
    lab = Lab()
    lab.reporter.phase(Phase.TRAINING)
    for step, loss in ((1, 4.0), (2, 2.0)):
        lab.now += 1
        lab.reporter.step(report(step, loss))
    assert lab.reporter.board.newest.number == 4
    assert len(lab.logged) == 2
    lab.now += LOG_INTERVAL_SECONDS
    lab.reporter.step(report(3, 3.0))
    newest = lab.logged[-1]
    assert (newest.step, newest.total_steps, newest.percent, newest.loss) == (3, 40, 7, 3.0)
    assert (newest.epoch, newest.tokens_per_second, newest.estimated_remaining_seconds) == (0.5, 160.0, 12)
    lab.reporter.step(report(4, 1.0))
    assert lab.reporter.board.newest.progress.loss == 1.0  # the mean is of what came since the last line


def test_an_evaluation_is_logged_at_once() -> None:
    lab = Lab()
    lab.reporter.evaluated(20, {"Loss": 1.25, "Perplexity": 3.49})
    lab.reporter.evaluated(40, {"TokenAccuracy": 0.5})
    assert [(one.step, one.eval_loss) for one in lab.logged[1:]] == [(20, 1.25), (40, 1.25)]


def test_readings_that_are_no_numbers_end_nothing() -> None:
    lab = Lab()
    lab.reporter.step(report(41, math.nan, tokens_per_second=math.inf, remaining=math.inf))
    found = lab.reporter.board.newest.progress
    assert (found.loss, found.tokens_per_second, found.estimated_remaining_seconds) == (None, None, None)
    assert found.percent == 100


def test_the_lines_are_the_documents_themselves() -> None:
    lab = Lab()
    assert json.loads(lab.text.getvalue())["kind"] == "Progress"


def test_the_end_closes_the_board() -> None:
    lab = Lab()
    lab.reporter.close()
    assert lab.reporter.board.newest.closed
