"""The adapters on the pod's disk: `<work>/adapters/<name>@sha256-<hex>/`, each whole or not there at all."""

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapter_contract import ArtifactRefused, ContractError, Digest, StoredManifest, verify_artifact
from adapter_contract.layout import digest_segment, segment_digest, training_prefix
from adapter_contract.locations import S3Location
from adapter_contract.s3 import TransferSettings, fetch_artifact, open_store

_log = logging.getLogger(__name__)

# What fails is tried again by the loop above, so one call gives up sooner than a trainer's would.
_SETTINGS = TransferSettings(connect_timeout_seconds=10, read_timeout_seconds=30, attempts=4, budget_seconds=30)


@dataclass(frozen=True, slots=True)
class Stored:
    """A version that was found on disk at the start; `used` is the Unix time at which it was last served."""

    name: str
    digest: Digest
    used: float


class DownloadGivenUp(Exception):
    """The process ends."""


class AdapterCache:
    """Blocking operations on the directory; each is called for one version at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._closed = threading.Event()

    def close(self) -> None:
        """Give up downloads that are under way."""
        self._closed.set()

    def scan(self) -> Iterator[Stored]:
        """Yield the versions on disk, and remove what an interrupted download or deletion left behind."""
        self._root.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._root.iterdir()):
            name, _, segment = path.name.partition("@")
            try:
                training_prefix(name)
                digest = segment_digest(segment)
            except ContractError:
                _log.info("removing %s, which is no whole adapter", path)
                remove(path)
                continue
            yield Stored(name, digest, path.stat().st_mtime)

    def directory(self, name: str, digest: Digest) -> Path:
        """Return where a version lies, whether it is there or not."""
        return self._root / f"{name}@{digest_segment(digest)}"

    def verify(self, name: str, digest: Digest) -> StoredManifest | None:
        """Verify a version that is there; None where it is not, or was damaged and is removed.

        What lies on the disk was right when it was downloaded, so damage says nothing of the store's copy.
        """
        directory = self.directory(name, digest)
        if not directory.is_dir():
            return None
        try:
            return verify_artifact(directory, expected=digest)
        except ArtifactRefused as refusal:
            _log.warning("the copy of adapter %s, %s, on disk is damaged, fetching it anew: %s", name, digest, refusal)
            self.delete(name, digest)
            return None

    def download(self, name: str, digest: Digest, location: S3Location) -> None:
        """Fetch a version that is not there.

        Raises:
            StorageError: as `fetch_artifact`; then nothing is there.
            DownloadGivenUp: the cache was closed.
            OSError: the disk is full or broken.
        """
        with open_store(location, _SETTINGS) as store:
            fetch_artifact(store, "", digest, self.directory(name, digest), progress=self._go_on)

    def verify_downloaded(self, name: str, digest: Digest) -> StoredManifest:
        """Verify a version that was just downloaded.

        Raises:
            ArtifactRefused: it is not an adapter of this release's form; its files are removed.
        """
        try:
            return verify_artifact(self.directory(name, digest), expected=digest)
        except ArtifactRefused:
            self.delete(name, digest)
            raise

    def mark_used(self, name: str, digest: Digest) -> None:
        """Record that a version is served from now on, for `scan` after a restart."""
        with contextlib.suppress(OSError):  # it only decides what is kept beside the wanted versions
            os.utime(self.directory(name, digest))

    def delete(self, name: str, digest: Digest) -> None:
        """Remove a version's files. It first loses its name, so that a torn deletion can't look like an adapter.

        Raises:
            OSError: the disk refuses.
        """
        directory = self.directory(name, digest)
        condemned = self._root / f".{directory.name}.deleted"
        try:
            directory.rename(condemned)
        except FileNotFoundError:
            return
        remove(condemned)

    def _go_on(self, done: int, total: int) -> None:
        if self._closed.is_set():
            raise DownloadGivenUp(f"after {done} of {total} bytes")


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
