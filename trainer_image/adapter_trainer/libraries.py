"""How the libraries behave that trainer and preflight import later."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables of the environment, to be set before those are imported: what is loaded was fetched and verified before, so
nothing is asked of the Hub; progress is told by this program alone; tokenizers run in one thread."""


@contextmanager
def importing() -> Iterator[None]:
    """Import large libraries a quarter faster: what they make stays, so nothing is searched for garbage meanwhile."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
