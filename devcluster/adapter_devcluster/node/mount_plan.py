"""How a container gets to see its mounts: a plan for the launcher, or a translation of paths.

A container has the host's file tree with its volumes in it. Nothing is created on the host for that: the root
directory becomes a tmpfs into which the host's top-level directories are bound, and so does each directory in
which a mount point is missing. What a container writes there is gone with it; elsewhere it writes to the host.

Where the system allows no mounts, mount paths in the command line and the environment are replaced by the
folders behind them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

# What to do, first its name: `launch.build_tree` has them all.
Operation = tuple[Any, ...]

_OVER_ROOT: Final = "a volume can't be mounted over /"


class MountError(Exception):
    """A mount can't be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or a file of the host, and where a container sees it."""

    target: str
    source: Path
    read_only: bool = False


def container_path(path: str) -> str:
    """Return a path of a container's specification as an absolute one, without ``.`` and needless slashes."""
    return os.path.normpath("/" + path.lstrip("/"))


@dataclass(slots=True)
class _Plan:
    root: str
    opened: list[str] = field(default_factory=list)
    points: list[tuple[str, bool]] = field(default_factory=list)
    volumes: list[Operation] = field(default_factory=list)
    # Path as the container has it, without symbolic links -> mount.
    mounted: dict[str, Mount] = field(default_factory=dict)


def plan_mounts(mounts: Sequence[Mount], root: str) -> list[Operation]:
    """Plan a file tree below the empty directory ``root``. Raises MountError.

    The host's directories are read, and a mount point inside another volume is created there, as a container
    runtime does.
    """
    plan = _Plan(root, opened=["/"])
    for mount in sorted(mounts, key=lambda one: Path(one.target).parts):
        _place(plan, mount)
    operations: list[Operation] = []
    for directory in sorted(set(plan.opened), key=lambda path: Path(path).parts):
        operations += _open_up(root, directory)
    for path, is_directory in plan.points:
        operations += [("directory", root + (path if is_directory else os.path.dirname(path)))]  # noqa: PTH120
        operations += [] if is_directory else [("file", root + path)]
    return operations + plan.volumes


def _place(plan: _Plan, mount: Mount) -> None:
    is_directory = mount.source.is_dir()
    path = _resolve(plan, mount, is_directory)
    plan.volumes.append(("volume", str(mount.source), plan.root + path, mount.read_only))
    plan.mounted[path] = mount


def _resolve(plan: _Plan, mount: Mount, is_directory: bool) -> str:
    """Find the mount point without symbolic links, and note what is missing of it."""
    path, parts = "/", list(Path(mount.target).parts[1:])
    while True:
        whole = str(Path(path, *parts))
        outer = _outer(plan, whole)
        if outer is not None:
            _make_inside(*outer, whole, mount, is_directory)
            return whole
        if not parts:
            break
        below = str(Path(path, parts.pop(0)))
        if not os.path.lexists(below):
            plan.opened.append(path)
            plan.points.append((whole, is_directory))
            return whole
        path = os.path.realpath(below)
    if path == "/":
        raise MountError(_OVER_ROOT)
    if Path(path).is_dir() != is_directory:
        what, other = ("directory", "file") if is_directory else ("file", "directory")
        raise MountError(f"{mount.target}: the volume is a {what}, and the host has a {other} there")
    return path


def _outer(plan: _Plan, path: str) -> tuple[str, Mount] | None:
    """Return the innermost mount above a path."""
    above = [(target, mount) for target, mount in plan.mounted.items() if Path(target) in Path(path).parents]
    return max(above, key=lambda one: len(one[0]), default=None)


def _make_inside(target: str, volume: Mount, path: str, mount: Mount, is_directory: bool) -> None:
    inside = volume.source / Path(path).relative_to(target)
    if inside.exists():
        return
    if volume.read_only:
        raise MountError(f"{mount.target}: make mountpoint: read-only file system")
    folder = inside if is_directory else inside.parent
    folder.mkdir(parents=True, exist_ok=True)
    if not is_directory:
        inside.touch()


def _open_up(root: str, directory: str) -> list[Operation]:
    """Put a tmpfs over a directory, with all that the host has there bound into it."""
    target = root if directory == "/" else root + directory
    mode = stat.S_IMODE(Path(directory).stat().st_mode)
    operations: list[Operation] = [("tmpfs", target, mode)]
    try:
        entries = list(os.scandir(directory))
    except OSError as error:
        raise MountError(f"reading {directory}: {error.strerror}") from error
    for entry in entries:
        path = f"{target}/{entry.name}"
        if entry.is_symlink():
            operations.append(("link", path, os.readlink(entry.path)))  # noqa: PTH115
            continue
        kind = "directory" if entry.is_dir() else "file"
        operations += [(kind, path), ("host", entry.path, path)]
    return operations


_PATH_BEFORE: Final = r"(?<![\w.~/-])"
_PATH_AFTER: Final = r"(?![\w.~-])"


class Translation:
    """Replaces mount paths by the folders behind them."""

    def __init__(self, mounts: Sequence[Mount]) -> None:
        """Raises MountError for a mount over the root directory."""
        if any(one.target == "/" for one in mounts):
            raise MountError(_OVER_ROOT)
        self._folders: Mapping[str, str] = {one.target: str(one.source) for one in mounts}
        # Longest first: a mount inside another one wins.
        alternatives = "|".join(re.escape(one) for one in sorted(self._folders, key=len, reverse=True))
        self._pattern = re.compile(f"{_PATH_BEFORE}(?:{alternatives}){_PATH_AFTER}")

    def text(self, text: str) -> str:
        """Translate whatever looks like one of the paths: at its start and end no path goes on."""
        if not self._folders:
            return text
        return self._pattern.sub(lambda found: self._folders[found.group()], text)
