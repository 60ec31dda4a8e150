"""How much more memory the process may take: in a container with a limit, the kernel ends it when it takes too much."""

from pathlib import Path

_CONTROL_GROUP = Path("/sys/fs/cgroup")
_HOST = Path("/proc/meminfo")


def available_memory(control_group: Path = _CONTROL_GROUP, host: Path = _HOST) -> int | None:
    """Return the bytes that are left to the process: of its container's limit or of the machine, whichever are fewer.

    The limit is that of control groups version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html. Of what the group
    uses, the kernel takes back copies of files, but it would read those that are mapped, such as weights, again and
    again.

    Args:
        control_group: directory of the container's group.
        host: what the kernel says of the machine's memory.

    Returns:
        None where neither can be read.
    """
    left = [bytes_left for bytes_left in (_of_group(control_group), _of_host(host)) if bytes_left is not None]
    return max(0, min(left)) if left else None


def _of_group(directory: Path) -> int | None:
    try:
        limit = int((directory / "memory.max").read_text())
        used = int((directory / "memory.current").read_text())
        kinds = _numbers(directory / "memory.stat")
    except (OSError, ValueError):  # no limit ("max"), or no control group that says so
        return None
    copies = kinds.get("inactive_file", 0) + kinds.get("active_file", 0) - kinds.get("file_mapped", 0)
    return limit - used + max(0, copies)


def _of_host(path: Path) -> int | None:
    try:
        kibibytes = _numbers(path).get("MemAvailable")
    except (OSError, ValueError):
        return None
    return None if kibibytes is None else kibibytes * 1024


def _numbers(path: Path) -> dict[str, int]:
    """Return the first number of each line by the name before it."""
    fields = (line.split() for line in path.read_text().splitlines())
    return {one[0].removesuffix(":"): int(one[1]) for one in fields if len(one) > 1}
