"""The processes of one container: started, signalled and killed through its launcher (`launch.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from adapter_devcluster.node.mount_plan import Operation
from adapter_devcluster.node.processes import Child, spawn

Isolation = Literal["off", "root", "user"]

LAUNCHER: Final = Path(__file__).with_name("launch.py")
_CHUNK: Final = 65536
# What is still in the pipe when the last process has been killed takes no time; this is for a kernel that hangs.
_LAST_OUTPUT_SECONDS: Final = 2.0
_KILL_SECONDS: Final = 5.0


class StartError(Exception):
    """The command could not be started; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, as the container sees it. ``operations`` and ``root`` are its mount plan."""

    arguments: Sequence[str]
    env: Mapping[str, str]
    working_dir: str
    isolation: Isolation = "off"
    operations: Sequence[Operation] = ()
    root: str = ""


class ContainerProcess:
    """A started command. ``exited`` becomes its exit code when no process of it is left."""

    def __init__(self, command: Command, child: Child, first_pid: int, output: asyncio.Future[None]) -> None:
        self.command = command
        self._child = child
        self._first_pid = first_pid
        self.exited: asyncio.Task[int] = asyncio.get_running_loop().create_task(self._wait(output))

    @property
    def pid(self) -> int:
        """The launcher's process number."""
        return self._child.pid

    def terminate(self) -> None:
        """Ask the command to end."""
        self._child.signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill all its processes; those of a launcher that does not answer go with it."""
        self._child.signal(signal.SIGUSR1)
        asyncio.get_running_loop().call_later(_KILL_SECONDS, self._child.signal, signal.SIGKILL)

    async def run_inside(self, arguments: Sequence[str], on_output: Callable[[bytes], None]) -> int:
        """Run a further command in the container and return its exit code; cancelled, it is killed.

        Raises StartError.
        """
        command = self.command
        more = {"enter": self._first_pid} if command.isolation != "off" else {}
        inner = Command(
            arguments=arguments, env=command.env, working_dir=command.working_dir, isolation=command.isolation
        )
        process = await start(inner, on_output, more)
        try:
            return await asyncio.shield(process.exited)
        finally:
            if not process.exited.done():
                process.kill()
                await asyncio.wait([process.exited])

    async def _wait(self, output: asyncio.Future[None]) -> int:
        code = await self._child.exited
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(output, _LAST_OUTPUT_SECONDS)
        return code


async def start(
    command: Command, on_output: Callable[[bytes], None], more: Mapping[str, Any] | None = None
) -> ContainerProcess:
    """Start a command; its output, of both streams, goes to ``on_output`` as it comes.

    Raises StartError. Cancelled, it leaves no process.
    """
    report_from, report_to = os.pipe()
    output_from, output_to = os.pipe()
    specification = _specification(command, report_to, more or {})
    try:
        child = spawn(
            [sys.executable, "-I", "-S", str(LAUNCHER)],
            stdin=specification,
            output=output_to,
            keep=[report_to],
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        )
    except OSError as error:
        os.close(report_from)
        os.close(output_from)
        raise StartError(f"starting the launcher: {error}") from error
    finally:
        for descriptor in (specification, report_to, output_to):
            os.close(descriptor)
    output = read_all(output_from, on_output)
    said = bytearray()
    try:
        # The launcher's ends of this pipe close when the command has taken its place.
        await read_all(report_from, said.extend)
    except asyncio.CancelledError:
        child.signal(signal.SIGUSR1)
        await child.exited
        raise
    if b"error " in said:
        await child.exited
        raise StartError(said.decode(errors="replace").partition("error ")[2])
    return ContainerProcess(command, child, int(said[4:] or 0), output)


def _specification(command: Command, report: int, more: Mapping[str, Any]) -> int:
    """Return a file in memory with what the launcher reads: it may hold secrets."""
    whole = {
        "parent": os.getpid(),
        "report": report,
        "argv": list(command.arguments),
        "env": dict(command.env),
        "cwd": command.working_dir,
        "isolation": command.isolation,
        "operations": list(command.operations),
        "root": command.root,
        **more,
    }
    descriptor = os.memfd_create("container")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(marshal.dumps(whole))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def read_all(descriptor: int, on_data: Callable[[bytes], object]) -> asyncio.Future[None]:
    """Read a pipe on the event loop, to its end or until the future is cancelled, and close it."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        # Nobody else reads it, so there is something to read.
        if data := os.read(descriptor, _CHUNK):
            on_data(data)
        elif not ended.done():
            ended.set_result(None)

    def close(_: asyncio.Future[None]) -> None:
        # The only place, and run once: the number may belong to another file right afterwards.
        loop.remove_reader(descriptor)
        os.close(descriptor)

    loop.add_reader(descriptor, read)
    ended.add_done_callback(close)
    return ended
