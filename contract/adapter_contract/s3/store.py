"""What every object store offers, and how to open one."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from adapter_contract.locations import S3Location
from adapter_contract.s3.errors import InvalidLocation
from adapter_contract.s3.file_store import FileStore
from adapter_contract.s3.objects import GET_LIMIT_BYTES, ObjectInfo, Progress, Transferred
from adapter_contract.s3.s3_store import S3Store
from adapter_contract.s3.settings import DEFAULT_SETTINGS, TransferSettings


class ObjectStore(Protocol):
    """Objects below a root: bytes under relative keys. Synchronous and thread-safe; close it after use.

    Every method raises `StorageError` by its subclasses. Local files that an upload reads or a download
    writes raise `OSError`: a full disk of the pod is not the store's fault. Keys are as `keys.key_problem`
    wants them. Prefixes mean directories: `a/1` is the same as `a/1/` and has nothing to do with `a/10`.
    """

    @property
    def settings(self) -> TransferSettings:
        """The bounds of its requests."""
        ...

    def __enter__(self) -> Self:
        """Return the store itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""

    def close(self) -> None:
        """Close its connections."""

    def uri(self, key: str = "") -> str:
        """Return the URI of a key, or of the root."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of an object; None where there is none."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object that must be there (else NotFound)."""
        ...

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects inside a directory, at any depth, in no promised order.

        Programs write odd keys: one may end with a slash, or be none that this package would read or write.
        """
        ...

    def get(self, key: str, *, limit: int = GET_LIMIT_BYTES) -> bytes:
        """Return the bytes of an object that has at most `limit` of them (else Corrupted)."""
        ...

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Return exactly `length` bytes from `start` on (Corrupted where the object ends before)."""
        ...

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` on, in chunks; without a length, to the end.

        They are all of one version of the object: Conflict where it is replaced meanwhile.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in place of one that is there."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one of that key.

        True: it was written. False: it is there with equal bytes, from now or from long ago (also after an
        attempt of this very call whose answer was lost). Conflict: it is there with other bytes.
        """
        ...

    def upload(
        self, path: Path, key: str, *, expected_digest: str | None = None, progress: Progress | None = None
    ) -> Transferred:
        """Write a file's content as an object, in place of one that is there.

        The object appears whole or not at all. Corrupted, and no object, where the file has another digest
        than expected or changes meanwhile.
        """
        ...

    def download(
        self,
        key: str,
        path: Path,
        *,
        expected_digest: str | None = None,
        expected_size: int | None = None,
        progress: Progress | None = None,
    ) -> Transferred:
        """Write an object's content to a file, in place of one that is there.

        The file appears whole, checked and synchronized, or not at all. Corrupted where size (bytes) or
        digest are others than expected; Conflict where the object is replaced again and again meanwhile.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, in no promised order; missing ones count as deleted."""


def open_store(location: S3Location, settings: TransferSettings = DEFAULT_SETTINGS) -> ObjectStore:
    """Open the store below a location, `s3://` or `file://`. Nothing is connected to yet.

    Raises:
        StorageError: the location can't be used.

    """
    return FileStore(location.directory, settings) if location.is_local else S3Store(location, settings)


def open_object(location: S3Location, settings: TransferSettings = DEFAULT_SETTINGS) -> tuple[ObjectStore, str]:
    """Open the store that holds the one object of a location, and return it with the object's key.

    Raises:
        StorageError: the location can't be used, or names no object.

    """
    parent, _, key = location.uri.rstrip("/").rpartition("/")
    if location.uri.endswith("/") or parent in {"s3:/", "file://"}:
        raise InvalidLocation("use", location.uri, "it names no object", "name one, with no slash at the end")
    return open_store(location.at(parent), settings), key
