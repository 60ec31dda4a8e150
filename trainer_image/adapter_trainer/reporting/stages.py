"""How long each stage of an attempt took, in the log."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Log the seconds that a block took, if it ended well."""
    began = time.monotonic()
    yield
    seconds = round(time.monotonic() - began, 3)
    _log.info("%s took %.1f s", name, seconds, extra={"fields": {"stage": name, "seconds": seconds}})
