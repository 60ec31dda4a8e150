"""Proxies on loopback that break connections and answers as real networks and stores do."""

import http.client
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 64 << 10
_LOOPBACK = "127.0.0.1"


class CuttingProxy:
    """A TCP proxy that ends connections once they have brought `cut_after` bytes of answers.

    Args:
        port: of the server on loopback.
        cut_after: bytes from the server, per connection.
        cuts: how many connections are cut; None for all.
    """

    def __init__(self, port: int, *, cut_after: int, cuts: int | None = None) -> None:
        self._target = port
        self._cut_after = cut_after
        self._cuts_left = cuts
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((_LOOPBACK, 0))
        self.cut = 0

    @property
    def endpoint(self) -> str:
        """The origin to give to clients."""
        return f"http://{_LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                _shut(connection)
        for thread in self._threads:
            thread.join(10)

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((_LOOPBACK, self._target)) as server:
            with self._lock:
                self._open |= {client, server}
            forward = threading.Thread(target=_pump, args=(client, server, None), daemon=True)
            forward.start()
            if not _pump(server, client, self._cut_after if self._cuts_left != 0 else None):
                with self._lock:
                    self.cut += 1
                    if self._cuts_left is not None:
                        self._cuts_left -= 1
            _shut(client)
            _shut(server)
            forward.join(10)
            with self._lock:
                self._open -= {client, server}


def _pump(source: socket.socket, sink: socket.socket, limit: int | None) -> bool:
    """Copy until the end; False if the limit came first."""
    left = limit
    try:
        while data := source.recv(_CHUNK_BYTES):
            if left is not None:
                data = data[:left]
                left -= len(data)
            sink.sendall(data)
            if left == 0:
                return False
    except OSError:
        return True
    _shut(sink, socket.SHUT_WR)
    return True


def _shut(connection: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    with suppress(OSError):
        connection.shutdown(how)


@dataclass
class Request:
    """A request on its way to the store."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Response:
    """An answer to a client."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


DROP = Response(0)
"""Instead of an answer: the connection ends without one."""

Before = Callable[[Request], Response | None]
After = Callable[[Request, Response], Response]


def s3_error(status: int, code: str) -> Response:
    """Return a refusal in S3's form."""
    document = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Response(status, document.encode(), {"Content-Type": "application/xml"})


class HTTPProxy:
    """A reverse proxy that may answer in the store's place, and change or drop what the store answered.

    Args:
        port: of the store on loopback.
        before: gets each request, may change it; what it returns is the answer, None passes it on.
        after: gets each request and the store's answer, and returns the answer.
    """

    def __init__(self, port: int, *, before: Before = lambda _: None, after: After = lambda _, answer: answer) -> None:
        self.requests: list[Request] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body are written apart

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, dict(self.headers.items()), body)
                proxy.requests.append(request)
                answer = before(request)
                if answer is None:
                    answer = after(request, _ask(port, request))
                self._send(answer)

            def _send(self, answer: Response) -> None:
                if answer is DROP:
                    self.close_connection = True
                    _shut(self.connection)
                    return
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                        self.send_header(name, value)
                length = answer.headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the base class's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Keep quiet."""

        self._server = ThreadingHTTPServer((_LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        """The origin to give to clients."""
        return f"http://{_LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _ask(port: int, request: Request) -> Response:
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=30)
    try:
        # The client signed its Host header, so it goes through as it is; Expect was answered here.
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() not in {"expect", "connection"}:
                connection.putheader(name, value)
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        return Response(answer.status, answer.read(), dict(answer.getheaders()))
    finally:
        connection.close()
