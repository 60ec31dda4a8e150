"""Files and directories that appear whole, on disk, under their name, or not at all."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def temporary_name(name: str) -> str:
    """Return a hidden name of its own beside `name`, shortened to what file systems take."""
    return f".{name.encode()[:200].decode(errors='ignore')}.tmp-{uuid.uuid4().hex}"


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all bytes at an offset, however the system splits them."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def reserve(descriptor: int, size: int) -> None:
    """Allocate a new file's blocks, so that a full disk shows before the download.

    Raises:
        OSError: there is no room.

    """
    if size:
        os.posix_fallocate(descriptor, 0, size)


@contextmanager
def new_file(path: Path) -> Iterator[int]:
    """Yield the descriptor of a temporary file that becomes `path` once the block ends well.

    It is then synchronized and renamed, and replaces a file of that name; after any failure it is removed.
    """
    temporary = path.with_name(temporary_name(path.name))
    descriptor = os.open(temporary, _NEW_FILE, 0o666)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary directory beside `path` that becomes `path` once the block ends well.

    The files in it must have been synchronized by those who wrote them; the directories are here. After any
    failure the whole tree is removed.

    Raises:
        FileExistsError: `path` is there already, before the block or after it.

    """
    if os.path.lexists(path):
        raise FileExistsError(f"{path} is there already; a directory is never changed in place")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(temporary_name(path.name))
    temporary.mkdir()
    try:
        yield temporary
        for directory, _, _ in os.walk(temporary):
            sync_directory(Path(directory))
        _rename_to_new(temporary, path)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    sync_directory(path.parent)


def _rename_to_new(temporary: Path, path: Path) -> None:
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise FileExistsError(f"{path} appeared meanwhile; a directory is never changed in place") from error
        raise


def sync_directory(path: Path) -> None:
    """Bring a directory's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
