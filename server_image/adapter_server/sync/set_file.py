"""Watching the mounted AdapterSet. A config map changes by the swap of a symbolic link, now and then by a copy.

The file is looked at ten times a second: what its path leads to is compared by inode, size and times, which costs next
to nothing and needs no event of the file system, as a file below a swapped directory gives none.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adapter_contract import AdapterSet, ContractError, MountTable

POLL_SECONDS = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SetProblem:
    """Why the set can't be applied; the one before stands."""

    message: str


def read_set(path: Path, base_model_name: str, mounts: MountTable) -> AdapterSet | SetProblem:
    """Read the set, with its paths as they really are on this machine."""
    try:
        with path.open("rb") as stream:
            data = stream.read(AdapterSet.max_bytes + 1)
        found = AdapterSet.from_json(data)
    except OSError as error:
        return SetProblem(f"the adapter set {path} can't be read: {error.strerror}")
    except ContractError as error:
        return SetProblem(f"the adapter set {path} can't be used: {error}")
    if found.base_model_name != base_model_name:
        return SetProblem(
            f"the adapter set {path} is for the base model {found.base_model_name!r}, but this pod serves"
            f" {base_model_name!r}: mount the set that was written for it"
        )
    return mounts.resolve_paths(found)


class SetFile:
    """The file, its last readable content, and what is wrong with the present one."""

    def __init__(self, path: Path, base_model_name: str, mounts: MountTable) -> None:
        self.problem: SetProblem | None = SetProblem(f"the adapter set {path} was not read yet")
        self._path = path
        self._base_model_name = base_model_name
        self._mounts = mounts
        self._seen: tuple[int, ...] | None = None
        self._current: AdapterSet | None = None

    def poll(self) -> AdapterSet | None:
        """Return the set if another one is there than at the last call."""
        mark = self._mark()
        if mark is not None and mark == self._seen and self.problem is None:
            return None
        found = read_set(self._path, self._base_model_name, self._mounts)
        self._seen = mark
        if isinstance(found, SetProblem):
            self._report(found)
            return None
        self.problem = None
        if found == self._current:
            return None
        self._current = found
        return found

    async def watch(self, apply: Callable[[AdapterSet], None]) -> None:
        """Hand over each new set until cancelled."""
        while True:
            found = self.poll()
            if found is not None:
                _log.info("adapter set of generation %d: %d adapters", found.generation, len(found.adapters))
                apply(found)
            await asyncio.sleep(POLL_SECONDS)

    def _mark(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - follows the links of the mount
        except OSError:
            return None
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _report(self, problem: SetProblem) -> None:
        if problem != self.problem:
            kept = "" if self._current is None else f"; generation {self._current.generation} stands"
            _log.warning("%s%s", problem.message, kept)
        self.problem = problem
