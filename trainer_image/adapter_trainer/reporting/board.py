"""The newest progress document, for everybody who waits for the next one."""

import threading
from dataclasses import dataclass

from adapter_contract import Progress


@dataclass(frozen=True, slots=True)
class Posted:
    """A document, and its number in the order of posting; `closed` says that no other will follow."""

    number: int
    progress: Progress
    closed: bool


class ProgressBoard:
    """Holds the newest document. Thread-safe. Who reads more slowly than it changes misses what is between."""

    def __init__(self, first: Progress) -> None:
        self._changed = threading.Condition()
        self._newest = Posted(1, first, closed=False)

    def post(self, progress: Progress) -> None:
        """Put a document in the place of the one before."""
        with self._changed:
            self._newest = Posted(self._newest.number + 1, progress, closed=False)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no document will follow."""
        with self._changed:
            self._newest = Posted(self._newest.number, self._newest.progress, closed=True)
            self._changed.notify_all()

    @property
    def newest(self) -> Posted:
        """The newest document."""
        with self._changed:
            return self._newest

    def wait_after(self, number: int, seconds: float) -> Posted | None:
        """Return the newest document once it is another than `number`, or is the last; None after the time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._newest.number > number or self._newest.closed, seconds):
                return None
            return self._newest

    def wait_closed(self, seconds: float) -> None:
        """Wait until no document will follow, at most for the time given."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest.closed, seconds)
