"""File operations below one directory that can't be led out of it: no `..`, no symbolic link is followed.

Every step goes through the descriptor of the directory before it, so nothing that is swapped meanwhile
changes where an operation ends. The root itself may be a link; it is the administrator's.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapter_contract.s3.errors import AccessDenied, InvalidLocation, NotFound, StorageError, Unreachable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SICK = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO, errno.ENOTCONN, errno.EHOSTDOWN})


def open_root(root: Path, *, create: bool = False) -> int:
    """Return a descriptor of the root directory; with `create`, it and its parents are made.

    Raises:
        OSError: it can't be opened.

    """
    if create:
        root.mkdir(parents=True, exist_ok=True)
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_below(directory: int, segments: list[str], *, create: bool = False) -> int:
    """Return a descriptor of a directory below another one; with `create`, missing ones are made and synced.

    Raises:
        OSError: a segment is missing, is no directory, or is a link.

    """
    current = os.dup(directory)
    try:
        for segment in segments:
            if create:
                _make(current, segment)
            below = _open_directory(segment, current)
            os.close(current)
            current = below
    except BaseException:
        os.close(current)
        raise
    return current


def _open_directory(name: str, parent: int) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except NotADirectoryError as error:
        if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
            raise OSError(errno.ELOOP, "it is a symbolic link", name) from error
        raise


def _make(parent: int, name: str) -> None:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)


@contextmanager
def directory_of(root: Path, key: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the descriptor of the directory that holds a key, and the name in it; errors as in `open_below`."""
    *parents, name = key.split("/")
    top = open_root(root, create=create)
    try:
        directory = open_below(top, parents, create=create)
    finally:
        os.close(top)
    try:
        yield directory, name
    finally:
        os.close(directory)


def open_regular(directory: int, name: str) -> int:
    """Return a descriptor of a regular file, open for reading.

    Raises:
        OSError: it is missing or unreadable; IsADirectoryError or ELOOP for what is no regular file.

    """
    # Non-blocking, so that a pipe in a file's place is refused instead of waited for.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory", name)
    raise OSError(errno.ELOOP, "it is no regular file", name)


@contextmanager
def storage_errors(operation: str, uri: str) -> Iterator[None]:
    """Turn the `OSError` of a block into the `StorageError` that an object store would give."""
    try:
        yield
    except OSError as error:
        raise _storage_error(operation, uri, error) from error


def _storage_error(operation: str, uri: str, error: OSError) -> StorageError:
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return NotFound(operation, uri, "it does not exist", "check the URI and whether it was written")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        reason = f"the file system refuses access ({error.strerror})"
        return AccessDenied(operation, uri, reason, "check the mount, its owner and its mode")
    if error.errno == errno.ELOOP:
        return InvalidLocation(
            operation, uri, "a symbolic link or a special file is in its place", "use plain files and directories"
        )
    if error.errno in _NO_ROOM:
        return StorageError(operation, uri, f"the volume is full ({error.strerror})", "make room or a larger volume")
    if error.errno in _SICK:
        return Unreachable(operation, uri, f"the file system fails ({error.strerror})", "look at the volume")
    return StorageError(operation, uri, f"the file system answers {error.strerror}", "look at the volume")
