"""Which cluster runs in a state directory: ``cluster.json``, written by the process that is it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class CommandError(Exception):
    """What keeps a command from doing its work; the message says what to do."""


def refuse_second(directory: Path) -> None:
    """Refuse to start where a cluster runs already. Raises CommandError."""
    found = running(directory)
    if found:
        raise CommandError(f"a cluster runs already (pid {found['pid']}, {found['server']}): stop it with `down`")


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
    except (FileNotFoundError, ValueError):
        return None
    # A process id can be given anew after a crash: the start time tells who it is.
    return state if _start_time(state["pid"]) == state["started"] else None


def _start_time(pid: int) -> str:
    """Return when a process started, in the kernel's count; "" where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19]
