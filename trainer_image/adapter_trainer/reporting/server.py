"""The management server: progress and health over HTTP. It only reads, and shows nothing that is secret."""

import json
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from adapter_contract.pods import PROGRESS_PATH
from adapter_trainer.reporting.board import ProgressBoard

HEALTH_PATH: Final = "/healthz"
KEEP_ALIVE_SECONDS: Final = 15.0
"""Between two comments on a stream that has nothing to tell: a reader sees a dead connection by their absence."""

_EVENT_STREAM: Final = "text/event-stream"
_SHORTEST_PAUSE_SECONDS: Final = 0.25
_MOST_STREAMS: Final = 32
_BACKLOG: Final = 64
_SOCKET_SECONDS: Final = 30.0
_CLOSING_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class ManagementServer:
    """Listens on the management port until it is closed. Streams end with the last document.

    Attributes:
        port: that it listens on.
    """

    def __init__(
        self, board: ProgressBoard, address: str, port: int, *, keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    ) -> None:
        """Listen.

        Args:
            board: what is shown.
            address: to listen on; empty means all, of both families where the system has them.
            port: 0 takes a free one.
            keep_alive_seconds: see KEEP_ALIVE_SECONDS.

        Raises:
            OSError: the address or port can't be listened on.
        """
        self._server = _Server(board, address, port, keep_alive_seconds)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="management", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; streams get a moment to send the last document of a closed board."""
        self._server.shutdown()
        self._server.no_streams.wait(_CLOSING_SECONDS)
        self._server.server_close()


def listening_place(address: str, *, dual_stack: bool) -> tuple[socket.AddressFamily, str]:
    """Return the family and the address to listen on.

    Args:
        address: an IP address; empty means all.
        dual_stack: whether a socket of IPv6 may take IPv4's connections as well.
    """
    if not address:
        return (socket.AF_INET6, "::") if dual_stack else (socket.AF_INET, "0.0.0.0")  # noqa: S104 - a pod's own address
    return (socket.AF_INET6 if ":" in address else socket.AF_INET), address


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, board: ProgressBoard, address: str, port: int, keep_alive_seconds: float) -> None:
        self.board = board
        self.keep_alive_seconds = keep_alive_seconds
        self.no_streams = threading.Event()
        self.no_streams.set()
        self._streams = 0
        self._lock = threading.Lock()
        family, host = listening_place(address, dual_stack=socket.has_dualstack_ipv6())
        super().__init__((host, port), _Handler, bind_and_activate=False)
        # Not bound as HTTPServer does, which knows one family and asks the name service for the host's name.
        self.socket.close()
        self.socket = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=not address and family is socket.AF_INET6
        )
        self.server_port = int(self.socket.getsockname()[1])

    def begin_stream(self) -> bool:
        """Take a place for a stream, if one is left."""
        with self._lock:
            if self._streams >= _MOST_STREAMS:
                return False
            self._streams += 1
            self.no_streams.clear()
            return True

    def end_stream(self) -> None:
        """Give the place back."""
        with self._lock:
            self._streams -= 1
            if not self._streams:
                self.no_streams.set()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's signature
        """A client that went away is nobody's failure; socketserver would print a traceback."""
        _log.debug("a connection to the management server failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "adapter-trainer"
    sys_version = ""
    timeout = _SOCKET_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        if path == HEALTH_PATH:
            self._answer(HTTPStatus.OK, {"status": "ok"})
        elif path != PROGRESS_PATH:
            self._refuse(HTTPStatus.NOT_FOUND, f"there is nothing here; try {PROGRESS_PATH} or {HEALTH_PATH}")
        elif _EVENT_STREAM in self.headers.get("Accept", ""):
            self._stream()
        else:
            self._send(HTTPStatus.OK, self.server.board.newest.progress.to_json())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Write no line per request: the log is for the training."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer as JSON where http.server would send a page: for other methods and broken requests."""
        self.close_connection = True
        status = HTTPStatus(code)
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED if status is HTTPStatus.NOT_IMPLEMENTED else status, status.phrase)

    def _stream(self) -> None:
        if not self.server.begin_stream():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{_MOST_STREAMS} streams are open; close one")
            return
        try:
            self._send_events()
        finally:
            self.server.end_stream()

    def _send_events(self) -> None:
        board = self.server.board
        self.close_connection = True  # the end of the stream is the end of the connection
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", _EVENT_STREAM)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        posted = board.newest
        self.wfile.write(_event(posted.progress.to_json()))
        while not posted.closed:
            following = board.wait_after(posted.number, self.server.keep_alive_seconds)
            if following is None:
                self.wfile.write(b": keep-alive\n\n")
                continue
            if following.number != posted.number:
                self.wfile.write(_event(following.progress.to_json()))
            posted = following
            board.wait_closed(_SHORTEST_PAUSE_SECONDS)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._answer(status, {"error": message})

    def _answer(self, status: HTTPStatus, body: dict[str, str]) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _event(document: bytes) -> bytes:
    return b"data: " + document + b"\n\n"
