"""What the training tells, as progress documents: to the log now and then, to the board at every change."""

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from adapter_contract import Phase, Progress
from adapter_trainer.reporting.board import ProgressBoard
from adapter_trainer.reporting.logs import LineStream
from adapter_trainer.training.observer import StepReport

LOG_INTERVAL_SECONDS = 10.0
"""Between two lines of the log while nothing but the step changes."""


class ProgressReporter:
    """Turns events of the attempt into documents: one per event on the board, fewer in the log.

    A change of the phase and an evaluation are logged at once.
    """

    def __init__(
        self, *, run: int, attempt: int, lines: LineStream, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines = lines
        self._monotonic = monotonic
        self._progress = Progress(run=run, attempt=attempt, phase=Phase.LOADING, step=0, updated_time=_now())
        self._losses: list[float] = []
        self._logged = -math.inf
        self.board = ProgressBoard(self._progress)
        self._log()

    def phase(self, phase: Phase) -> None:
        """Begin a phase; one that is on already changes nothing."""
        if phase is not self._progress.phase:
            self._post(phase=phase)
            self._log()

    def step(self, report: StepReport) -> None:
        """Count an optimizer step."""
        self._losses.append(float(report.loss))
        self._post(
            step=report.step,
            total_steps=report.total_steps,
            percent=min(100, report.step * 100 // max(1, report.total_steps)),
            epoch=float(report.epoch),
            loss=sum(self._losses) / len(self._losses),
            tokens_per_second=float(report.tokens_per_second),
            estimated_remaining_seconds=_whole_seconds(report.estimated_remaining_seconds),
        )
        if self._monotonic() - self._logged >= LOG_INTERVAL_SECONDS:
            self._log()

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show the loss on the held-out examples."""
        loss = metrics.get("Loss")
        self._post(step=step, **({} if loss is None else {"eval_loss": float(loss)}))
        self._log()

    def close(self) -> None:
        """Say that the attempt is over."""
        self.board.close()

    def _post(self, **changes: object) -> None:
        document = self._progress.model_dump(by_alias=False) | changes | {"updated_time": _now()}
        self._progress = Progress.model_validate(document)
        self.board.post(self._progress)

    def _log(self) -> None:
        self._lines.write_line(self._progress.to_json().decode())
        self._logged = self._monotonic()
        self._losses.clear()


def _whole_seconds(seconds: float) -> int | None:
    return max(0, round(seconds)) if math.isfinite(seconds) else None


def _now() -> datetime:
    return datetime.now(UTC)
