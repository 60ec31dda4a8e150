"""A request fails when its answer has begun, or when its client does not read."""

import asyncio
import logging

import pytest
from starlette.types import Message

from adapter_contract import RequestLimits
from adapter_server.gateway.endpoint import Record, _Client
from adapter_server.gateway.errors import timed_out
from adapter_server.gateway.service import Service
from adapter_server.metrics import Metrics

pytestmark = pytest.mark.unit


class Connection:
    """What a client was sent; its socket may be full from a message on."""

    def __init__(self, full_after: int | None = None) -> None:
        self.sent: list[Message] = []
        self._full_after = full_after
        limits = RequestLimits(request_timeout_seconds=1, max_queued_requests=1, max_output_tokens=1)
        self.record = Record("/v1/completions", 0.0)
        scope = {"type": "http", "method": "POST"}
        self.client = _Client(scope, self._receive, self._send, self.record, Service(limits, Metrics()))

    async def _receive(self) -> Message:
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if len(self.sent) == self._full_after:
            await asyncio.Event().wait()
        self.sent.append(message)

    async def refuse(self) -> None:
        async with asyncio.timeout(10):
            await self.client.refuse(timed_out(1))
        assert self.record.error == "request_timeout"


def test_a_stream_that_has_begun_ends_with_the_error() -> None:
    async def run() -> Connection:
        connection = Connection()
        await connection.client.open_stream()
        await connection.refuse()
        return connection

    opening, last = asyncio.run(run()).sent
    assert (opening["status"], last["more_body"]) == (200, False)
    assert last["body"].startswith(b'data: {"error":{"message":"the request took longer than 1 s')


def test_a_whole_answer_that_has_begun_just_ends() -> None:
    async def run() -> Connection:
        connection = Connection(full_after=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.client.send_json({"choices": []})
        await connection.refuse()
        return connection

    assert [message["type"] for message in asyncio.run(run()).sent] == ["http.response.start"]


@pytest.mark.parametrize("begun", [True, False])
def test_a_client_that_does_not_read_is_not_waited_for(begun: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def run() -> Connection:
        connection = Connection(full_after=1 if begun else 0)
        if begun:
            await connection.client.open_stream()
        await connection.refuse()
        return connection

    assert len(asyncio.run(run()).sent) == int(begun)
    assert "the client does not read that its request failed: the request took longer than 1 s" in caplog.text
