"""The files of a published directory: which paths and types may be in it, and how they are listed."""

import os
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from adapter_contract.digests import Digest, sha256_file
from adapter_contract.documents import Part
from adapter_contract.errors import ContractError
from adapter_contract.scalars import Count
from adapter_contract.tree import require_regular, walk

MANIFEST_NAME = "manifest.json"
ALLOWED_SUFFIXES = frozenset({".safetensors", ".json", ".jsonl", ".md", ".txt", ".jinja", ".model", ".svg"})
"""What may be published: nothing that runs code when it is loaded, so no pickles (`.bin`, `.pt`, `.pkl`).

`.model` is a SentencePiece vocabulary (`tokenizer.model`).
"""

MAX_FILES = 1024


def checked_path(path: str) -> str:
    """Return a relative POSIX path that stays below its root.

    Raises:
        ValueError: an empty, "." or ".." segment, a backslash, an invisible character, or a segment of more than
            255 bytes.
    """
    segments = path.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError(f'{path!r} must be relative, with no empty, "." or ".." segment')
    if "\\" in path or any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in path):
        raise ValueError(f"{path!r} has a backslash or an invisible character")
    if any(len(segment.encode()) > 255 for segment in segments):
        raise ValueError(f"{path!r} has a segment of more than 255 bytes")
    return path


def _not_the_manifest(path: str) -> str:
    if path.partition("/")[0] == MANIFEST_NAME:
        raise ValueError(f"{MANIFEST_NAME} can't list itself, nor be a directory")
    return path


ArtifactPath = Annotated[
    str, StringConstraints(max_length=512), AfterValidator(checked_path), AfterValidator(_not_the_manifest)
]
"""A relative POSIX path below the artifact's directory, other than the manifest's own."""


class FileEntry(Part):
    """One file: path, size in bytes and digest of its content."""

    path: ArtifactPath
    size_bytes: Count
    digest: Digest


def unique_files(files: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
    """Check that no path stands twice and no file is also a directory of another; return the list.

    Raises:
        ValueError: which path it is.
    """
    seen: set[str] = set()
    for entry in files:
        if entry.path in seen:
            raise ValueError(f"{entry.path!r} is listed twice")
        seen.add(entry.path)
    for entry in files:
        for parent in PurePosixPath(entry.path).parents:
            if str(parent) in seen:
                raise ValueError(f"{str(parent)!r} is listed as a file and as a directory")
    return files


FileEntries = Annotated[tuple[FileEntry, ...], Field(max_length=MAX_FILES), AfterValidator(unique_files)]


class ForbiddenTypeError(ContractError):
    """A directory to be published holds a file of a type that no reader accepts."""


def is_allowed_type(path: str) -> bool:
    """Tell whether a file of this name may be in an artifact."""
    return PurePosixPath(path).suffix in ALLOWED_SUFFIXES


def list_files(directory: Path) -> tuple[FileEntry, ...]:
    """List every file below a directory, sorted by path, without `manifest.json` at its root.

    Raises:
        NotRegularError: an entry is neither a directory nor a regular file.
        ForbiddenTypeError: a file has a type that no reader accepts.
        pydantic.ValidationError: a path can't stand in a manifest.
        OSError: a file can't be read.
    """
    entries = []
    for path, status in walk(directory):
        if path == MANIFEST_NAME:
            continue
        require_regular(path, status)
        if not is_allowed_type(path):
            allowed = ", ".join(sorted(ALLOWED_SUFFIXES))
            raise ForbiddenTypeError(f"{path} has a type that can't be published; allowed are {allowed}")
        entries.append(_entry(directory, path, status))
    return tuple(entries)


def _entry(directory: Path, path: str, status: os.stat_result) -> FileEntry:
    return FileEntry(path=path, size_bytes=status.st_size, digest=sha256_file(directory / path))
