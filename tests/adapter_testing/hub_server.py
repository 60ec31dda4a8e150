"""A small Hub of models and datasets on loopback, as far as programs read from one.

    with HubServer() as hub:
        commit = hub.dataset("org/chats", {"train.jsonl": b"..."})
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)

It answers what the API and the file addresses of a Hub answer: the commit of a revision, listings in pages, files with
ranges; large files by a redirect to another origin, as a Hub does it. Tokens, gates and faults can be set.
"""

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

_LOOPBACK = "127.0.0.1"
_API = re.compile(r"/api/(models|datasets)/(?P<name>[^/]+(?:/[^/]+)?)/(?P<what>revision|tree)/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Repository:
    """A repository with one commit.

    Attributes:
        files: contents by path.
        commit: of the revision `main`.
        token: that is needed to see it; None where anybody may.
        gated: whether its terms have to be accepted first.
    """

    files: dict[str, bytes]
    commit: str
    token: str | None = None
    gated: bool = False


@dataclass
class Asked:
    """A request as it came."""

    method: str
    host: str
    target: str
    authorization: str | None
    range: str | None


@dataclass
class Fault:
    """What happens to the next requests whose target holds `target`.

    Attributes:
        status: to answer; 0 to drop the connection.
        after_bytes: to send that many bytes of the body, then drop the connection.
        seconds: to wait before the answer.
        times: how often.
        headers: of the answer with that status.
        change: what becomes of the content.
    """

    target: str
    status: int | None = None
    after_bytes: int | None = None
    seconds: float = 0.0
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Callable[[bytes], bytes] | None = None


class HubServer:
    """The server.

    Args:
        page: how many entries a page of a listing has.
        large: from how many bytes on a file is large.
    """

    def __init__(self, *, page: int = 2, large: int = 64) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.ranges = True
        self.large = large
        self._page = page
        self._servers = [self._server(), self._server()]
        self._threads = [threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True) for one in self._servers]

    @property
    def endpoint(self) -> str:
        """The origin of the API and the small files."""
        return f"http://{_LOOPBACK}:{self._servers[0].server_port}"

    @property
    def storage(self) -> str:
        """The origin of the large files."""
        return f"http://{_LOOPBACK}:{self._servers[1].server_port}"

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join(10)

    def dataset(self, name: str, files: Mapping[str, bytes], *, token: str | None = None, gated: bool = False) -> str:
        """Put a dataset there, and return its commit."""
        return self._put(f"datasets/{name}", files, token=token, gated=gated)

    def model(self, name: str, files: Mapping[str, bytes], *, token: str | None = None, gated: bool = False) -> str:
        """Put a model there, and return its commit."""
        return self._put(f"models/{name}", files, token=token, gated=gated)

    def _put(self, name: str, files: Mapping[str, bytes], *, token: str | None, gated: bool) -> str:
        commit = hashlib.sha1(repr((name, sorted(files.items()))).encode(), usedforsecurity=False).hexdigest()
        self.repositories[name] = Repository(dict(files), commit, token, gated)
        return commit

    def targets(self, part: str) -> list[Asked]:
        """Return the requests so far whose target holds a part."""
        return [one for one in self.asked if part in one.target]

    def _server(self) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                hub._answer(self)

            do_HEAD = do_GET  # noqa: N815 - the base class's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Keep quiet."""

        server = ThreadingHTTPServer((_LOOPBACK, 0), Handler)
        server.daemon_threads = True
        return server

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = handler.headers
        self.asked.append(
            Asked(handler.command, headers["Host"], handler.path, headers["Authorization"], headers["Range"])
        )
        fault = next((one for one in self.faults if one.target in handler.path and one.times > 0), None)
        if fault is not None:
            fault.times -= 1
            time.sleep(fault.seconds)
            if fault.status == 0:
                _drop(handler)
                return
            if fault.status is not None:
                _send(handler, fault.status, b"", fault.headers)
                return
        url = urlsplit(handler.path)
        if match := _API.fullmatch(url.path):
            self._api(handler, match, parse_qs(url.query))
        elif match := _FILE.fullmatch(url.path):
            self._resolve(handler, match, fault)
        elif url.path.startswith("/large/"):
            _, _, digest = url.path.rpartition("/")
            every = (data for one in self.repositories.values() for data in one.files.values())
            self._content(handler, next(data for data in every if hashlib.sha256(data).hexdigest() == digest), fault)
        else:
            _refuse(handler, 404, "RepoNotFound")

    def _repository(self, handler: BaseHTTPRequestHandler, key: str, revision: str) -> Repository | None:
        found = self.repositories.get(key)
        given = (handler.headers["Authorization"] or "").removeprefix("Bearer ")
        if found is None or (found.token not in {None, given} and not found.gated):
            _refuse(handler, 404 if given else 401, "RepoNotFound")
        elif found.gated and found.token != given and _FILE.fullmatch(urlsplit(handler.path).path):
            _refuse(handler, 403 if given else 401, "GatedRepo")
        elif revision not in {"main", found.commit}:
            _refuse(handler, 404, "RevisionNotFound")
        else:
            return found
        return None

    def _api(self, handler: BaseHTTPRequestHandler, match: re.Match[str], query: Mapping[str, list[str]]) -> None:
        key = f"{match[1]}/{match['name']}"
        repository = self._repository(handler, key, unquote(match["revision"]))
        if repository is None:
            return
        if match["what"] == "revision":
            siblings = [{"rfilename": path} for path in repository.files]
            document = {"id": match["name"], "sha": repository.commit, "siblings": siblings}
            _send(handler, 200, json.dumps(document).encode(), {"Content-Type": "application/json"})
            return
        entries = self._entries(repository)
        start = int(query.get("cursor", ["0"])[0])
        more = start + self._page < len(entries)
        here = f"{self.endpoint}{urlsplit(handler.path).path}?recursive=true&cursor={start + self._page}"
        link = {"Link": f'<{here}>; rel="next"'} if more else {}
        body = json.dumps(entries[start : start + self._page]).encode()
        _send(handler, 200, body, {"Content-Type": "application/json"} | link)

    def _entries(self, repository: Repository) -> list[dict[str, object]]:
        directories = {path.rpartition("/")[0] for path in repository.files} - {""}
        entries: list[dict[str, object]] = [
            {"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in sorted(directories)
        ]
        for path, data in sorted(repository.files.items()):
            entry: dict[str, object] = {"type": "file", "oid": _blob(data), "size": len(data), "path": path}
            if len(data) >= self.large:
                sha256 = hashlib.sha256(data).hexdigest()
                entry |= {"lfs": {"oid": sha256, "size": len(data), "pointerSize": 130}}
            entries.append(entry)
        return entries

    def _resolve(self, handler: BaseHTTPRequestHandler, match: re.Match[str], fault: Fault | None) -> None:
        key = f"{match['kind'] or 'models/'}{match['name']}"
        repository = self._repository(handler, key, unquote(match["revision"]))
        if repository is None:
            return
        data = repository.files.get(unquote(match["path"]))
        if data is None:
            _refuse(handler, 404, "EntryNotFound")
            return
        common = {"X-Repo-Commit": repository.commit, "ETag": f'"{_blob(data)}"'}
        if len(data) < self.large:
            self._content(handler, data, fault, common)
            return
        sha256 = hashlib.sha256(data).hexdigest()
        linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha256}"'}
        _send(handler, 302, b"", common | linked | {"Location": f"{self.storage}/large/{sha256}"})

    def _content(
        self,
        handler: BaseHTTPRequestHandler,
        data: bytes,
        fault: Fault | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if fault is not None and fault.change is not None:
            data = fault.change(data)
        status, wanted = 200, _RANGE.fullmatch(handler.headers["Range"] or "") if self.ranges else None
        total = len(data)
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2] or total - 1), total - 1)
            status, data = 206, data[start : end + 1]
            headers = {**(headers or {}), "Content-Range": f"bytes {start}-{end}/{total}"}
        cut = fault.after_bytes if fault is not None else None
        _send(handler, status, data, headers or {}, cut=cut)


def _blob(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def _refuse(handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
    _send(handler, status, b"", {"X-Error-Code": code, "X-Error-Message": code})


def _send(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str], *, cut: int | None = None
) -> None:
    handler.send_response_only(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body[:cut])
    if cut is not None:
        _drop(handler)


def _drop(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
