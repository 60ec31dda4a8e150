"""An object store on S3."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from adapter_contract.digests import sha256_bytes
from adapter_contract.locations import S3Location
from adapter_contract.s3.atomic import new_file, reserve
from adapter_contract.s3.errors import AccessDenied, Conflict, Corrupted, NotFound, StorageError
from adapter_contract.s3.keys import checked_key, deletable, directory_prefix
from adapter_contract.s3.objects import GET_LIMIT_BYTES, Meter, ObjectInfo, Progress, Transferred
from adapter_contract.s3.ranges import ByteRange
from adapter_contract.s3.s3_requests import S3Requests, is_unsupported
from adapter_contract.s3.s3_transfer import S3Transfer, check_digest, check_unchanged, read_exactly
from adapter_contract.s3.settings import DEFAULT_SETTINGS, TransferSettings

_DELETED_AT_ONCE = 1000
"""S3's limit for one DeleteObjects request."""

_REREADS_OF_REPLACED = 2
_REREADS_OF_CORRUPTED = 1
"""How often a download starts over because the object was replaced meanwhile, or has not the expected digest."""


@dataclass(frozen=True, slots=True)
class _Connected:
    """What one process holds of a store."""

    requests: S3Requests
    transfer: S3Transfer


class S3Store:
    """The objects below an S3 prefix: `adapter_contract.s3.store.ObjectStore` on boto3. Thread-safe.

    After a fork the child makes connections of its own; a `stream` or transfer that the parent began stays the
    parent's. Pickled, a store is its location and settings.

    Raises:
        StorageError: the location can't be used.

    """

    def __init__(self, location: S3Location, settings: TransferSettings = DEFAULT_SETTINGS) -> None:
        self.settings = settings
        self._root = f"{location.prefix}/" if location.prefix else ""
        self._location = location
        self._by_process: dict[int, _Connected] = {}
        self._connected()

    def _connected(self) -> "_Connected":
        """Return this process's connections and locks: a parent's are shared sockets, and locks of lost threads.

        No lock of our own guards this, since a fork could catch it locked; `setdefault` makes one of several
        threads the first one.
        """
        process = os.getpid()
        found = self._by_process.get(process)
        if found is None:
            requests = S3Requests(self._location, self.settings)
            made = _Connected(requests, S3Transfer(requests, self.settings))
            found = self._by_process.setdefault(process, made)
        return found

    @property
    def _requests(self) -> S3Requests:
        return self._connected().requests

    @property
    def _transfer(self) -> S3Transfer:
        return self._connected().transfer

    def __reduce__(self) -> tuple[type["S3Store"], tuple[S3Location, TransferSettings]]:
        return S3Store, (self._location, self.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the store is not used after that."""
        found = self._by_process.get(os.getpid())
        if found is not None:  # a child that made no connections has none to close: its parent's are not its own
            found.requests.close()

    def uri(self, key: str = "") -> str:
        """Return the URI of a key, or of the root."""
        return self._requests.uri(self._root + key)

    def _full(self, key: str) -> str:
        return self._root + checked_key(key, self.uri())

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; None where there is none."""
        try:
            return self.stat(key)
        except NotFound:
            return None

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object that must be there."""
        return self._stat("look at", key)

    def _stat(self, operation: str, key: str) -> ObjectInfo:
        size, etag = self._requests.head(operation, self._full(key))
        return ObjectInfo(key, size, etag)

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects inside a directory, at any depth."""
        full = self._root + directory_prefix(prefix, self.uri())
        token: str | None = None
        earlier: set[str] = set()
        while True:
            found, token = self._requests.page(full, token, earlier)
            for key, size, etag in found:
                if key != full:  # an empty object "directory/" marks the directory; it is not inside
                    yield ObjectInfo(key.removeprefix(self._root), size, etag)
            if token is None:
                return
            earlier.add(token)

    def get(self, key: str, *, limit: int = GET_LIMIT_BYTES) -> bytes:
        """Return an object's bytes."""
        return self._requests.whole("read", self._full(key), limit)

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Return exactly `length` bytes from `start` on."""
        return b"".join(self.stream(key, start, length))

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes, all of one version of it."""
        info = self._stat("read", key)
        count = info.size_bytes - start if length is None else length
        if start < 0 or count < 0 or start + count > info.size_bytes:
            raise Corrupted(
                "read", self.uri(key), f"it has {info.size_bytes} bytes, not {start + max(count, 0)}", "write it again"
            )
        yield from self._requests.chunks("read", self._full(key), ByteRange(start, count), info.etag)

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of one that is there."""
        self._requests.put("write", self._full(key), data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless it is there; see `ObjectStore.put_if_absent`."""
        full = self._full(key)
        # Stores that ignore If-None-Match would overwrite: they get at least this look before.
        if self._is_there(key):
            return self._accept_equal(key, data)
        try:
            self._requests.put("create", full, data, IfNoneMatch="*")
        except Conflict as conflict:
            try:
                return self._accept_equal(key, data)
            except NotFound:  # the other writer gave up, or its object was deleted: nothing was written
                raise conflict from conflict.__cause__
        except StorageError as error:
            if not is_unsupported(error.__cause__):
                raise
            self._requests.put("create", full, data)
            self._accept_equal(key, data)
        return True

    def _is_there(self, key: str) -> bool:
        try:
            return self.head(key) is not None
        except AccessDenied:
            return False  # who may write but not read, or not list, gets no other answer; the write decides

    def _accept_equal(self, key: str, data: bytes) -> bool:
        """Compare with what is there; False, for "not written now", if it is equal.

        Raises:
            Conflict: it has other bytes.

        """
        info = self._stat("create", key)
        if info.size_bytes == len(data) and self.get(key, limit=len(data)) == data:
            return False
        raise Conflict("create", self.uri(key), "it is there with other bytes", "look who else writes there")

    def upload(
        self, path: Path, key: str, *, expected_digest: str | None = None, progress: Progress | None = None
    ) -> Transferred:
        """Write a file's content as an object; see `ObjectStore.upload`."""
        full = self._full(key)
        with path.open("rb") as source:
            before = os.fstat(source.fileno())
            size = before.st_size
            meter = Meter(size, progress)
            if size > self.settings.part_bytes:
                return Transferred(size, self._transfer.upload(source, size, full, expected_digest, meter))
            data = read_exactly(source, size, self.uri(key))
            check_unchanged(source, before, self.uri(key))
        digest = sha256_bytes(data)
        check_digest("upload", self.uri(key), digest, expected_digest)
        self._requests.put("upload", full, data)
        meter.add(size)
        return Transferred(size, digest)

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
        failures = 0
        while True:
            info = self._stat("download", key)
            check_size("download", self.uri(key), info.size_bytes, expected_size)
            meter = Meter(info.size_bytes, progress)
            try:
                return self._download(info, path, expected_digest, meter)
            except (Conflict, Corrupted) as error:
                failures += 1
                if failures > (_REREADS_OF_REPLACED if isinstance(error, Conflict) else _REREADS_OF_CORRUPTED):
                    raise

    def _download(self, info: ObjectInfo, path: Path, expected_digest: str | None, meter: Meter) -> Transferred:
        with new_file(path) as descriptor:
            reserve(descriptor, info.size_bytes)
            digest = self._transfer.download(self._root + info.key, info.size_bytes, info.etag, descriptor, meter)
            check_digest("download", self.uri(info.key), digest, expected_digest)
        return Transferred(info.size_bytes, digest)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; missing ones count as deleted."""
        rest = (self._root + deletable(key, self.uri()) for key in keys)
        while batch := list(islice(rest, _DELETED_AT_ONCE)):
            self._requests.delete(batch)


def check_size(operation: str, uri: str, found: int, expected: int | None) -> None:
    """Compare sizes in bytes.

    Raises:
        Corrupted: they differ.

    """
    if expected is not None and found != expected:
        raise Corrupted(operation, uri, f"it has {found} bytes, expected {expected}", "do not use it; publish it again")
