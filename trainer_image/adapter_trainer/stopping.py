"""SIGTERM: where the program stops, and where it first ends what it has begun."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """The process was told to stop. No library may take it for a failure of its own, so it is no Exception."""


class StopRequest:
    """Remembers that the process was told to stop (SIGTERM, or SIGINT from a terminal).

    While it is `deferred` the program looks for itself, at moments when it can stop; else `Stopped` is raised in
    the main thread, wherever that is: nothing before the training needs an orderly end.
    """

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._deferred = False
        self._name = "nobody"

    def install(self) -> None:
        """Listen to the signals. Only the main thread may call it."""
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)

    @property
    def requested(self) -> bool:
        """Whether the process was told to stop."""
        return self._requested.is_set()

    @property
    def message(self) -> str:
        """What the result says of it."""
        return f"stopped by {self._name}; nothing was saved, and the next attempt begins from the start"

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            Stopped: it was.
        """
        if self.requested:
            raise Stopped(self.message)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold back `Stopped` while the block runs: it polls `requested`, or must not be interrupted."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._name = signal.Signals(number).name
        first = not self.requested
        self._requested.set()
        if first and not self._deferred:
            raise Stopped(self.message)
