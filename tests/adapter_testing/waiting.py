"""Waiting, outside of event loops, for what gives no event."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], bool], told: Callable[[], object] = str, seconds: float = 30.0) -> None:
    """Wait until something holds. Raises TimeoutError with what ``told`` returns."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{holds} did not come to hold in {seconds} s. {told()}")
        time.sleep(0.02)
