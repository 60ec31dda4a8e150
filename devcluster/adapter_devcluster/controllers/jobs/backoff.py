"""How long a job waits before it replaces failed pods.

After the first failure the base delay, then twice as long with each further one, up to ten minutes; a success
starts anew. Source: ``pkg/controller/job/backoff_utils.go``, v1.36.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.objects import Object

BASE_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failures since the last success, and when the last one was."""

    failures: int = 0
    last: dt.datetime | None = None

    def after(self, succeeded: Sequence[Object], failed: Sequence[Object]) -> Backoff:
        """Return what holds after pods have ended."""
        if not succeeded and not failed:
            return self
        ends = [pod_facts.finished_at(pod) for pod in failed]
        if succeeded:
            success = max(pod_facts.finished_at(pod) for pod in succeeded)
            later = [end for end in ends if end > success]
            return Backoff(len(later), max(later, default=None))
        return Backoff(self.failures + len(ends), max(ends))

    def remaining(self, now: dt.datetime, base: float) -> float:
        """Return the seconds to wait still."""
        return remaining(self.failures, self.last, now, base)


def remaining(failures: int, last: dt.datetime | None, now: dt.datetime, base: float) -> float:
    """Return the seconds to wait after so many failures in a row, the last at ``last``."""
    if not failures or last is None:
        return 0.0
    delay = min(base * 2.0 ** min(failures - 1, 64), LONGEST_SECONDS)
    return max(delay - (now - last).total_seconds(), 0.0)
