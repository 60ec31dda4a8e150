"""The commands ``up``, ``down`` and ``status``.

``up`` starts a process in the background and returns once it is ready; what it is and where stands in
``cluster.json`` in the state directory, its output in ``cluster.log``.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from adapter_devcluster.process_state import CommandError, refuse_second, running

_READY_SECONDS: Final = 30.0
_READY_LINES: Final = 2
_STOP_SECONDS: Final = 60.0
_LAST_PORT: Final = 65535
N = TypeVar("N", int, float)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "up":
                return _serve(options) if options.foreground else _up(options, arguments)
            case "down":
                return _down(options)
            case _:
                return _status(options)
    except CommandError as error:
        print(f"adapter_devcluster: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m adapter_devcluster",
        description="A development Kubernetes in one process: API server, controllers, and a node that runs pods as "
        "local processes. For laptops and tests, never for production: everything is in memory.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a cluster in the background; returns when it is ready")
    down = commands.add_parser("down", help="stop it, with all its pods")
    status = commands.add_parser("status", help="say whether it runs, and where")
    for one in (up, down, status):
        one.add_argument("--directory", type=_path, default=default_directory(), help="state (default: %(default)s)")
    up.add_argument("--foreground", action="store_true", help="stay in the foreground until SIGINT or SIGTERM")
    up.add_argument(
        "--port", type=_number(int, 0, _LAST_PORT), default=0, help="port of the API server (default: a free one)"
    )
    up.add_argument("--http", action="store_true", help="plain HTTP, to which kubectl and Helm send no token")
    up.add_argument("--kubeconfig", type=_path, help="where to write the kubeconfig (default: in the state directory)")
    up.add_argument("--no-node", action="store_true", help="run no pods: something else writes their status")
    up.add_argument("--no-controllers", action="store_true", help="run no controllers")
    up.add_argument("--gpus", type=_number(int, 0), default=0, help="nvidia.com/gpu of the node (default: 0)")
    up.add_argument(
        "--image", action="append", default=[], metavar="PATTERN=COMMAND", help="what an image runs; repeatable"
    )
    up.add_argument(
        "--image-volume",
        action="append",
        default=[],
        metavar="PATTERN=FOLDER",
        help="the folder that stands for an image volume; repeatable",
    )
    up.add_argument("--claims", type=Path, help="folder with a folder per namespace and claim")
    up.add_argument("--audit-log", type=Path, help="write every call to this file, as audit.k8s.io/v1 events")
    up.add_argument(
        "--bookmark-seconds", type=_number(float, 0.01), default=60.0, help="how often watches get bookmarks"
    )
    faults = up.add_argument_group("faults", "change them while it runs by PUT /devcluster/faults")
    faults.add_argument(
        "--fail-nth", type=_number(int, 1), metavar="N", help="answer the N-th call on a resource with --fail-code"
    )
    faults.add_argument(
        "--fail-share", type=_number(float, 0, 1), metavar="P", help="so answer this share of calls (0 to 1)"
    )
    faults.add_argument("--fail-code", type=int, default=500, choices=(409, 410, 429, 500, 503, 504))
    faults.add_argument("--delay-seconds", type=_number(float, 0), default=0.0, help="delay every call")
    faults.add_argument(
        "--cut-watches-after", type=_number(int, 1), metavar="N", help="break each watch after N events"
    )
    faults.add_argument(
        "--duplicate-share", type=_number(float, 0, 1), default=0.0, metavar="P", help="send this share twice"
    )
    faults.add_argument(
        "--hold-share", type=_number(float, 0, 1), default=0.0, metavar="P", help="hold this share back"
    )
    faults.add_argument(
        "--hold-seconds", type=_number(float, 0), default=1.0, help="by up to this long (default: %(default)s)"
    )
    faults.add_argument("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    return parser


def _path(text: str) -> Path:
    """Read a path; told in full, it is good in every directory."""
    return Path(text).absolute()


def _number(kind: Callable[[str], N], least: N, most: N | None = None) -> Callable[[str], N]:
    """Return a reader of numbers between ``least`` and ``most``, both included, for argparse."""

    def number(text: str) -> N:
        try:
            found = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is not a number") from None
        if not (found >= least and (most is None or found <= most)):
            limits = f"{least} or more" if most is None else f"{least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} is out of range: {limits}")
        return found

    return number


def default_directory() -> Path:
    """Return where state is kept unless the user says otherwise."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "adapter-devcluster"


def _serve(options: argparse.Namespace) -> int:
    # Whoever only starts, stops or asks about a cluster does not wait for all that one is made of.
    from adapter_devcluster.foreground import serve  # noqa: PLC0415

    return serve(options)


def _up(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    refuse_second(options.directory)
    try:
        options.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"can't start: {error}") from error
    log = options.directory / "cluster.log"
    reader, writer = os.pipe()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "adapter_devcluster", *arguments, "--foreground"],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=output,
            start_new_session=True,
        )
    os.close(writer)
    said = _read_until_ready(reader)
    os.close(reader)
    if "ready:" not in said:
        process.terminate()
        process.wait(_STOP_SECONDS)
        raise CommandError(f"the cluster did not start; {log} says:\n{log.read_text(errors='replace')[-2000:]}")
    print(said, end="")
    return 0


def _read_until_ready(reader: int) -> str:
    """Return what the new process prints: all of it once it is ready, or until it ends or takes too long."""
    said, end = b"", time.monotonic() + _READY_SECONDS
    while said.count(b"\n") < _READY_LINES and (left := end - time.monotonic()) > 0:
        if not select.select([reader], [], [], left)[0]:
            break
        part = os.read(reader, 4096)
        if not part:
            break
        said += part
    return said.decode()


def _down(options: argparse.Namespace) -> int:
    found = running(options.directory)
    if not found:
        print("no cluster is running")
        return 0
    # A handle on the process, so that no other that gets its number later is meant.
    handle = os.pidfd_open(found["pid"])
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], _STOP_SECONDS)[0]:
            raise CommandError(f"the cluster (pid {found['pid']}) does not stop; its log is in {options.directory}")
    finally:
        os.close(handle)
    print("stopped")
    return 0


def _status(options: argparse.Namespace) -> int:
    found = running(options.directory)
    if not found:
        print("no cluster is running")
        return 1
    print(f"running: {found['server']} (pid {found['pid']})\nexport KUBECONFIG={found['kubeconfig']}")
    return 0
