"""Which cluster runs in a state directory: ``cluster.json``, written by the process that is it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class CommandError(Exception):
    """What keeps a command from doing its work; the message says what to do."""


def refuse_second(directory: Path) -> None:
    """Refuse to start where a cluster runs already. Raises CommandError."""
    found = running(directory)
    if found:
        raise CommandError(f"a cluster runs already (pid {found['pid']}, {found['server']}): stop it with `down`")


@contextmanager
def sole_use(directory: Path) -> Iterator[None]:
    """Hold a state directory for this process, whatever ends it. Raises CommandError where another has it."""
    refuse_second(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"another cluster is starting or stopping in {directory}") from error
        yield


def state_path(directory: Path) -> Path:
    """Return the file that tells of the cluster that runs."""
    return directory / "cluster.json"


def write_state(directory: Path, server: str, kubeconfig: Path) -> None:
    """Write down what runs, for `running`."""
    pid = os.getpid()
    state = {"pid": pid, "started": _start_time(pid), "server": server, "kubeconfig": str(kubeconfig)}
    state_path(directory).write_text(json.dumps(state))


def running(directory: Path) -> dict[str, Any] | None:
    """Return what is known of the cluster that runs, None where there is none (any more)."""
    try:
        state: dict[str, Any] = json.loads(state_path(directory).read_text())
        known = state["pid"], state["started"], state["server"], state["kubeconfig"]
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None
    # A process id can be given anew after a crash: the start time tells who it is.
    return state if known[1] and _start_time(known[0]) == known[1] else None


def _start_time(pid: int) -> str:
    """Return when a process started, in the kernel's count; "" where there is none (any more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    # A process that has ended stays known until its parent asks, which a container's first process may never do.
    return "" if fields[0] in ("Z", "X") else fields[19]
