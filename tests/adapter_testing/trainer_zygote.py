"""The trainer's program many times over, each time in a process of its own that begins with the libraries loaded.

Loading torch and transformers takes most of the seconds of a short run. A zygote loads them once and forks itself for
each run; what runs is `adapter_trainer.program.main`, with the environment that the operator gives to the pod.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from adapter_contract.pods import TERMINATION_FILE
from adapter_testing.trainer_lab import Ended, TrainerProcess
from adapter_trainer.libraries import LIBRARIES


class TrainerZygote:
    """The process that is forked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "adapter_testing.trainer_zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cast("IO[str]", self._process.stdin).close()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            cast("IO[str]", self._process.stdout).close()

    def run(self, pod: TrainerProcess, directory: Path, *, longest_file_bytes: int | None = None) -> Ended:
        """Run a pod to its end.

        Args:
            pod: with its environment; it isn't started itself.
            directory: its directory.
            longest_file_bytes: a limit on files, as a disk that gets full.
        """
        order = {"environment": pod.environment, "directory": str(directory), "longestFileBytes": longest_file_bytes}
        stdin, stdout = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError("the zygote is gone")
        written = Path(pod.environment[TERMINATION_FILE])
        message = written.read_text() if written.exists() else ""
        log, errors = (directory / name for name in ("stdout", "stderr"))
        return Ended(int(answer), log.read_text(), errors.read_text(), message)


def _serve() -> None:
    os.environ.update(LIBRARIES)
    importlib.import_module("adapter_trainer.learning")
    importlib.import_module("adapter_trainer.inputs.hub_dataset")
    program = importlib.import_module("adapter_trainer.program")
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(program.main, order)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(main, order) -> None:
    code = 255
    try:
        os.chdir(order["directory"])
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        os.environ.clear()
        os.environ.update(order["environment"])
        if order["longestFileBytes"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["longestFileBytes"], order["longestFileBytes"]))
        code = main(dict(os.environ))
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
