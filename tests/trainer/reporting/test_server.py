"""The management server, over real sockets on loopback."""

import http.client
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter_contract import Phase, Progress
from adapter_trainer.reporting.board import ProgressBoard
from adapter_trainer.reporting.server import ManagementServer, listening_place

pytestmark = pytest.mark.integration

STREAM = {"Accept": "text/event-stream"}


def progress(step: int, phase: Phase = Phase.TRAINING) -> Progress:
    return Progress(run=1, attempt=1, phase=phase, step=step, updated_time=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def board() -> ProgressBoard:
    return ProgressBoard(progress(0, Phase.LOADING))


@pytest.fixture
def server(board: ProgressBoard) -> Iterator[ManagementServer]:
    server = ManagementServer(board, "127.0.0.1", 0, keep_alive_seconds=0.05)
    yield server
    board.close()
    server.close()


def ask(server: ManagementServer, method: str, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Stream:
    """A client of the event stream."""

    def __init__(self, server: ManagementServer) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self.connection.request("GET", "/v1/progress", headers=STREAM)
        self.answer = self.connection.getresponse()

    def block(self) -> bytes:
        """Read up to a blank line; empty at the end of the stream."""
        lines = []
        while line := self.answer.readline():
            if line == b"\n":
                break
            lines.append(line)
        return b"".join(lines)

    def event(self) -> Progress:
        """Read the next event, past comments."""
        while (block := self.block()).startswith(b":"):
            pass
        assert block.startswith(b"data: ")
        return Progress.from_json(block.removeprefix(b"data: "))

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def test_the_document_is_the_newest(server: ManagementServer, board: ProgressBoard) -> None:
    board.post(progress(7))
    status, body = ask(server, "GET", "/v1/progress?pretty=1")
    assert status == 200
    assert Progress.from_object(body) == progress(7)


def test_it_is_healthy(server: ManagementServer) -> None:
    assert ask(server, "GET", "/healthz") == (200, {"status": "ok"})


def test_anything_else_is_refused_in_json(server: ManagementServer) -> None:
    status, body = ask(server, "GET", "/etc/passwd")
    assert status == 404
    assert "/v1/progress" in body["error"]
    assert ask(server, "POST", "/v1/progress")[0] == 405
    assert ask(server, "DELETE", "/healthz") == (405, {"error": "Not Implemented"})


def test_a_connection_serves_several_requests(server: ManagementServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(2):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status": "ok"}'
    connection.close()


def test_a_stream_begins_with_the_document_and_follows_each_change(
    server: ManagementServer, board: ProgressBoard
) -> None:
    stream = Stream(server)
    assert stream.answer.getheader("Content-Type") == "text/event-stream"
    assert stream.event() == progress(0, Phase.LOADING)
    board.post(progress(1))
    assert stream.event() == progress(1)
    for step in (2, 3, 4):
        board.post(progress(step))
    seen = [stream.event()]
    while seen[-1].step < 4:
        seen.append(stream.event())
    assert seen[-1] == progress(4)
    stream.close()


def test_a_quiet_stream_is_kept_alive_by_comments(server: ManagementServer) -> None:
    stream = Stream(server)
    stream.event()
    assert stream.block() == b": keep-alive\n"
    stream.close()


def test_a_stream_ends_with_the_last_document(board: ProgressBoard) -> None:
    server = ManagementServer(board, "127.0.0.1", 0)
    stream = Stream(server)
    stream.event()
    board.post(progress(9, Phase.UPLOADING))
    board.close()
    server.close()
    assert stream.event() == progress(9, Phase.UPLOADING)
    assert stream.block() == b""
    stream.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_stream_of_a_closed_board_has_one_document(server: ManagementServer, board: ProgressBoard) -> None:
    board.close()
    stream = Stream(server)
    assert stream.event() == progress(0, Phase.LOADING)
    assert stream.block() == b""
    stream.close()


def test_streams_are_bounded_and_their_places_come_back(server: ManagementServer, board: ProgressBoard) -> None:
    streams = [Stream(server) for _ in range(32)]
    assert [stream.answer.status for stream in streams] == [200] * 32
    status, body = ask(server, "GET", "/v1/progress", **STREAM)
    assert (status, body) == (503, {"error": "32 streams are open; close one"})
    board.close()
    for stream in streams:
        while stream.block():
            pass
        stream.close()
    again = Stream(server)
    assert again.answer.status == 200
    again.close()


def test_a_client_that_goes_away_disturbs_nobody(
    server: ManagementServer, board: ProgressBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = Stream(server)
    stream.event()
    stream.answer.fp.raw._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    stream.close()  # by a reset
    for _ in range(5):
        other = Stream(server)
        other.event()
        other.block()
        other.close()
    assert capsys.readouterr().err == ""


def test_a_broken_request_is_refused(server: ManagementServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * 65536 + b"\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.endswith(b'{"error": "Request Header Fields Too Large"}')


def test_a_taken_port_is_an_error(server: ManagementServer, board: ProgressBoard) -> None:
    with pytest.raises(OSError, match="in use"):
        ManagementServer(board, "127.0.0.1", server.port)


@pytest.mark.parametrize(
    ("address", "dual_stack", "family", "host"),
    [
        ("", True, socket.AF_INET6, "::"),
        ("", False, socket.AF_INET, "0.0.0.0"),  # noqa: S104 - nothing listens there
        ("127.0.0.1", True, socket.AF_INET, "127.0.0.1"),
        ("::1", False, socket.AF_INET6, "::1"),
    ],
)
def test_where_it_listens(address: str, dual_stack: bool, family: socket.AddressFamily, host: str) -> None:
    assert listening_place(address, dual_stack=dual_stack) == (family, host)
