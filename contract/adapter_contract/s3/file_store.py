"""An object store in a local directory, for development and tests: what S3 promises, with files."""

import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from adapter_contract.digests import Hash, digest_of, new_hash
from adapter_contract.s3.atomic import new_file, reserve, write_all
from adapter_contract.s3.errors import Conflict, Corrupted, InvalidLocation, NotFound
from adapter_contract.s3.keys import checked_key, deletable, directory_prefix
from adapter_contract.s3.objects import GET_LIMIT_BYTES, Meter, ObjectInfo, Progress, Transferred
from adapter_contract.s3.ranges import ByteRange, split_ranges
from adapter_contract.s3.rooted import directory_of, open_below, open_regular, open_root, storage_errors
from adapter_contract.s3.s3_store import check_size
from adapter_contract.s3.s3_transfer import check_digest, check_unchanged, read_exactly
from adapter_contract.s3.settings import DEFAULT_SETTINGS, TransferSettings

STAGING = ".staging"
"""The directory at the root where objects are written before they get their name; no key begins with it."""

_CHUNK_BYTES = 1 << 20
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_USE = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY})
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_ATTEMPTS = 10  # against a directory that others remove, when it is empty, just before it is written to


class FileStore:
    """The files below a directory: `adapter_contract.s3.store.ObjectStore` without a server. Thread-safe.

    Differences from S3 that can't be hidden: a key can't be both an object and a directory of others; a
    segment of a key has at most 255 bytes; keys begin with no `.staging`.
    """

    def __init__(self, directory: Path, settings: TransferSettings = DEFAULT_SETTINGS) -> None:
        self.settings = settings
        self._directory = directory

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: no descriptor stays open between operations."""

    def uri(self, key: str = "") -> str:
        """Return the URI of a key, or of the root."""
        return f"file://{self._directory}/{key}"

    def _checked(self, key: str) -> str:
        if checked_key(key, self.uri()).split("/")[0] == STAGING:
            raise InvalidLocation("use", self.uri(key), f"{STAGING} is reserved", "use another name")
        return key

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; None where there is none."""
        try:
            return self.stat(key)
        except NotFound:
            return None

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object that must be there."""
        with self._opened("look at", key) as descriptor:
            return _info(key, os.fstat(descriptor))

    @contextmanager
    def _opened(self, operation: str, key: str) -> Iterator[int]:
        with (
            storage_errors(operation, self.uri(key)),
            directory_of(self._directory, self._checked(key)) as (directory, name),
        ):
            descriptor = open_regular(directory, name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the files inside a directory, at any depth; links and special files are left out."""
        full = directory_prefix(prefix, self.uri())
        try:
            with storage_errors("list", self.uri(full)):
                root = open_root(self._directory)
        except NotFound:
            return
        try:
            yield from self._walk(root, full)
        finally:
            os.close(root)

    def _walk(self, root: int, prefix: str) -> Iterator[ObjectInfo]:
        directories: list[str] = []
        try:
            with storage_errors("list", self.uri(prefix)):
                directory = open_below(root, prefix.split("/")[:-1])
        except NotFound:
            return
        try:
            with storage_errors("list", self.uri(prefix)):
                files = _entries(directory, prefix, directories)
        finally:
            os.close(directory)
        yield from files
        for below in directories:
            if below != f"{STAGING}/":
                yield from self._walk(root, below)

    def get(self, key: str, *, limit: int = GET_LIMIT_BYTES) -> bytes:
        """Return an object's bytes."""
        with self._opened("read", key) as descriptor:
            size = os.fstat(descriptor).st_size
            if size > limit:
                raise Corrupted(
                    "read", self.uri(key), f"it has {size} bytes, more than {limit}", "look what was written there"
                )
            return b"".join(self._chunks("read", key, descriptor, ByteRange(0, size)))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Return exactly `length` bytes from `start` on."""
        return b"".join(self.stream(key, start, length))

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes, all of one version of it."""
        with self._opened("read", key) as descriptor:
            size = os.fstat(descriptor).st_size
            count = size - start if length is None else length
            if start < 0 or count < 0 or start + count > size:
                raise Corrupted(
                    "read", self.uri(key), f"it has {size} bytes, not {start + max(count, 0)}", "write it again"
                )
            yield from self._chunks("read", key, descriptor, ByteRange(start, count))

    def _chunks(self, operation: str, key: str, descriptor: int, wanted: ByteRange) -> Iterator[bytes]:
        for piece in split_ranges(wanted.length, _CHUNK_BYTES):
            with storage_errors(operation, self.uri(key)):
                data = os.pread(descriptor, piece.length, wanted.start + piece.start)
            if len(data) != piece.length:
                raise Corrupted(operation, self.uri(key), "it became shorter while it was read", "write it again")
            yield data

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of one that is there."""
        with self._staged("write", key) as staged:
            staged.write(data)
            self._publish("write", key, staged, _rename)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless it is there; see `ObjectStore.put_if_absent`."""
        with self._staged("create", key) as staged:
            staged.write(data)
            moved = self._publish("create", key, staged, _link)
            if moved is _Moved.NO_LINKS and self.head(key) is None:
                # As on an object store without conditional writes: look, write, look again.
                self._publish("create", key, staged, _rename)
                self._accept_equal(key, data)
                return True
        return moved is _Moved.DONE or self._accept_equal(key, data)

    def _accept_equal(self, key: str, data: bytes) -> bool:
        """Compare with what is there; False, for "not written now", if it is equal.

        Raises:
            Conflict: it has other bytes.

        """
        if self.stat(key).size_bytes == len(data) and self.get(key, limit=len(data)) == data:
            return False
        raise Conflict("create", self.uri(key), "it is there with other bytes", "look who else writes there")

    def upload(
        self, path: Path, key: str, *, expected_digest: str | None = None, progress: Progress | None = None
    ) -> Transferred:
        """Write a file's content as an object; see `ObjectStore.upload`."""
        with path.open("rb") as source, self._staged("upload", key) as staged:
            before = os.fstat(source.fileno())
            size = before.st_size
            meter = Meter(size, progress)
            for piece in split_ranges(size, _CHUNK_BYTES):
                staged.write(read_exactly(source, piece.length, self.uri(key)))
                meter.add(piece.length)
            check_unchanged(source, before, self.uri(key))
            digest = digest_of(staged.hash)
            check_digest("upload", self.uri(key), digest, expected_digest)
            self._publish("upload", key, staged, _rename)
        return Transferred(size, digest)

    @contextmanager
    def _staged(self, operation: str, key: str) -> Iterator["_Staged"]:
        """Yield a new file in the staging directory, which is removed in the end whatever it became."""
        name = uuid.uuid4().hex
        with storage_errors(operation, self.uri(self._checked(key))):
            root = open_root(self._directory, create=True)
            try:
                directory = open_below(root, [STAGING], create=True)
            finally:
                os.close(root)
        try:
            with storage_errors(operation, self.uri(key)):
                descriptor = os.open(name, _NEW_FILE, 0o666, dir_fd=directory)
            try:
                yield _Staged(operation, self.uri(key), directory, name, descriptor)
            finally:
                os.close(descriptor)
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)

    def _publish(self, operation: str, key: str, staged: "_Staged", move: "_Move") -> "_Moved":
        with storage_errors(operation, self.uri(key)):
            os.fsync(staged.descriptor)
            for _ in range(_ATTEMPTS - 1):
                with suppress(FileNotFoundError):
                    return self._move(operation, key, staged, move)
            return self._move(operation, key, staged, move)

    def _move(self, operation: str, key: str, staged: "_Staged", move: "_Move") -> "_Moved":
        try:
            with directory_of(self._directory, key, create=True) as (directory, name):
                moved = move(staged, directory, name)
                os.fsync(directory)
                return moved
        except (IsADirectoryError, NotADirectoryError) as error:
            raise InvalidLocation(
                operation, self.uri(key), "a directory can't be an object, nor an object a directory", "use another key"
            ) from error

    def download(
        self,
        key: str,
        path: Path,
        *,
        expected_digest: str | None = None,
        expected_size: int | None = None,
        progress: Progress | None = None,
    ) -> Transferred:
        """Write an object's content to a file; see `ObjectStore.download`."""
        with self._opened("download", key) as source:
            size = os.fstat(source).st_size
            check_size("download", self.uri(key), size, expected_size)
            meter, state, offset = Meter(size, progress), new_hash(), 0
            with new_file(path) as descriptor:
                reserve(descriptor, size)
                for chunk in self._chunks("download", key, source, ByteRange(0, size)):
                    write_all(descriptor, chunk, offset)
                    state.update(chunk)
                    offset += len(chunk)
                    meter.add(len(chunk))
                digest = digest_of(state)
                check_digest("download", self.uri(key), digest, expected_digest)
        return Transferred(size, digest)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects and the directories that get empty by that; missing ones count as deleted."""
        for key in keys:
            self._checked(deletable(key, self.uri()))
            with (
                storage_errors("delete", self.uri(key)),
                suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError),
            ):
                self._delete(key)

    def _delete(self, key: str) -> None:
        with directory_of(self._directory, key) as (directory, name):
            os.unlink(name, dir_fd=directory)
            os.fsync(directory)
        for parent in list(PurePosixPath(key).parents)[:-1]:
            with directory_of(self._directory, str(parent)) as (directory, name):
                try:
                    os.rmdir(name, dir_fd=directory)
                except OSError as error:
                    if error.errno in _IN_USE:
                        return
                    raise


class _Moved(Enum):
    """What became of a staged file."""

    DONE = auto()
    EXISTS = auto()
    NO_LINKS = auto()


@dataclass
class _Staged:
    """A file that has no name among the objects yet, and the digest of what was written to it."""

    operation: str
    uri: str
    directory: int
    name: str
    descriptor: int
    hash: Hash = field(default_factory=new_hash)
    size: int = 0

    def write(self, data: bytes) -> None:
        with storage_errors(self.operation, self.uri):
            write_all(self.descriptor, data, self.size)
        self.hash.update(data)
        self.size += len(data)


_Move = Callable[[_Staged, int, str], _Moved]


def _rename(staged: _Staged, directory: int, name: str) -> _Moved:
    os.rename(staged.name, name, src_dir_fd=staged.directory, dst_dir_fd=directory)
    return _Moved.DONE


def _link(staged: _Staged, directory: int, name: str) -> _Moved:
    try:
        os.link(staged.name, name, src_dir_fd=staged.directory, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError as error:
        if stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a directory", name) from error
        return _Moved.EXISTS
    except OSError as error:
        if error.errno in _NO_HARD_LINKS:
            return _Moved.NO_LINKS
        raise
    return _Moved.DONE


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")


def _entries(directory: int, prefix: str, directories: list[str]) -> list[ObjectInfo]:
    """Return the files of one directory, and add the directories in it to `directories`."""
    files: list[ObjectInfo] = []
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # deleted since the directory was read; the others are still there
                continue
            if stat.S_ISDIR(status.st_mode):
                directories.append(f"{prefix}{entry.name}/")
            elif stat.S_ISREG(status.st_mode):
                files.append(_info(prefix + entry.name, status))
    return files
