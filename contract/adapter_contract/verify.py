"""Verification of a directory against the manifest in it: what a reader does before it loads anything.

All problems are collected, so that a refusal says everything at once. The content of a file is looked at only
when its digest is right; what the manifest vouches for is then checked for sense: safetensors headers, and the
base model's name in `adapter_config.json`.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapter_contract.artifact_files import (
    ALLOWED_SUFFIXES,
    MANIFEST_NAME,
    FileEntry,
    is_allowed_type,
)
from adapter_contract.digests import Digest, sha256_file
from adapter_contract.documents import parse_object
from adapter_contract.errors import ContractError
from adapter_contract.manifest import MAX_MANIFEST_BYTES, DigestMismatchError, StoredManifest
from adapter_contract.safetensors_header import InvalidSafetensorsError, read_header
from adapter_contract.tree import kind_of, walk

WEIGHTS_NAME = "adapter_model.safetensors"
ADAPTER_CONFIG_NAME = "adapter_config.json"
_MAX_ADAPTER_CONFIG_BYTES = 1 << 20
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse an artifact: the path within it, and a sentence."""

    path: str
    message: str

    @property
    def reason(self) -> str:
        """The class's name: a stable CamelCase word for status and metrics."""
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.reason}: {self.path}: {self.message}"


class ManifestMissing(Problem):
    """There is no manifest: the artifact was never committed."""


class ManifestInvalid(Problem):
    """The manifest is no document that this release reads."""


class ManifestMismatch(Problem):
    """The manifest is not the one that was asked for by digest."""


class MissingFile(Problem):
    """A listed file is not there."""


class UnlistedFile(Problem):
    """A file is there that the manifest does not list."""


class NotRegular(Problem):
    """An entry is a link, a device, a pipe or a socket."""


class ForbiddenType(Problem):
    """A file's type may not be in an artifact."""


class WrongSize(Problem):
    """A file has another size than the manifest says."""


class WrongDigest(Problem):
    """A file has other bytes than the manifest says."""


class Unreadable(Problem):
    """The operating system refuses to read an entry."""


class InvalidSafetensors(Problem):
    """A safetensors file does not hold what its header describes."""


class InvalidAdapterConfig(Problem):
    """`adapter_config.json` is not a JSON object."""


class BaseModelMismatch(Problem):
    """`adapter_config.json` names another base model than the manifest."""


class ArtifactRefused(ContractError):
    """The artifact must not be used; `problems` says why, completely."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        shown = [str(problem) for problem in self.problems[:_SHOWN_PROBLEMS]]
        if len(self.problems) > _SHOWN_PROBLEMS:
            shown.append(f"and {len(self.problems) - _SHOWN_PROBLEMS} more")
        super().__init__("the artifact is refused: " + "; ".join(shown))


def verify_artifact(directory: Path, *, expected: Digest | None = None) -> StoredManifest:
    """Verify a downloaded artifact and return its manifest.

    Args:
        directory: holds `manifest.json` and the files that it lists, and nothing else.
        expected: the adapter's digest, where one was asked for; it always should be, except on import.

    Raises:
        ArtifactRefused: with every problem that was found.
    """
    stored = _stored_manifest(directory, expected)
    files = stored.manifest.files
    problems = find_file_problems(directory, files)
    listed = {entry.path for entry in files}
    for name, what in ((WEIGHTS_NAME, "weights"), (ADAPTER_CONFIG_NAME, "adapter configuration")):
        if name not in listed:
            problems.append(MissingFile(name, f"the manifest lists no {what}"))
    broken = {problem.path for problem in problems}
    base_name = stored.manifest.base_model.name
    for entry in files:
        if entry.path not in broken:
            problems.extend(_content_problems(directory, entry, base_name))
    if problems:
        raise ArtifactRefused(problems)
    return stored


def find_file_problems(directory: Path, files: Iterable[FileEntry]) -> list[Problem]:
    """Compare a directory with a list of files; a `manifest.json` at its root is left out.

    For everything that is committed by a manifest, checkpoints included. Sizes and digests are checked of every
    listed file, types of every file that is there.
    """
    try:
        present = dict(walk(directory))
    except OSError as error:
        return [Unreadable(".", _system_message(error))]
    present.pop(MANIFEST_NAME, None)
    listed = {entry.path: entry for entry in files}
    problems: list[Problem] = [
        MissingFile(path, "listed in the manifest, but not there") for path in listed if path not in present
    ]
    for path, status in present.items():
        if path not in listed:
            problems.append(UnlistedFile(path, "not listed in the manifest"))
        if not stat.S_ISREG(status.st_mode):
            problems.append(NotRegular(path, f"a {kind_of(status)}; only regular files are allowed"))
            continue
        if not is_allowed_type(path):
            problems.append(ForbiddenType(path, f"only {', '.join(sorted(ALLOWED_SUFFIXES))} are allowed"))
        if path in listed:
            problems.extend(_size_and_digest(directory, listed[path], status))
    return problems


def _stored_manifest(directory: Path, expected: Digest | None) -> StoredManifest:
    try:
        return StoredManifest.parse(_manifest_bytes(directory / MANIFEST_NAME), expected=expected)
    except DigestMismatchError as error:
        raise ArtifactRefused([ManifestMismatch(MANIFEST_NAME, str(error))]) from error
    except ArtifactRefused:
        raise
    except ContractError as error:
        raise ArtifactRefused([ManifestInvalid(MANIFEST_NAME, str(error))]) from error


def _manifest_bytes(path: Path) -> bytes:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactRefused([NotRegular(MANIFEST_NAME, f"a {kind_of(status)}, not a regular file")])
        if status.st_size > MAX_MANIFEST_BYTES:
            message = f"{status.st_size} bytes; at most {MAX_MANIFEST_BYTES} are read"
            raise ArtifactRefused([ManifestInvalid(MANIFEST_NAME, message)])
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactRefused([ManifestMissing(MANIFEST_NAME, "the artifact was not committed")]) from error
    except OSError as error:
        raise ArtifactRefused([Unreadable(MANIFEST_NAME, _system_message(error))]) from error


def _size_and_digest(directory: Path, entry: FileEntry, status: os.stat_result) -> Iterator[Problem]:
    if status.st_size != entry.size_bytes:
        yield WrongSize(entry.path, f"{status.st_size} bytes, but the manifest says {entry.size_bytes}")
        return
    try:
        found = sha256_file(directory / entry.path)
    except OSError as error:
        yield Unreadable(entry.path, _system_message(error))
        return
    if found != entry.digest:
        yield WrongDigest(entry.path, f"digest {found}, but the manifest says {entry.digest}")


def _content_problems(directory: Path, entry: FileEntry, base_name: str) -> Iterator[Problem]:
    path = directory / entry.path
    try:
        if path.suffix == ".safetensors":
            with path.open("rb") as stream:
                read_header(stream).check_file_size(entry.size_bytes)
        elif entry.path == ADAPTER_CONFIG_NAME:
            config = parse_object(path.read_bytes(), limit=_MAX_ADAPTER_CONFIG_BYTES)
            named = config.get("base_model_name_or_path")
            if named != base_name:
                message = f"base_model_name_or_path is {named!r}, but the manifest says {base_name!r}"
                yield BaseModelMismatch(entry.path, message)
    except InvalidSafetensorsError as error:
        yield InvalidSafetensors(entry.path, str(error))
    except ContractError as error:
        yield InvalidAdapterConfig(entry.path, str(error))
    except OSError as error:
        yield Unreadable(entry.path, _system_message(error))


def _system_message(error: OSError) -> str:
    return error.strerror or type(error).__name__
