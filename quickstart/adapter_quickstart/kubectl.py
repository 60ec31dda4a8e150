"""kubectl, run as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JSON = dict[str, Any]
_PATIENCE_SECONDS = 120


class CommandFailed(RuntimeError):
    """A command ended with an error; the message holds the command and what it said."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl for one cluster and namespace."""

    kubeconfig: Path
    namespace: str

    def __call__(self, *arguments: str | Path, stdin: str = "") -> str:
        """Run a command and return what it printed.

        Raises:
            CommandFailed: it ended with an error.
        """
        command = self._command(arguments)
        done = subprocess.run(  # noqa: S603 - the program of this environment
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
            env=self._environment(),
        )
        if done.returncode != 0:
            raise CommandFailed(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: JSON) -> str:
        """Apply objects that are made here; they go by standard input, never by arguments."""
        return self("apply", "-f", "-", stdin="\n".join(map(json.dumps, objects)))

    def get(self, *what: str) -> JSON:
        """Return an object."""
        found: JSON = json.loads(self("get", *what, "-o", "json"))
        return found

    @contextmanager
    def watch(self, *what: str) -> Iterator[Iterator[JSON]]:
        """Follow an object: it as it is, then after each change; the iterator ends when the server ends it."""
        with self.following("get", *what, "--watch", "-o", "json") as lines:
            yield _documents(lines)

    @contextmanager
    def following(self, *arguments: str) -> Iterator[Iterator[str]]:
        """Start a command that goes on, and yield its lines; it ends with the block."""
        with subprocess.Popen(  # noqa: S603 - the program of this environment
            self._command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environment(),
        ) as process:
            try:
                yield iter(process.stdout or ())
            finally:
                process.terminate()

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        program = Path(sys.executable).parent / "kubectl"
        return [str(program), "--namespace", self.namespace, *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        # Its caches lie beside the kubeconfig, so that they go when the cluster goes.
        return {**kept, "HOME": str(self.kubeconfig.parent), "KUBECONFIG": str(self.kubeconfig)}


def _documents(lines: Iterator[str]) -> Iterator[JSON]:
    """Split a stream of indented JSON objects: each ends with a brace in the first column."""
    part: list[str] = []
    for line in lines:
        part.append(line)
        if line.startswith("}"):
            yield json.loads("".join(part))
            part = []
