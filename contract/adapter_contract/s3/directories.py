"""Whole directories: up, down, and deleted."""

import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from adapter_contract.artifact_files import MANIFEST_NAME
from adapter_contract.s3.atomic import new_directory
from adapter_contract.s3.errors import Corrupted, InvalidLocation, NotFound
from adapter_contract.s3.keys import directory_prefix, join_key, key_problem
from adapter_contract.s3.objects import Meter, Progress, Transferred
from adapter_contract.s3.store import ObjectStore
from adapter_contract.tree import kind_of, walk

_DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a directory that is transferred.

    Attributes:
        path: relative, with slashes.
        size_bytes: as known before the transfer.
        digest: `sha256:...`, where it is known before.

    """

    path: str
    size_bytes: int
    digest: str | None = None


def local_items(directory: Path) -> tuple[Item, ...]:
    """List the files below a directory.

    Raises:
        InvalidLocation: something in it is no regular file; links are not followed.
        OSError: it can't be read.

    """
    items = []
    for path, status in walk(directory):
        if not stat.S_ISREG(status.st_mode):
            raise InvalidLocation(
                "upload", str(directory / path), f"it is a {kind_of(status)}", "only regular files can be published"
            )
        items.append(Item(path, status.st_size))
    return tuple(items)


def upload_directory(
    store: ObjectStore, directory: Path, prefix: str, *, progress: Progress | None = None
) -> dict[str, Transferred]:
    """Upload every file below a directory, at most `settings.files` at once; return them by relative path.

    Objects that are there under the same keys are replaced, others stay. After a failure some may be there.

    Raises:
        StorageError: also InvalidLocation where something is no regular file: then nothing was uploaded.
        OSError: a file can't be read.

    """
    return upload_items(store, directory, prefix, local_items(directory), progress=progress)


def upload_items(
    store: ObjectStore, directory: Path, prefix: str, items: Iterable[Item], *, progress: Progress | None = None
) -> dict[str, Transferred]:
    """Upload the given files of a directory, against their digests where known; errors as above."""
    listed = tuple(items)
    meter = Meter(sum(item.size_bytes for item in listed), progress)

    def upload(item: Item) -> Transferred:
        return store.upload(
            directory / item.path, join_key(prefix, item.path), expected_digest=item.digest, progress=meter.part()
        )

    return dict(zip((item.path for item in listed), _each(upload, listed, store.settings.files, meter), strict=True))


def stored_items(store: ObjectStore, prefix: str) -> tuple[Item, ...]:
    """List the objects inside a directory of a store, sorted by path; empty ones that mark directories left out.

    Raises:
        InvalidLocation: an object has a key that can't be a file's path.
        StorageError: the listing fails.

    """
    full = directory_prefix(prefix, store.uri())
    items = []
    for found in store.list_objects(prefix):
        path = found.key.removeprefix(full)
        if path.endswith("/") and not found.size_bytes:
            continue
        if problem := key_problem(path):
            raise InvalidLocation("download", store.uri(found.key), f"its key can't be a path: {problem}", "delete it")
        items.append(Item(path, found.size_bytes))
    return tuple(sorted(items, key=lambda item: item.path))


def download_directory(
    store: ObjectStore, prefix: str, destination: Path, *, progress: Progress | None = None
) -> dict[str, Transferred]:
    """Download every object inside a directory of a store, at most `settings.files` at once.

    The destination appears whole and synchronized, or not at all. Sizes are checked against the listing;
    where digests are known, `artifacts.fetch_artifact` is the function to use.

    Raises:
        StorageError: also NotFound where the directory is empty, Corrupted where its paths can't be in one tree.
        FileExistsError: the destination is there already.
        OSError: a file can't be written.

    """
    items = stored_items(store, prefix)
    if not items:
        raise NotFound(
            "download", store.uri(directory_prefix(prefix, store.uri())), "nothing is there", "check the URI"
        )
    with new_directory(destination) as temporary:
        return download_items(store, prefix, temporary, items, progress=progress)


def download_items(
    store: ObjectStore, prefix: str, directory: Path, items: Iterable[Item], *, progress: Progress | None = None
) -> dict[str, Transferred]:
    """Download the given files into a directory, against their sizes and, where known, digests; errors as above."""
    listed = tuple(items)
    meter = Meter(sum(item.size_bytes for item in listed), progress)
    _make_parents(directory, listed, store.uri(prefix))

    def download(item: Item) -> Transferred:
        return store.download(
            join_key(prefix, item.path),
            directory / item.path,
            expected_digest=item.digest,
            expected_size=item.size_bytes,
            progress=meter.part(),
        )

    return dict(zip((item.path for item in listed), _each(download, listed, store.settings.files, meter), strict=True))


def _make_parents(directory: Path, items: Sequence[Item], uri: str) -> None:
    files = {item.path for item in items}
    parents = {str(parent) for item in items for parent in PurePosixPath(item.path).parents}
    if both := sorted(files & parents):
        raise Corrupted("download", uri, f"{both[0]!r} is both a file and a directory", "delete one of them")
    for parent in sorted(parents):
        (directory / parent).mkdir(parents=True, exist_ok=True)


def _each(task: Callable[[Item], Transferred], items: Sequence[Item], at_once: int, meter: Meter) -> list[Transferred]:
    """Run a task per item on threads; the first failure stops all others, and is raised."""
    with ThreadPoolExecutor(at_once, thread_name_prefix="files") as pool:
        futures = [pool.submit(task, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            meter.stop()
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]


def delete_prefix(store: ObjectStore, prefix: str) -> int:
    """Delete the objects inside a directory, 1,000 per request, and return how many there were.

    Manifests go first, in requests of their own: wherever it is interrupted, no manifest stays without the files
    that it lists. Objects that are written meanwhile may stay.

    Raises:
        InvalidLocation: the prefix is empty. That would be the whole store, and is more likely a mistake.
        StorageError: the listing or a deletion fails; some objects may be gone.

    """
    if not prefix.strip("/"):
        raise InvalidLocation("delete", store.uri(), "no prefix is given", "name the directory to delete")
    manifests: list[str] = []
    others: list[str] = []
    for found in store.list_objects(prefix):
        (manifests if found.key.rpartition("/")[2] == MANIFEST_NAME else others).append(found.key)
    for keys in (*_batches(manifests), *_batches(others)):
        store.delete(keys)
    return len(manifests) + len(others)


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, _DELETED_AT_ONCE)):
        yield batch
