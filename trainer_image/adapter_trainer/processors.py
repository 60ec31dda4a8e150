"""How many processors the process may use: a container with a limit sees all of the node's."""

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

THREADS_VARIABLE = "OMP_NUM_THREADS"
_LIMIT_FILE = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(limit_file: Path = _LIMIT_FILE) -> int:
    """Return how many processors the process may use, rounded up, at least one.

    The limit is that of control groups version 2, `<microseconds> <period>` or `max <period>`:
    https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = limit_file.read_text().split()
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no limit, or no control group that says so
        return allowed
    return max(1, min(allowed, limit))


def limit_threads(variables: MutableMapping[str, str], limit_file: Path = _LIMIT_FILE) -> None:
    """Let the libraries that compute start as many threads as there are processors to use.

    More than that wait for each other, and the container is throttled. It has to come before their import; who sets
    the variable knows better.
    """
    variables.setdefault(THREADS_VARIABLE, str(usable_processors(limit_file)))
