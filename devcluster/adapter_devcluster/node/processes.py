"""Child processes without threads: the kernel tells of their end through a pidfd, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence


class Child:
    """A running child. ``exited`` becomes its exit code, 128 + the signal if one ended it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._reaped = False
        self._loop = asyncio.get_running_loop()
        self._descriptor = os.pidfd_open(process.pid)
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._descriptor, self._reap)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the child has ended."""
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def _reap(self) -> None:
        self._reaped = True
        code = self._process.wait()  # it has ended: no wait
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        if not self.exited.done():
            self.exited.set_result(code if code >= 0 else 128 - code)


def spawn(
    arguments: Sequence[str], *, stdin: int, output: int, keep: Sequence[int] = (), env: Mapping[str, str] | None = None
) -> Child:
    """Start a program in a session of its own. ``keep`` are further descriptors that it inherits.

    A launcher takes the end of this thread for the end of the node: the event loop must stay on one thread.
    Raises OSError.
    """
    return Child(
        subprocess.Popen(  # noqa: S603 - the arguments are a list
            list(arguments),
            stdin=stdin,
            stdout=output,
            stderr=output,
            pass_fds=tuple(keep),
            env=dict(env or {}),
            start_new_session=True,
        )
    )
