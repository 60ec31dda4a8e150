"""Digests of bytes, files, directories and JSON documents: `sha256:` and 64 lower-case hexadecimal digits."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import StringConstraints

from adapter_contract.canonical import canonical_json
from adapter_contract.tree import require_regular, walk

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
Digest = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN)]

_CHUNK_BYTES = 1 << 20


class Hash(Protocol):
    """What hashlib's objects offer."""

    def update(self, data: bytes, /) -> None:
        """Feed bytes."""

    def hexdigest(self) -> str:
        """Return the digest so far, as hexadecimal digits."""
        ...


def new_hash() -> Hash:
    """Return a fresh SHA-256 state, to be fed piece by piece and closed by `digest_of`."""
    return hashlib.sha256()


def digest_of(state: Hash) -> str:
    """Return the digest of a hash state in this project's form."""
    return f"sha256:{state.hexdigest()}"


def sha256_bytes(data: bytes) -> str:
    """Return the digest of bytes in memory."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sha256_chunks(chunks: Iterable[bytes]) -> str:
    """Return the digest of a stream of chunks."""
    state = new_hash()
    for chunk in chunks:
        state.update(chunk)
    return digest_of(state)


def sha256_file(path: Path) -> str:
    """Return the digest of a file's content, read in chunks of 1 MiB."""
    with path.open("rb") as stream:
        return sha256_chunks(iter(lambda: stream.read(_CHUNK_BYTES), b""))


def sha256_json(document: object) -> str:
    """Return the digest of a JSON document in canonical form."""
    return sha256_bytes(canonical_json(document))


def sha256_directory(directory: Path) -> str:
    """Return the digest of a directory: of the canonical JSON list of its files' paths, sizes and digests.

    Files of any type count; modes, times, owners and empty directories do not, nor does the order in which
    the file system lists them.

    Raises:
        NotRegularError: an entry is neither a directory nor a regular file.
        NotCanonical: a file name is not UTF-8.
        OSError: a file can't be read.
    """
    entries = []
    for path, status in walk(directory):
        require_regular(path, status)
        digest = sha256_file(directory / path)
        entries.append({"path": path, "sizeBytes": status.st_size, "digest": digest})
    return sha256_json(entries)
