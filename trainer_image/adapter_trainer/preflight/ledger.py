"""What was found so far: errors and warnings in the order of the checks, and the exit code that they make."""

import logging
from collections.abc import Callable
from typing import TypeVar

from adapter_contract import ExitCode
from adapter_contract.preflight import Finding
from adapter_contract.termination import cut
from adapter_trainer.errors import TrainerError
from adapter_trainer.failures import as_trainer_error, is_expected
from adapter_trainer.preflight.codes import Code, Severity, Subject

MAX_MESSAGE = 8192
"""Characters of one message. A termination message has less room, and cuts it further."""

MAX_FINDINGS = 128
"""Of each severity; those beyond are counted."""

_log = logging.getLogger(__name__)

_ORDER = (
    ExitCode.INTERRUPTED,
    ExitCode.BAD_CONFIGURATION,
    ExitCode.BAD_DATA,
    ExitCode.PERMISSION,
    ExitCode.INPUT_MISSING,
    ExitCode.STORAGE_UNAVAILABLE,
    ExitCode.INTERNAL,
)
"""Of several errors the first of these decides: what no repetition can mend goes before what may mend itself."""

T = TypeVar("T")


class Ledger:
    """Collects findings; each is logged when it is found."""

    def __init__(self) -> None:
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []
        self.omitted = 0
        self._classes: set[ExitCode] = set()

    def add(self, code: Code, message: str, count: int | None = None) -> None:
        """Note a finding.

        Args:
            code: its code, which knows whether it is an error.
            message: a sentence with the object, the field and the fix.
            count: how many examples it is about, where it is about examples.
        """
        meaning = code.value
        is_error = meaning.severity is Severity.ERROR
        level = logging.ERROR if is_error else logging.WARNING
        fields = {"code": code.name} | ({} if count is None else {"count": count})
        _log.log(level, "%s: %s", code.name, cut(message, MAX_MESSAGE), extra={"fields": fields})
        if meaning.exit_code is not None:
            self._classes.add(meaning.exit_code)
        findings = self.errors if is_error else self.warnings
        if len(findings) < MAX_FINDINGS:
            findings.append(Finding(code=code.name, message=cut(message, MAX_MESSAGE), count=count))
        else:
            self.omitted += 1

    def attempt(self, subject: Subject, action: Callable[[], T]) -> T | None:
        """Return what an action returns; None where it failed, with a finding about the subject."""
        try:
            return action()
        except Exception as error:  # what one check meets hides nothing that another finds
            self.failed(subject, error)
            return None

    def failed(self, subject: Subject, error: Exception) -> None:
        """Note why a check of a subject failed."""
        found: TrainerError = as_trainer_error(error)
        code = subject.get(found.exit_code, Code.CheckFailed)
        if not is_expected(found):
            _log.error("a check failed", exc_info=found.__cause__ or found)
        self.add(code, str(found))

    def skipped(self, what: str, why: str) -> None:
        """Note what was not checked."""
        self.add(Code.CheckSkipped, f"{what} could not be checked, since {why}")

    @property
    def exit_code(self) -> ExitCode:
        """The class of the error that decides; DONE without errors."""
        return next((code for code in _ORDER if code in self._classes), ExitCode.DONE)
