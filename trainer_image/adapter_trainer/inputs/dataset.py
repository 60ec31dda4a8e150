"""The files with the examples, copied to the work directory, and the digest of their bytes.

The copy is what is read from then on: a mounted file that changes meanwhile can't be trained on under the digest of
its bytes before. Whatever their size, only chunks of them are in memory.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter_contract import DatasetSource, Digest, HubDatasetSource, PathSource, S3Location, S3Source, sha256_json
from adapter_contract.digests import digest_of, new_hash
from adapter_contract.s3 import InvalidLocation, NotFound, ObjectStore, open_object, open_store
from adapter_contract.s3.directories import download_items, stored_items
from adapter_contract.s3.rooted import storage_errors
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.failures import about
from adapter_trainer.inputs.data_files import (
    MAGIC_BYTES,
    DataFiles,
    compression_of,
    data_files,
    require_readable_name,
)

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_CARD_BYTES = 1 << 20
_FIX_MISSING = "check the location, and whether the examples are written yet"


@dataclass(frozen=True, slots=True)
class FetchedDataset:
    """Examples as they are stored.

    Attributes:
        files: local copies, in the order of their paths.
        digest: of the one file's bytes where the source names a file, so that `sha256sum` gives it; of a
            directory or repository, that of the canonical JSON list of the paths, sizes and digests of its files.
        uri: where they were read; of a repository of the Hub, with the commit.
    """

    files: tuple[Path, ...]
    digest: Digest
    uri: str


@dataclass(frozen=True, slots=True)
class _Copied:
    path: str
    size_bytes: int
    digest: Digest


def fetch_dataset(source: DatasetSource, directory: Path, field: str) -> FetchedDataset:
    """Copy a dataset: one file, or every file with examples below a prefix, in a directory or in a repository.

    Args:
        source: with mounted paths as they really are.
        directory: to copy to; it must not exist yet.
        field: of the configuration, for messages.

    Raises:
        TrainerError: InputMissing, PermissionDenied, StorageUnavailable as the store, the Hub or the volume fails;
            BadConfiguration for a source or a type of file that can't be read; BadData for a repository that
            describes itself wrongly.
        OSError: the copy can't be written.
    """
    with about(field):
        if isinstance(source, S3Source):
            copied, is_file = _fetch_stored(source.location, directory, field)
        elif isinstance(source, PathSource):
            copied, is_file = _fetch_mounted(Path(source.path), directory, field)
        else:
            return _fetch_repository(source, directory, field)
    return _fetched(directory, copied, source_uri(source), field, is_file=is_file)


def source_uri(source: DatasetSource) -> str:
    """Return where a dataset lies, as the manifest records it."""
    if isinstance(source, S3Source):
        return source.location.uri
    if isinstance(source, PathSource):
        return source.path
    return f"hf://datasets/{source.repository}" + (f"@{source.revision}" if source.revision else "")


def _fetch_stored(location: S3Location, directory: Path, field: str) -> tuple[list[_Copied], bool]:
    opened = _opened_object(location)
    if opened is not None:
        with opened[0] as store:
            if store.head(opened[1]) is not None:
                require_readable_name(opened[1], field)
                directory.mkdir(parents=True)
                one = store.download(opened[1], directory / opened[1])
                return [_Copied(opened[1], one.size_bytes, one.digest)], True
    with open_store(location) as store:
        return _fetch_prefix(store, directory, field), False


def _opened_object(location: S3Location) -> tuple[ObjectStore, str] | None:
    try:
        return open_object(location)
    except InvalidLocation:  # it names a prefix; that the rest of it is right, opening the prefix says
        return None


def _fetch_prefix(store: ObjectStore, directory: Path, field: str) -> list[_Copied]:
    items = {item.path: item for item in stored_items(store, "")}
    chosen = data_files(items, store.uri(), field)
    if not chosen.paths:
        raise NotFound(
            "read the dataset at", store.uri(), _nothing("there is no such object, and", items), _FIX_MISSING
        )
    _tell(chosen, store.uri())
    directory.mkdir(parents=True)
    transferred = download_items(store, "", directory, [items[path] for path in chosen.paths])
    return [_Copied(path, one.size_bytes, one.digest) for path, one in transferred.items()]


def _fetch_mounted(source: Path, directory: Path, field: str) -> tuple[list[_Copied], bool]:
    with storage_errors("read the dataset at", str(source)):
        is_directory = source.is_dir()
        found = list(_mounted_files(source)) if is_directory else []
    if not is_directory:
        require_readable_name(source.name, field)
        directory.mkdir(parents=True)
        return [_copy(source, directory, source.name)], True
    chosen = data_files(found, str(source), field)
    if not chosen.paths:
        raise NotFound("read the dataset at", str(source), _nothing("", found), _FIX_MISSING)
    _tell(chosen, str(source))
    directory.mkdir(parents=True)
    return [_copy(source / path, directory, path) for path in chosen.paths], False


def _fetch_repository(source: HubDatasetSource, directory: Path, field: str) -> FetchedDataset:
    # A client of the Hub is loaded only by who asks it.
    from adapter_trainer.inputs.hub import HubRepository  # noqa: PLC0415
    from adapter_trainer.inputs.hub_dataset import CARD, Wanted, select_files  # noqa: PLC0415

    with HubRepository(source, "dataset") as repository:
        card = repository.files.get(CARD)
        metadata = None if card is None else repository.read(CARD, 0, min(card.size_bytes, _CARD_BYTES))
        wanted = Wanted(where=repository.uri, field=field, subset=source.subset, split=source.split)
        chosen = select_files(repository.files, metadata, wanted)
        if not chosen.paths:
            raise NotFound("read the dataset at", repository.uri, _nothing("", repository.files), _FIX_MISSING)
        _log.info("reading %s: %s", repository.uri, _names(chosen.paths))
        directory.mkdir(parents=True)
        transferred = repository.download(chosen.paths, directory)
        copied = [_Copied(path, one.size_bytes, one.digest) for path, one in transferred.items()]
        return _fetched(directory, copied, repository.uri, field, is_file=False)


def _mounted_files(directory: Path) -> Iterator[str]:
    """List the files of a volume. Links are followed: mounted config maps consist of them."""
    for path in directory.rglob("*"):
        if path.is_file():
            yield _named(path.relative_to(directory).as_posix(), directory)


def _named(path: str, directory: Path) -> str:
    # The paths stand in messages, records and a digest.
    if not path.isprintable():
        raise InvalidLocation(
            "read the dataset at",
            str(directory),
            f"it has a file with an unprintable name ({path!a})",
            "rename it",
        )
    return path


def _nothing(beginning: str, found: Iterable[str]) -> str:
    visible = sorted(path for path in found if not path.startswith("."))
    beside = f", only {_names(visible)}" if visible else ""
    return f"{beginning} there is no file with examples in it{beside}".strip()


def _names(paths: Sequence[str]) -> str:
    return ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")


def _tell(chosen: DataFiles, where: str) -> None:
    if chosen.left_out:
        _log.info("left out below %s, since they are no examples: %s", where, _names(chosen.left_out))


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


def _fetched(directory: Path, copied: Sequence[_Copied], uri: str, field: str, *, is_file: bool) -> FetchedDataset:
    entries = sorted(copied, key=lambda one: one.path.encode())
    for one in entries:
        if one.size_bytes == 0:
            _log.warning("%s of %s is empty", one.path, uri)
        _require_uncompressed(directory / one.path, one.path, field)
    if is_file:
        digest = entries[0].digest
    else:
        digest = sha256_json([{"path": one.path, "sizeBytes": one.size_bytes, "digest": one.digest} for one in entries])
    return FetchedDataset(tuple(directory / one.path for one in entries), digest, uri)


def _require_uncompressed(path: Path, name: str, field: str) -> None:
    with path.open("rb") as stream:
        program = compression_of(stream.read(MAGIC_BYTES))
    if program is not None:
        raise BadConfiguration(
            f"{field}: {name} is compressed, whatever its name says: decompress it ({program}), or write Parquet, "
            "which compresses inside"
        )
