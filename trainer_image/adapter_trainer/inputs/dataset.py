"""The files with the examples, copied to the work directory, and the digest of their bytes.

The copy is what is read from then on: a mounted file that changes meanwhile can't be trained on under the digest of
its bytes before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from adapter_contract import DatasetSource, Digest, PathSource, S3Location, S3Source, sha256_json
from adapter_contract.digests import digest_of, new_hash
from adapter_contract.s3 import InvalidLocation, NotFound, ObjectStore, open_object, open_store
from adapter_contract.s3.directories import download_items, stored_items
from adapter_contract.s3.rooted import storage_errors
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.failures import about

SUFFIX = ".jsonl"
_OTHER_FORMATS = frozenset(
    {".arrow", ".avro", ".bz2", ".csv", ".feather", ".gz", ".parquet", ".tar", ".tsv", ".xz", ".zip", ".zst"}
)
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FetchedDataset:
    """Examples as they are stored.

    Attributes:
        files: local copies, in the order of their paths.
        digest: of the one file's bytes where the source names a file, so that `sha256sum` gives it; of a
            directory, that of the canonical JSON list of the paths, sizes and digests of its files.
    """

    files: tuple[Path, ...]
    digest: Digest


@dataclass(frozen=True, slots=True)
class _Copied:
    path: str
    size_bytes: int
    digest: Digest


def fetch_dataset(source: DatasetSource, directory: Path, field: str) -> FetchedDataset:
    """Copy a dataset: one file, or every `*.jsonl` below a prefix or directory.

    Args:
        source: with mounted paths as they really are.
        directory: to copy to; it must not exist yet.
        field: of the configuration, for messages.

    Raises:
        TrainerError: InputMissing, PermissionDenied, StorageUnavailable as the store or volume fails;
            BadConfiguration for a source or a file format that can't be read.
        OSError: the copy can't be written.
    """
    with about(field):
        if isinstance(source, S3Source):
            return _fetch_stored(source.location, directory, field)
        if isinstance(source, PathSource):
            return _fetch_mounted(Path(source.path), directory, field)
    raise BadConfiguration(
        f"{field}.huggingFace: this release reads no datasets of the Hub; "
        f"write {source.repository} as JSON Lines to S3, a volume or a config map"
    )


def source_uri(source: DatasetSource) -> str:
    """Return where a dataset lies, as the manifest records it."""
    if isinstance(source, S3Source):
        return source.location.uri
    if isinstance(source, PathSource):
        return source.path
    return f"hf://datasets/{source.repository}" + (f"@{source.revision}" if source.revision else "")


def _fetch_stored(location: S3Location, directory: Path, field: str) -> FetchedDataset:
    opened = _opened_object(location)
    if opened is not None:
        with opened[0] as store:
            if store.head(opened[1]) is not None:
                _require_format(opened[1], field)
                path = directory / opened[1]
                directory.mkdir(parents=True)
                return FetchedDataset((path,), store.download(opened[1], path).digest)
    with open_store(location) as store:
        return _fetch_prefix(store, directory)


def _opened_object(location: S3Location) -> tuple[ObjectStore, str] | None:
    try:
        return open_object(location)
    except InvalidLocation:  # it names a prefix; that the rest of it is right, opening the prefix says
        return None


def _fetch_prefix(store: ObjectStore, directory: Path) -> FetchedDataset:
    items = [item for item in stored_items(store, "") if _counts(item.path)]
    if not items:
        raise NotFound(
            "read the dataset at", store.uri(), f"there is no such object, and no *{SUFFIX} below it", _FIX_MISSING
        )
    directory.mkdir(parents=True)
    transferred = download_items(store, "", directory, items)
    return _listed(directory, (_Copied(path, one.size_bytes, one.digest) for path, one in transferred.items()))


def _fetch_mounted(source: Path, directory: Path, field: str) -> FetchedDataset:
    with storage_errors("read the dataset at", str(source)):
        is_directory = source.is_dir()
        files = sorted(_mounted_files(source)) if is_directory else []
    directory.mkdir(parents=True)
    if not is_directory:
        _require_format(source.name, field)
        return FetchedDataset((directory / source.name,), _copy(source, directory, source.name).digest)
    if not files:
        raise NotFound("read the dataset at", str(source), f"there is no *{SUFFIX} in it", _FIX_MISSING)
    return _listed(directory, [_copy(source / path, directory, path) for path in files])


_FIX_MISSING = "check the location, and whether the examples are written yet"


def _mounted_files(directory: Path) -> Iterator[str]:
    """List the files of a volume. Links are followed: mounted config maps consist of them."""
    for path in directory.rglob(f"*{SUFFIX}"):
        relative = path.relative_to(directory).as_posix()
        if path.is_file() and _counts(relative):
            yield relative


def _counts(path: str) -> bool:
    # Names with a dot before them are not data: the kubelet's versions of a config map, a tool's temporary files.
    return path.endswith(SUFFIX) and not any(part.startswith(".") for part in path.split("/"))


def _require_format(name: str, field: str) -> None:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _OTHER_FORMATS:
        raise BadConfiguration(f"{field}: {name} is no JSON Lines file; write the examples as *{SUFFIX}, uncompressed")


def _copy(source: Path, directory: Path, name: str) -> _Copied:
    target = directory / name
    target.parent.mkdir(parents=True, exist_ok=True)
    state, size = new_hash(), 0
    with target.open("wb") as stream:
        for chunk in _chunks(source):
            state.update(chunk)
            stream.write(chunk)
            size += len(chunk)
    return _Copied(name, size, digest_of(state))


def _chunks(path: Path) -> Iterator[bytes]:
    with storage_errors("read the dataset at", str(path)), path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _listed(directory: Path, copied: Iterable[_Copied]) -> FetchedDataset:
    entries = sorted(copied, key=lambda one: one.path.encode())
    digest = sha256_json([{"path": one.path, "sizeBytes": one.size_bytes, "digest": one.digest} for one in entries])
    return FetchedDataset(tuple(directory / one.path for one in entries), digest)
