"""The commands ``up``, ``down`` and ``status``.

``up`` starts a process in the background and returns once it is ready; what it is and where stands in
``cluster.json`` in the state directory, its output in ``cluster.log``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from adapter_devcluster.serving.faults import CallFault, FaultPlan, WatchFault

_READY_SECONDS: Final = 30.0
_READY_LINES: Final = 2
_STOP_SECONDS: Final = 60.0


class CommandError(Exception):
    """What keeps a command from doing its work; the message says what to do."""


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
        one.add_argument("--directory", type=Path, default=default_directory(), help="state (default: %(default)s)")
    up.add_argument("--foreground", action="store_true", help="stay in the foreground until SIGINT or SIGTERM")
    up.add_argument("--port", type=int, default=0, help="port of the API server (default: a free one)")
    up.add_argument("--http", action="store_true", help="plain HTTP; programs in pods expect TLS, the default")
    up.add_argument("--kubeconfig", type=Path, help="where to write the kubeconfig (default: in the state directory)")
    up.add_argument("--no-node", action="store_true", help="run no pods: something else writes their status")
    up.add_argument("--no-controllers", action="store_true", help="run no controllers")
    up.add_argument("--gpus", type=int, default=0, help="nvidia.com/gpu of the node (default: 0)")
    up.add_argument(
        "--image", action="append", default=[], metavar="PATTERN=COMMAND", help="what an image runs; repeatable"
    )
    up.add_argument("--audit-log", type=Path, help="write every call to this file, as audit.k8s.io/v1 events")
    up.add_argument("--bookmark-seconds", type=float, default=60.0, help="how often watches get bookmarks")
    faults = up.add_argument_group("faults", "change them while it runs by PUT /devcluster/faults")
    faults.add_argument("--fail-nth", type=int, metavar="N", help="answer the N-th call on a resource with --fail-code")
    faults.add_argument("--fail-share", type=float, metavar="P", help="so answer this share of calls (0 to 1)")
    faults.add_argument("--fail-code", type=int, default=500, choices=(409, 410, 429, 500, 503, 504))
    faults.add_argument("--delay-seconds", type=float, default=0.0, help="delay every call")
    faults.add_argument("--cut-watches-after", type=int, metavar="N", help="break each watch after N events")
    faults.add_argument("--duplicate-share", type=float, default=0.0, metavar="P", help="send this share twice")
    faults.add_argument("--hold-share", type=float, default=0.0, metavar="P", help="hold this share back")
    faults.add_argument("--hold-seconds", type=float, default=1.0, help="by up to this long (default: %(default)s)")
    faults.add_argument("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    return parser


def default_directory() -> Path:
    """Return where state is kept unless the user says otherwise."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "adapter-devcluster"


def fault_plan(options: argparse.Namespace) -> FaultPlan:
    """Return the faults that the flags ask for."""
    calls = []
    if options.fail_nth is not None:
        calls.append(CallFault(nth=options.fail_nth, code=options.fail_code))
    if options.fail_share is not None:
        calls.append(CallFault(share=options.fail_share, code=options.fail_code))
    if options.delay_seconds:
        calls.append(CallFault(effect="Delay", delay_seconds=options.delay_seconds))
    watches = []
    if options.cut_watches_after or options.duplicate_share or options.hold_share:
        watches.append(
            WatchFault(
                cut_after_events=options.cut_watches_after,
                duplicate_share=options.duplicate_share,
                hold_share=options.hold_share,
                hold_seconds=options.hold_seconds,
            )
        )
    return FaultPlan(calls=tuple(calls), watches=tuple(watches), seed=options.seed)


def _serve(options: argparse.Namespace) -> int:
    """Run a cluster in this process until it is told to stop."""
    # What a cluster needs is not needed to ask about one: `status` and `down` answer at once.
    from adapter_devcluster.cluster import Cluster, ClusterConfig  # noqa: PLC0415
    from adapter_devcluster.node.images import image_table  # noqa: PLC0415

    _refuse_second(options.directory)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = ClusterConfig(
        directory=options.directory,
        port=options.port,
        tls=not options.http,
        node=not options.no_node,
        controllers=not options.no_controllers,
        gpus=options.gpus,
        images=image_table(options.image),
        kubeconfig=options.kubeconfig,
        audit_log=options.audit_log,
        bookmark_every=options.bookmark_seconds,
    )

    async def serve() -> None:
        cluster = Cluster(config)
        cluster.faults.set(fault_plan(options))
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await cluster.start()
            _write_state(options.directory, cluster.url, cluster.kubeconfig_path)
            print(f"ready: {cluster.url}\nexport KUBECONFIG={cluster.kubeconfig_path}", flush=True)
            await stop.wait()
        finally:
            await cluster.stop()
            _state_path(options.directory).unlink(missing_ok=True)

    try:
        asyncio.run(serve())
    except OSError as error:
        raise CommandError(f"can't start: {error}") from error
    return 0


def _up(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    _refuse_second(options.directory)
    options.directory.mkdir(parents=True, exist_ok=True)
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
    running = _running(options.directory)
    if not running:
        print("no cluster is running")
        return 0
    # A handle on the process, so that no other that gets its number later is meant.
    handle = os.pidfd_open(running["pid"])
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], _STOP_SECONDS)[0]:
            raise CommandError(f"the cluster (pid {running['pid']}) does not stop; its log is in {options.directory}")
    finally:
        os.close(handle)
    print("stopped")
    return 0


def _status(options: argparse.Namespace) -> int:
    running = _running(options.directory)
    if not running:
        print("no cluster is running")
        return 1
    print(f"running: {running['server']} (pid {running['pid']})\nexport KUBECONFIG={running['kubeconfig']}")
    return 0


def _refuse_second(directory: Path) -> None:
    running = _running(directory)
    if running:
        raise CommandError(f"a cluster runs already (pid {running['pid']}, {running['server']}): stop it with `down`")


def _state_path(directory: Path) -> Path:
    return directory / "cluster.json"


def _write_state(directory: Path, server: str, kubeconfig: Path) -> None:
    pid = os.getpid()
    state = {"pid": pid, "started": _start_time(pid), "server": server, "kubeconfig": str(kubeconfig)}
    _state_path(directory).write_text(json.dumps(state))


def _running(directory: Path) -> dict[str, Any] | None:
    """Return what is known of the cluster that runs, None where there is none (any more)."""
    try:
        state: dict[str, Any] = json.loads(_state_path(directory).read_text())
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
