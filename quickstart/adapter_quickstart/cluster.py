"""The embedded cluster, by its command line."""

import subprocess
import sys
from pathlib import Path

from adapter_quickstart.kubectl import CommandFailed

PROGRAMS = "devcluster.local/programs"
"""The image volume that holds the programs of this Python environment."""


def start(directory: Path, claims: Path, *, audit_log: Path | None = None) -> Path:
    """Start a cluster in the background and return its kubeconfig.

    Args:
        directory: its state; it must not hold another running cluster.
        claims: holds a folder per namespace and PersistentVolumeClaim.
        audit_log: file for every call of the API, where one is wanted.

    Raises:
        CommandFailed: it did not start; the message says why.
    """
    kubeconfig = directory / "kubeconfig"
    audit = () if audit_log is None else ("--audit-log", str(audit_log))
    # A pod of the object store mounts this folder: it sees another /tmp than this machine's, where it might lie.
    programs = ("--image-volume", f"{PROGRAMS}={Path(sys.executable).parent}")
    _run("up", directory, "--kubeconfig", str(kubeconfig), "--claims", str(claims), *programs, *audit)
    return kubeconfig


def stop(directory: Path) -> None:
    """Stop the cluster, with all its pods."""
    _run("down", directory)


def _run(command: str, directory: Path, *options: str) -> None:
    done = subprocess.run(  # noqa: S603 - a module of this environment
        [sys.executable, "-m", "adapter_devcluster", command, "--directory", str(directory), *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"python -m adapter_devcluster {command}: {done.stderr.strip()}")
