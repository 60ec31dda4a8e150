"""What stores say about objects, and how a transfer reports where it stands."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in total) while a transfer runs, by one thread at a time.

What is done falls back when an object has to be read again. An exception that it raises ends the transfer,
which then cleans up as after any failure: so a transfer is cancelled.
"""

GET_LIMIT_BYTES = 16 << 20
"""What `get` takes into memory unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it.

    Attributes:
        key: relative to the store's root.
        size_bytes: of the content.
        etag: an opaque mark of this content, never a digest of it; any change of the content changes it.

    """

    key: str
    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Transferred:
    """What a finished transfer moved: the size and the digest (`sha256:...`) of the bytes that went over."""

    size_bytes: int
    digest: str


class TransferStopped(Exception):
    """A transfer ended because another one of the same directory failed."""


class Meter:
    """Counts the bytes of one transfer for its `Progress`. Thread-safe."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """Make all transfers that count here end."""
        self._stopped = True

    def add(self, count: int) -> None:
        """Count bytes that moved; a negative number takes back bytes that have to move again.

        Raises:
            TransferStopped: `stop` was called.

        """
        if self._stopped:
            raise TransferStopped
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress(self._done, self._total)

    def part(self) -> Progress:
        """Return a `Progress` for one file of several, whose changes are added up here."""
        before = 0

        def report(done: int, _total: int) -> None:
            nonlocal before
            change, before = done - before, done
            self.add(change)

        return report
