"""Digests of weight files that were computed before, kept beside the model or in a directory of the caller's."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError

from adapter_contract.canonical import canonical_json
from adapter_contract.digests import Digest
from adapter_contract.documents import Part
from adapter_contract.s3.atomic import new_file, write_all
from adapter_contract.s3.base_model_files import LocalModel, ModelFile, StoredModel
from adapter_contract.s3.errors import NotFound, StorageError
from adapter_contract.scalars import Count

CACHE_NAME = ".adapter-base-digest.json"
_LIMIT_BYTES = 16 << 20

_log = logging.getLogger(__name__)


class CachedDigest(Part):
    """One weight file: what its digest was computed from, and the digest.

    Attributes:
        path: relative to the model.
        size_bytes: of the file.
        mark: see `ModelFile.mark`.
        header_digest: of the raw safetensors header.
        digest: of the whole file; None while it is not computed.

    """

    path: str
    size_bytes: Count
    mark: str
    header_digest: Digest
    digest: Digest | None = None

    @classmethod
    def unknown(cls, path: str, file: ModelFile, header_digest: str) -> Self:
        """Return the entry of a file whose digest is to be computed or found."""
        return cls(path=path, size_bytes=file.size_bytes, mark=file.mark, header_digest=header_digest)

    def with_digest(self, digest: str) -> Self:
        """Return the entry with the digest of the whole file."""
        return self.model_copy(update={"digest": digest})


class _Cache(Part):
    version: Literal[1] = 1
    files: Annotated[tuple[CachedDigest, ...], Field(max_length=100_000)] = ()


class DigestCache:
    """The caches of one model. None of them has to be there, to be readable or to be writable."""

    def __init__(self, model: LocalModel | StoredModel, directory: Path | None) -> None:
        self._model = model
        self._own_file = None if directory is None else directory / _own_name(model.uri)
        self._beside_fails = False
        self._own_fails = False

    def load(self, wanted: Mapping[str, CachedDigest]) -> dict[str, CachedDigest]:
        """Return the entries with a digest that agree with the files as they are now, by path."""
        found = [*self._read_beside(), *self._read_own()]
        return {
            entry.path: entry
            for entry in found
            if entry.digest is not None
            and entry.path in wanted
            and entry.model_copy(update={"digest": None}) == wanted[entry.path]
        }

    def save(self, entries: Iterable[CachedDigest]) -> None:
        """Keep entries for the next time: beside the model, else in the caller's directory, else nowhere."""
        files = tuple(sorted(entries, key=lambda entry: entry.path))
        data = canonical_json(_Cache(files=files).model_dump(mode="json", by_alias=True, exclude_none=True))
        if not self._beside_fails:
            try:
                self._write_beside(data)
            except (StorageError, OSError) as error:
                self._beside_fails = True
                then = "they will be computed again" if self._own_file is None else f"{self._own_file} is used"
                _log.warning("the digests of %s can't be kept beside it, %s: %s", self._model.uri, then, error)
            else:
                return
        if self._own_file is not None and not self._own_fails:
            try:
                self._own_file.parent.mkdir(parents=True, exist_ok=True)
                _replace(self._own_file, data)
            except OSError as error:
                self._own_fails = True
                _log.warning(
                    "the digests of %s can't be kept in %s, they will be computed again: %s",
                    self._model.uri,
                    self._own_file.parent,
                    error,
                )

    def _read_beside(self) -> tuple[CachedDigest, ...]:
        try:
            if isinstance(self._model, LocalModel):
                return _parsed(self._model.uri, _content(self._model.directory / CACHE_NAME))
            key = self._model.key(CACHE_NAME)
            return _parsed(self._model.uri, self._model.store.get(key, limit=_LIMIT_BYTES))
        except (NotFound, FileNotFoundError):
            return ()
        except (StorageError, OSError) as error:
            _log.warning("the cached digests beside %s can't be read: %s", self._model.uri, error)
            return ()

    def _read_own(self) -> tuple[CachedDigest, ...]:
        if self._own_file is None:
            return ()
        try:
            return _parsed(str(self._own_file), _content(self._own_file))
        except FileNotFoundError:
            return ()
        except OSError as error:
            _log.warning("the cached digests in %s can't be read: %s", self._own_file.parent, error)
            return ()

    def _write_beside(self, data: bytes) -> None:
        if isinstance(self._model, LocalModel):
            _replace(self._model.directory / CACHE_NAME, data)
        else:
            self._model.store.put(self._model.key(CACHE_NAME), data)


def _own_name(uri: str) -> str:
    return f"{hashlib.sha256(uri.encode()).hexdigest()}.json"


def _content(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_LIMIT_BYTES)


def _replace(path: Path, data: bytes) -> None:
    with new_file(path) as descriptor:
        write_all(descriptor, data, 0)


def _parsed(origin: str, data: bytes) -> tuple[CachedDigest, ...]:
    try:
        return _Cache.model_validate_json(data, by_alias=True, by_name=False).files
    except ValidationError:
        _log.warning("the cached digests of %s are damaged and are ignored", origin)
        return ()
