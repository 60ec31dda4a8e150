"""How long a container that ended waits before it runs again (``k8s.io/client-go/util/flowcontrol``, v0.36)."""

from __future__ import annotations


class CrashBackoff:
    """The first restart is at once, then waits double up to ``longest``; a long good run starts anew. In seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._wait = 0.0
        self._updated = 0.0

    def next(self, ended: float) -> float:
        """Return the wait after an end, given by a monotonic clock."""
        if ended - self._updated > 2 * self._longest:
            self._wait = 0.0
        wait = self._wait
        self._wait = min(wait * 2 or self._first, self._longest)
        self._updated = ended
        return wait


def seconds_text(seconds: float) -> str:
    """Write a duration as Go does: ``10s``, ``1m20s``."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"
