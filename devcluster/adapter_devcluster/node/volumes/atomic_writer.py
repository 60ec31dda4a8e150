"""A folder whose files change all at once (``pkg/volume/util/atomic_writer.go``, v1.36).

The files lie in a folder named after the time, ``..data`` points to it, and the names that programs read point
into ``..data``. An update writes a new folder and renames a new link over ``..data``: whoever opens files
through it sees either the old set or the new one.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

_DATA: Final = "..data"
_NEW_DATA: Final = "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    """Content and permissions of a file."""

    data: bytes
    mode: int = 0o644


class AtomicFolder:
    """A volume of this kind. What is written must be relative paths without ``..``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, File] | None = None

    def write(self, files: Mapping[str, File]) -> bool:
        """Make these the folder's files. Return whether anything changed. Raises OSError."""
        if self._files == files:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        stamp = dt.datetime.now(dt.UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
        new = Path(tempfile.mkdtemp(prefix=stamp, dir=self._folder))
        new.chmod(0o755)
        for path, file in files.items():
            self._write_file(new / path, file)
        data = self._folder / _DATA
        old = data.resolve() if data.is_symlink() else None
        self._link(self._folder / _NEW_DATA, new.name)
        (self._folder / _NEW_DATA).rename(data)
        names = {PurePosixPath(path).parts[0] for path in files}
        for name in names:
            if not (self._folder / name).is_symlink():
                self._link(self._folder / name, f"{_DATA}/{name}")
        for name in {PurePosixPath(path).parts[0] for path in self._files or {}} - names:
            (self._folder / name).unlink()
        if old is not None:
            shutil.rmtree(old)
        self._files = dict(files)
        return True

    @staticmethod
    def _write_file(path: Path, file: File) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(file.mode)

    @staticmethod
    def _link(path: Path, to: str) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(to)
