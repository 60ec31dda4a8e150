"""The last thing that an attempt does: its result into the termination file, and as the last line of the log."""

import logging
from collections.abc import Mapping
from pathlib import Path

from adapter_contract import MAX_TERMINATION_BYTES, PreflightReport, TrainerResult
from adapter_contract.pods import TERMINATION_FILE
from adapter_contract.termination import cut
from adapter_trainer.errors import TrainerError
from adapter_trainer.reporting.logs import LineStream

_LONGEST_MESSAGE = 8192
"""In the log. The termination message has less room, and cuts it further."""

_log = logging.getLogger(__name__)


def failed_result(error: TrainerError, *, run: int, attempt: int) -> TrainerResult:
    """Return the result of an attempt that ended with an error."""
    message = cut(str(error), _LONGEST_MESSAGE)
    return TrainerResult(run=run, attempt=attempt, exit_code=error.exit_code, message=message)


def report_result(result: TrainerResult | PreflightReport, variables: Mapping[str, str], lines: LineStream) -> None:
    """Tell the result. Where the termination file can't be written, the exit code and the log still tell it."""
    _write(variables, result.to_termination_message())
    lines.write_line(result.to_json().decode())


def report_text(message: str, variables: Mapping[str, str]) -> None:
    """Tell an end for which there is no result, since not even the number of the run is known."""
    _write(variables, message.encode()[:MAX_TERMINATION_BYTES].decode(errors="ignore").encode())


def _write(variables: Mapping[str, str], message: bytes) -> None:
    path = variables.get(TERMINATION_FILE)
    if not path:
        _log.warning("%s is not set: the result stands in this log only", TERMINATION_FILE)
        return
    try:
        Path(path).write_bytes(message)
    except OSError as error:
        _log.warning("the result can't be written to %s (%s): it stands in this log only", path, error.strerror)
