"""The real kubectl, run as a user runs it, and its output in a form that tests can compare."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import yaml

from adapter_devcluster.devcluster import DevCluster

BINARY = Path(sys.executable).parent / "kubectl"
# Nothing here takes that long; what does has gone wrong.
PATIENCE_SECONDS = 60
_MOVING_COLUMNS = ("AGE", "DURATION", "LAST SEEN")
_HEADER = re.compile(r"\S+(?: \S+)*")


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster. ``namespace`` is the one of the kubeconfig's context.

    A call returns what stands on standard output, and demands success with nothing said on standard error.
    """

    kubeconfig: Path
    home: Path
    namespace: str = "default"
    environment: dict[str, str] = field(default_factory=dict)

    def within(self, **environment: str) -> Self:
        """Return the same kubectl with further variables in its environment."""
        return replace(self, environment={**self.environment, **environment})

    def __call__(self, *arguments: str | Path, stdin: Any = None) -> str:
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    def warns(self, *arguments: str | Path, stdin: Any = None) -> tuple[str, str]:
        """Demand success, and return standard output and standard error."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def fails(self, *arguments: str | Path, stdin: Any = None) -> str:
        """Demand failure, with nothing on standard output, and return standard error."""
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
        return done.stderr

    def run(self, *arguments: str | Path, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run a command. ``stdin`` is an object, a list of objects or text."""
        return subprocess.run(
            self._command(arguments),
            input=manifest(stdin) if stdin is not None else "",
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command that goes on, such as a watch; the caller ends it."""
        return subprocess.Popen(
            self._command(arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def get(self, *arguments: str) -> Any:
        """Return an object, or a list of objects, as data."""
        return yaml.safe_load(self("get", *arguments, "-o", "yaml"))

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [str(BINARY), *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": os.environ["PATH"],
            "TMPDIR": str(self.home),
            **self.environment,
        }


def watches(cluster: DevCluster, path: str) -> int:
    """Return how many watches of a path were begun so far."""
    return sum(one.verb == "watch" and one.uri.startswith(f"{path}?") for one in cluster.audit())


def manifest(content: Any) -> str:
    """Write an object or several as YAML; text stays as it is."""
    if isinstance(content, str):
        return content
    return yaml.safe_dump_all(content if isinstance(content, list) else [content], sort_keys=False)


def table(text: str) -> list[list[str]]:
    """Cut a table into rows of cells, the header first, without the columns that tell ages."""
    header, *lines = text.splitlines()
    names = [(found.start(), found.group()) for found in _HEADER.finditer(header)]
    ends = [start for start, _ in names[1:]] + [None]
    kept = [(start, end) for (start, name), end in zip(names, ends, strict=True) if name not in _MOVING_COLUMNS]
    return [[line[start:end].strip() for start, end in kept] for line in (header, *lines)]


def tables(text: str) -> list[list[list[str]]]:
    """Cut an answer about several kinds into tables."""
    return [table(part) for part in text.rstrip("\n").split("\n\n")]
