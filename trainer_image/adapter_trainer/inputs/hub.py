"""Repositories of the Hugging Face Hub: at one commit, listed, read and downloaded.

Addresses, headers and the meaning of refusals are huggingface_hub's. The connections are this module's own, so that
every request has its bounds, a token is read from its file just before it is sent, and the libraries of the process can
stay offline. A commit names its bytes for ever: a download goes on where it broke, and is held to the digest that
the repository lists.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented there, and not re-exported formally
    build_hf_headers,
    hf_raise_for_status,
)

from adapter_contract import HubModelSource
from adapter_contract.digests import digest_of, new_hash
from adapter_contract.s3.atomic import new_file, reserve, write_all
from adapter_contract.s3.errors import AccessDenied, Corrupted
from adapter_contract.s3.keys import key_problem
from adapter_contract.s3.objects import Transferred
from adapter_contract.s3.retry import Attempts
from adapter_contract.s3.settings import DEFAULT_SETTINGS, TransferSettings
from adapter_trainer.inputs.hub_errors import HUB_ERRORS, NOT_A_HUB, fault_of
from adapter_trainer.inputs.hub_listing import HubFile, commit_in, entries_in

Kind = Literal["model", "dataset"]

ENDPOINT_VARIABLE = "HF_ENDPOINT"
"""The environment variable that names another Hub than the library's default, such as a mirror."""

_DEFAULT_REVISION = "main"
_PROGRESS_BYTES = 256 << 10
_STEADY_BYTES = 64 << 10
_CHUNK_BYTES = 1 << 20
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Place:
    """A repository as it is asked for."""

    endpoint: str
    kind: Kind
    repository: str
    revision: str

    @property
    def uri(self) -> str:
        return f"hf://{'datasets/' if self.kind == 'dataset' else ''}{self.repository}@{self.revision}"

    @property
    def api(self) -> str:
        return f"{self.endpoint}/api/{self.kind}s/{self.repository}"


class HubRepository:
    """A repository at one commit. Opening resolves the revision and lists the files; close it after use. Thread-safe.

    Attributes:
        commit: what the revision was when it was opened, as 40 hexadecimal digits.
        files: every file by its path.
        uri: `hf://...@<commit>`, for messages and records.

    Every method raises `StorageError`: NotFound for repositories, revisions and files that are not there, AccessDenied
    for private and gated ones, Unreachable once the bounds of the retries are reached, Corrupted for other bytes than
    listed, InvalidLocation for an endpoint that can't be one.
    """

    def __init__(self, source: HubModelSource, kind: Kind, settings: TransferSettings = DEFAULT_SETTINGS) -> None:
        """Resolve the revision, and list the files of its commit."""
        self._token_file = None if source.token_file is None else Path(source.token_file)
        self._settings = settings
        endpoint = (os.environ.get(ENDPOINT_VARIABLE) or constants.ENDPOINT).rstrip("/")
        place = _Place(endpoint, kind, source.repository, source.revision or _DEFAULT_REVISION)
        timeout = httpx2.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds)
        self._client = httpx2.Client(timeout=timeout, follow_redirects=True)
        self._place = place
        try:
            self.commit = self._resolved()
            self._place = replace(place, revision=self.commit)
            self.uri = self._place.uri
            self.files: Mapping[str, HubFile] = self._listed()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, path: str, start: int, length: int) -> bytes:
        """Return exactly these bytes of a file."""

        def request() -> bytes:
            return b"".join(self._ranged(path, start, length))

        data = self._call("read", self._uri(path), request)
        if len(data) != length:
            raise Corrupted("read", self._uri(path), f"it ends before byte {start + length}", "upload the file again")
        return data

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the whole content of a file, in chunks of 1 MiB at most."""
        size = self.files[path].size_bytes
        for start in range(0, size, _CHUNK_BYTES):
            yield self.read(path, start, min(_CHUNK_BYTES, size - start))

    def download(self, paths: Iterable[str], directory: Path) -> dict[str, Transferred]:
        """Download files into a directory, several at once; each appears whole and verified, or not at all.

        Raises:
            OSError: a file can't be written.
        """
        wanted, cancelled = tuple(paths), threading.Event()
        for path in wanted:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(self._settings.files, thread_name_prefix="hub") as pool:
            futures = [pool.submit(self._downloaded, path, directory / path, cancelled) for path in wanted]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                cancelled.set()
                pool.shutdown(cancel_futures=True)
                raise
        return dict(zip(wanted, (future.result() for future in futures), strict=True))

    def _downloaded(self, path: str, target: Path, cancelled: threading.Event) -> Transferred:
        file = self.files[path]
        content, blob = new_hash(), hashlib.sha1(f"blob {file.size_bytes}\0".encode(), usedforsecurity=False)
        attempts, offset, kept = Attempts(self._settings, cancelled), 0, 0
        with new_file(target) as descriptor:
            reserve(descriptor, file.size_bytes)
            while offset < file.size_bytes:
                try:
                    for chunk in self._ranged(path, offset, file.size_bytes - offset):
                        if cancelled.is_set():
                            raise CancelledError
                        write_all(descriptor, chunk, offset)
                        content.update(chunk)
                        blob.update(chunk)
                        offset += len(chunk)
                    if offset < file.size_bytes:
                        raise httpx2.ReadError("the answer ended early")
                except HUB_ERRORS as error:
                    if offset - kept >= _PROGRESS_BYTES:
                        attempts.refresh()
                        kept = offset
                    attempts.pause("download", self._uri(path), fault_of(error), error)
            digest = digest_of(content)
            if digest != (file.digest or digest) or (file.digest is None and blob.hexdigest() != file.blob):
                raise Corrupted(
                    "download", self._uri(path), "it has other bytes than the repository lists",
                    "look at proxies and mirrors on the way (HF_ENDPOINT)",
                )  # fmt: skip
        return Transferred(offset, digest)

    def _ranged(self, path: str, start: int, length: int) -> Iterator[bytes]:
        """Yield at most `length` bytes from `start` on, in one request, whether or not the server knows ranges."""
        if length == 0:
            return
        place = self._place
        url = hf_hub_url(place.repository, path, repo_type=place.kind, revision=self.commit, endpoint=place.endpoint)
        ranges = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        with self._client.stream("GET", url, headers=self._headers() | ranges) as response:
            hf_raise_for_status(response)
            skipped = 0 if response.status_code == httpx2.codes.PARTIAL_CONTENT else start
            for chunk in _steady(response.iter_bytes(), self._settings.read_timeout_seconds, response.request):
                rest = chunk[skipped:][:length]
                skipped -= min(skipped, len(chunk))
                length -= len(rest)
                if rest:
                    yield rest
                if length == 0:
                    return

    def _resolved(self) -> str:
        url = f"{self._place.api}/revision/{quote(self._place.revision, safe='')}"
        return self._call("read", self._place.uri, lambda: commit_in(self._json(url)[0]))

    def _listed(self) -> Mapping[str, HubFile]:
        files: dict[str, HubFile] = {}
        url: str | None = f"{self._place.api}/tree/{self.commit}?recursive=true&expand=false"
        asked: set[str] = set()
        while url is not None:
            if url in asked:
                raise NOT_A_HUB.as_error("list", self.uri)
            asked.add(url)
            page, url = self._page(url)
            # A path that could lead out of a directory is no file that anybody needs.
            files |= {path: file for path, file in page.items() if key_problem(path) is None}
        return files

    def _page(self, url: str) -> tuple[dict[str, HubFile], str | None]:
        def request() -> tuple[dict[str, HubFile], str | None]:
            document, following = self._json(url)
            return entries_in(document), following

        return self._call("list", self.uri, request)

    def _json(self, url: str) -> tuple[Any, str | None]:
        """Return the document of an answer, and the address of the page that follows it."""
        response = self._client.get(url, headers=self._headers())
        hf_raise_for_status(response)
        following = response.links.get("next", {}).get("url")
        return response.json(), None if following is None else self._at_endpoint(following)

    def _at_endpoint(self, url: str) -> str:
        """Return the address as the endpoint has it: a mirror passes on those of the Hub behind it."""
        endpoint, parts = urlsplit(self._place.endpoint), urlsplit(url)
        path = parts.path if parts.path.startswith(endpoint.path) else f"{endpoint.path}{parts.path}"
        return f"{endpoint.scheme}://{endpoint.netloc}{path}" + (f"?{parts.query}" if parts.query else "")

    def _headers(self) -> dict[str, str]:
        return dict(build_hf_headers(token=self._token() or False, library_name="adapter-operator"))

    def _token(self) -> str | None:
        """Read the token anew, since its secret may have been renewed."""
        if self._token_file is None:
            return None
        fix = "check the secret and the key that tokenSecretRef names"
        try:
            token = self._token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AccessDenied("read the token in", str(self._token_file), "it can't be read", fix) from error
        if not token or not token.isprintable() or " " in token:
            raise AccessDenied("use the token in", str(self._token_file), "it is empty or no token", fix)
        return token

    def _call(self, operation: str, uri: str, request: Callable[[], _T]) -> _T:
        attempts = Attempts(self._settings)
        while True:
            try:
                return request()
            except HUB_ERRORS as error:
                attempts.pause(operation, uri, fault_of(error), error)

    def _uri(self, path: str) -> str:
        return f"{self.uri}/{path}"


def _steady(chunks: Iterator[bytes], seconds: float, request: httpx2.Request) -> Iterator[bytes]:
    """Pass chunks on as long as 64 KiB come within some seconds: who only drips is given up like who is silent.

    Raises:
        httpx2.ReadTimeout: they don't.
    """
    since, arrived = time.monotonic(), 0
    for chunk in chunks:
        yield chunk
        arrived += len(chunk)
        now = time.monotonic()
        if arrived >= _STEADY_BYTES:
            since, arrived = now, 0
        elif now - since > seconds:
            raise httpx2.ReadTimeout("content arrives too slowly", request=request)
