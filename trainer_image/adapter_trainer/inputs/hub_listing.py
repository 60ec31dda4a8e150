"""What the Hub's API answers, as far as it is used: the commit of a revision, and the files of a commit."""

import re
from dataclasses import dataclass

from adapter_contract import Digest
from adapter_trainer.inputs.hub_errors import BadAnswer

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as a repository lists it.

    Attributes:
        size_bytes: of the content.
        blob: the id that git gives to the content, or to the pointer that stands for it: a SHA-1.
        digest: of the content, where it lies in the store of large files.
    """

    size_bytes: int
    blob: str
    digest: Digest | None


def commit_in(document: object) -> str:
    """Return the commit of a repository's description.

    Raises:
        BadAnswer: it is no such description.
    """
    commit = document.get("sha") if isinstance(document, dict) else None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise BadAnswer("the description of the repository names no commit")
    return commit


def entries_in(document: object) -> dict[str, HubFile]:
    """Return the files of a page of a listing; directories are left out.

    Raises:
        BadAnswer: it is no such page.
    """
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise BadAnswer("the listing is no list of objects")
    return dict(_file(entry) for entry in document if entry.get("type") == "file")


def _file(entry: dict[str, object]) -> tuple[str, HubFile]:
    path, blob, size, digest = entry.get("path"), entry.get("oid"), entry.get("size"), None
    lfs = entry.get("lfs")
    if isinstance(lfs, dict):
        size, sha256 = lfs.get("size"), lfs.get("oid")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise BadAnswer("a large file is listed without its SHA-256")
        digest = f"sha256:{sha256}"
    if not isinstance(path, str) or not isinstance(blob, str) or type(size) is not int or size < 0:
        raise BadAnswer("a file is listed without path, size or id")
    return path, HubFile(size, blob, digest)
