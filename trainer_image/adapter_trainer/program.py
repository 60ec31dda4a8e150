"""The program around an attempt: log, signals, management server, and an end that is always told."""

import logging
import os
from collections.abc import Mapping

from adapter_contract import TrainerResult
from adapter_trainer.attempt import Attempt
from adapter_trainer.environment import ConfigurationFile, Environment
from adapter_trainer.errors import TrainerError
from adapter_trainer.failures import as_trainer_error, is_expected
from adapter_trainer.libraries import LIBRARIES
from adapter_trainer.processors import limit_threads
from adapter_trainer.reporting.ending import failed_result, report_result, report_text
from adapter_trainer.reporting.logs import LineStream, configure_logging
from adapter_trainer.reporting.reporter import ProgressReporter
from adapter_trainer.reporting.server import ManagementServer
from adapter_trainer.stopping import StopRequest

_log = logging.getLogger(__name__)


def main(variables: Mapping[str, str]) -> int:
    """Run one attempt and return the exit code of the process.

    Args:
        variables: the environment, as `adapter_contract.pods` names it.
    """
    os.environ.update(LIBRARIES)
    limit_threads(os.environ)
    return _Program(variables).run()


class _Program:
    """What is known at each moment, so that the end can be told from wherever it comes."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._lines: LineStream = configure_logging()
        self._stop = StopRequest()
        self._environment: Environment | None = None
        self._run: int | None = None
        self._attempt: Attempt | None = None
        self._reporter: ProgressReporter | None = None
        self._server: ManagementServer | None = None

    def run(self) -> int:
        try:
            self._stop.install()
            result = self._attempted()
        except BaseException as error:  # whatever it is, it is told
            with self._stop.deferred():
                return self._failed(as_trainer_error(error))
        with self._stop.deferred():
            return self._tell(result)

    def _attempted(self) -> TrainerResult:
        self._environment = environment = Environment.read(self._variables)
        file = ConfigurationFile.read(environment.config_file)
        self._run = file.run
        configuration = file.parse(environment.mounts)
        run = configuration.declared.run.number
        self._reporter = ProgressReporter(run=run, attempt=environment.attempt, lines=self._lines)
        self._listen(environment, self._reporter)
        self._attempt = Attempt(configuration, environment, self._reporter, self._stop)
        return self._attempt.run()

    def _listen(self, environment: Environment, reporter: ProgressReporter) -> None:
        address, port = environment.bind_address, environment.management_port
        try:
            self._server = ManagementServer(reporter.board, address, port)
        except OSError as error:
            _log.warning("progress stands in this log only: %s:%d can't be listened on (%s)", address, port, error)
            return
        fields = {"port": self._server.port}
        _log.info("progress is served on port %d", self._server.port, extra={"fields": fields})

    def _failed(self, error: TrainerError) -> int:
        fields = {"exitCode": int(error.exit_code), "class": error.exit_code.failure_class}
        unexpected = None if is_expected(error) else error.__cause__ or error
        _log.error("%s", error, exc_info=unexpected, extra={"fields": fields})
        if self._attempt is not None:
            return self._tell(self._attempt.failed(error))
        if self._environment is not None and self._run is not None:
            return self._tell(failed_result(error, run=self._run, attempt=self._environment.attempt))
        report_text(str(error), self._variables)
        return int(error.exit_code)

    def _tell(self, result: TrainerResult) -> int:
        report_result(result, self._variables, self._lines)
        if self._reporter is not None:
            self._reporter.close()
        if self._server is not None:
            self._server.close()
        return int(result.exit_code)
