"""The last words of an attempt."""

import io
import logging
from pathlib import Path

import pytest

from adapter_contract import ExitCode, TrainerResult
from adapter_trainer.errors import BadData
from adapter_trainer.reporting.ending import failed_result, report_result, report_text
from adapter_trainer.reporting.logs import LineStream

pytestmark = pytest.mark.unit


def test_a_result_stands_in_the_termination_file_and_last_in_the_log(tmp_path: Path) -> None:
    stream, path = io.StringIO(), tmp_path / "termination-log"
    result = failed_result(BadData("line 3: no messages"), run=2, attempt=4)
    report_result(result, {"ADAPTER_TERMINATION_FILE": str(path)}, LineStream(stream))
    assert TrainerResult.from_json(path.read_bytes()) == TrainerResult.from_json(stream.getvalue()) == result
    assert (result.run, result.attempt, result.exit_code) == (2, 4, ExitCode.BAD_DATA)


def test_a_message_without_end_is_cut(tmp_path: Path) -> None:
    stream, path = io.StringIO(), tmp_path / "termination-log"
    result = failed_result(BadData("x" * 1_000_000), run=1, attempt=1)
    report_result(result, {"ADAPTER_TERMINATION_FILE": str(path)}, LineStream(stream))
    assert path.stat().st_size <= 4096
    assert len(stream.getvalue()) < 10_000


@pytest.mark.parametrize("variables", [{}, {"ADAPTER_TERMINATION_FILE": "/no/such/directory/log"}])
def test_a_file_that_can_not_be_written_is_no_failure(
    variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    stream = io.StringIO()
    with caplog.at_level(logging.WARNING):
        report_result(failed_result(BadData("x"), run=1, attempt=1), variables, LineStream(stream))
    assert "in this log only" in caplog.text
    assert stream.getvalue() != ""


def test_text_is_cut_between_characters(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    report_text("\N{EURO SIGN}" * 2000, {"ADAPTER_TERMINATION_FILE": str(path)})
    assert path.read_text() == "\N{EURO SIGN}" * 1365
