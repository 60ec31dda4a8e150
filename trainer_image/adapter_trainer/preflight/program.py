"""The program around the checks: log, signals, and an end that is always told."""

import logging
import os
from collections.abc import Mapping

from adapter_contract import PreflightReport
from adapter_trainer.environment import Configuration, ConfigurationFile, Environment
from adapter_trainer.errors import BadConfiguration, Interrupted, TrainerError
from adapter_trainer.estimate import estimate_memory
from adapter_trainer.failures import as_trainer_error, is_expected
from adapter_trainer.preflight.checkup import Checkup, Facts
from adapter_trainer.preflight.codes import Code
from adapter_trainer.preflight.ledger import Ledger
from adapter_trainer.preflight.report import make_report, refused_report
from adapter_trainer.processors import limit_threads
from adapter_trainer.reporting.ending import report_result, report_text
from adapter_trainer.reporting.logs import LineStream, configure_logging
from adapter_trainer.stopping import Stopped, StopRequest

_log = logging.getLogger(__name__)

_STOPPED = "preflight was told to stop before it was done; it is started again"


def main(variables: Mapping[str, str]) -> int:
    """Check a run and return the exit code of the process.

    Args:
        variables: the environment, as `adapter_contract.pods` names it: the trainer's.
    """
    limit_threads(os.environ)
    return _Program(variables).run()


class _Program:
    """What is known at each moment, so that the end can be told from wherever it comes."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._lines: LineStream = configure_logging()
        self._stop = StopRequest()
        self._run: int | None = None
        self._configuration: Configuration | None = None
        self._checkup: Checkup | None = None

    def run(self) -> int:
        try:
            self._stop.install()
            report = self._checked()
        except BaseException as error:  # whatever it is, it is told
            with self._stop.deferred():
                return self._failed(error)
        with self._stop.deferred():
            return self._tell(report)

    def _checked(self) -> PreflightReport:
        environment = Environment.read(self._variables)
        file = ConfigurationFile.read(environment.config_file)
        self._run = file.run
        self._configuration = configuration = file.parse(environment.mounts)
        if configuration.declared.preflight.mode == "Disabled":
            return self._nothing_checked()
        self._checkup = Checkup(configuration, environment.work_directory, estimate=estimate_memory)
        self._checkup.run()
        return self._report(configuration, self._checkup)

    def _nothing_checked(self) -> PreflightReport:
        ledger = Ledger()
        ledger.add(Code.PreflightDisabled, "preflight.mode is Disabled: nothing was checked; set it to Enforce or Warn")
        return make_report(ledger, Facts(), run=self._run or 1, mode="Disabled")

    def _report(self, configuration: Configuration, checkup: Checkup) -> PreflightReport:
        declared = configuration.declared
        return make_report(checkup.ledger, checkup.facts, run=declared.run.number, mode=declared.preflight.mode)

    def _failed(self, raised: BaseException) -> int:
        error: TrainerError = Interrupted(_STOPPED) if isinstance(raised, Stopped) else as_trainer_error(raised)
        code = _code_of(error)
        if self._checkup is not None and self._configuration is not None:
            if not is_expected(error):
                _log.error("the checks ended early", exc_info=error.__cause__ or error)
            self._checkup.ledger.add(code, str(error))
            return self._tell(self._report(self._configuration, self._checkup))
        unexpected = None if is_expected(error) else error.__cause__ or error
        _log.error("%s", error, exc_info=unexpected, extra={"fields": {"code": code.name}})
        if self._run is not None:
            return self._tell(refused_report(error, code, run=self._run))
        report_text(str(error), self._variables)
        return int(error.exit_code)

    def _tell(self, report: PreflightReport) -> int:
        report_result(report, self._variables, self._lines)
        return int(report.exit_code)


def _code_of(error: TrainerError) -> Code:
    if isinstance(error, Interrupted):
        return Code.Interrupted
    return Code.ConfigurationInvalid if isinstance(error, BadConfiguration) else Code.CheckFailed
