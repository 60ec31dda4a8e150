"""Streams of pods, over real HTTP on loopback and with a transport of the test."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from adapter_operator.runtime.pod_streams import Heard, HttpTransport, PodStreams, StreamError, StreamTarget
from adapter_testing.virtual_time import run_virtually

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
TARGET = StreamTarget("uid-1", "lab", "pod-1", "127.0.0.1", 8081, "/v1/adapters")


class PodServer:
    """A pod's management port: sends what `send` is given to every stream; `cut` ends them."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.status = 200
        self.content_type = "text/event-stream"
        self.port = 0
        self._streams: list[asyncio.Queue[bytes | None]] = []
        self._came = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        response = web.StreamResponse(status=self.status, headers={"Content-Type": self.content_type})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.append(queue)
        self._came.set()
        while (data := await queue.get()) is not None:
            await response.write(data)
        return response

    def send(self, data: bytes) -> None:
        for queue in self._streams:
            queue.put_nowait(data)

    def cut(self) -> None:
        for queue in self._streams:
            queue.put_nowait(None)
        self._streams.clear()

    async def connected(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.requests) < count or not self._streams:
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def pod_server() -> AsyncIterator[PodServer]:
    server = PodServer()
    application = web.Application()
    application.router.add_get("/v1/adapters", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        server.cut()
        await runner.cleanup()


class Changes:
    """Calls of `on_change`, to be awaited."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[StreamTarget] = asyncio.Queue()

    def __call__(self, target: StreamTarget) -> None:
        self.queue.put_nowait(target)

    async def next(self) -> StreamTarget:
        async with asyncio.timeout(5):
            return await self.queue.get()


@pytest.mark.integration
def test_documents_come_as_they_are_sent_and_the_stream_is_opened_again() -> None:
    async def scene() -> None:
        changes = Changes()
        async with pod_server() as server, HttpTransport() as transport:
            target = replace(TARGET, port=server.port)
            streams = PodStreams(transport, changes, first_pause=0.01)
            streams.follow(target)
            streams.follow(target)
            before = streams.heard("uid-1")
            assert before is not None
            assert before.body is None
            assert before.unreachable_since == before.received
            await server.connected(1)
            server.send(b': hello\n\ndata: {"generation": 1}\n\n')
            assert await changes.next() == target
            heard = streams.heard("uid-1")
            assert heard is not None
            assert (heard.body, heard.unreachable_since) == (b'{"generation": 1}', None)
            assert server.requests[0].headers["Accept"] == "text/event-stream"

            server.cut()
            await changes.next()
            lost = streams.heard("uid-1")
            assert lost is not None
            assert lost.body == b'{"generation": 1}'
            assert lost.unreachable_since is not None
            await server.connected(2)
            server.send(b'data: {"generation": 2}\n\n')
            await changes.next()
            again = streams.heard("uid-1")
            assert again is not None
            assert (again.body, again.unreachable_since) == (b'{"generation": 2}', None)
            assert len(server.requests) == 2
            assert streams.followed == {"uid-1"}
            await streams.close()
            assert streams.followed == frozenset()

    asyncio.run(scene())


async def _read_one(transport: HttpTransport, target: StreamTarget) -> None:
    async for _ in transport.documents(target):
        return


@pytest.mark.integration
def test_what_is_no_stream_of_documents() -> None:
    async def scene() -> None:
        async with pod_server() as server, HttpTransport(silence_seconds=0.1) as transport:
            target = replace(TARGET, port=server.port)
            server.status = 503
            with pytest.raises(StreamError, match="answers 503"):
                await _read_one(transport, target)
            server.status, server.content_type = 200, "text/html"
            with pytest.raises(StreamError, match="answers 200 text/html"):
                await _read_one(transport, target)
            with pytest.raises(StreamError, match="answers 404"):
                await _read_one(transport, replace(target, path="/other"))
            with pytest.raises(StreamError, match=r"127\.0\.0\.1:1/"):
                await _read_one(transport, replace(target, port=1))
            server.content_type = "text/event-stream"
            with pytest.raises(StreamError):  # silent for longer than a pod is allowed to be
                await _read_one(transport, target)

    asyncio.run(scene())


@pytest.mark.integration
@pytest.mark.parametrize("piece", [b"data: " + b"x" * 100_000, b"data: " + b"x" * 100_000 + b"\n"])
def test_a_pod_can_not_fill_our_memory(piece: bytes) -> None:
    async def scene() -> None:
        async with pod_server() as server, HttpTransport() as transport:
            reading = asyncio.create_task(_read_one(transport, replace(TARGET, port=server.port)))
            await server.connected(1)
            while not reading.done():
                server.send(piece)
                await asyncio.sleep(0)
            with pytest.raises(StreamError):
                await reading

    asyncio.run(scene())


@pytest.mark.unit
def test_a_transport_that_nobody_used() -> None:
    async def scene() -> None:
        async with HttpTransport():
            pass

    asyncio.run(scene())


@pytest.mark.unit
def test_addresses_of_both_families() -> None:
    assert TARGET.url == "http://127.0.0.1:8081/v1/adapters"
    assert replace(TARGET, address="fd00::7").url == "http://[fd00::7]:8081/v1/adapters"


Step = bytes | float | Exception
"""A document, a pause, or what breaks the stream."""


class Script:
    """A transport that plays one list of steps per connection, and keeps when it was asked."""

    def __init__(self, *connections: list[Step]) -> None:
        self.connections = list(connections)
        self.asked: list[tuple[float, StreamTarget]] = []
        self.ended = 0

    async def documents(self, target: StreamTarget) -> AsyncGenerator[bytes, None]:
        self.asked.append((asyncio.get_running_loop().time(), target))
        try:
            for step in self.connections.pop(0) if self.connections else [1e9]:
                match step:
                    case bytes():
                        yield step
                    case Exception():
                        raise step
                    case _:
                        await asyncio.sleep(step)
        finally:
            self.ended += 1


def follow(script: Script, seconds: float, then: Callable[[PodStreams], None] = lambda _: None) -> list[Heard | None]:
    """Follow one pod for a while; returns what is known at each change, and at the end."""

    async def scene() -> list[Heard | None]:
        loop = asyncio.get_running_loop()
        known: list[Heard | None] = []
        streams = PodStreams(
            script, lambda target: known.append(streams.heard(target.uid)), now=lambda: at(loop.time())
        )
        streams.follow(TARGET)
        await asyncio.sleep(seconds)
        then(streams)
        await asyncio.sleep(1)
        known.append(streams.heard(TARGET.uid))
        await streams.close()
        return known

    return run_virtually(scene())


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.unit
def test_pauses_grow_while_a_pod_does_not_answer_and_begin_anew_when_it_does() -> None:
    down: list[Step] = [StreamError("refused")]
    script = Script(*[down] * 8, [b"hello", 100.0, StreamError("cut")], down, [b"again", 1e9])
    known = follow(script, 200)
    times = [time for time, _ in script.asked]
    gaps = [round(after - before, 3) for before, after in itertools.pairwise(times)]
    assert gaps == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 100.0, 0.2]
    lost = times[9]
    assert known[0] == Heard(b"hello", at(times[8]), None)
    assert known[1] == Heard(b"hello", at(times[8]), at(lost))
    assert known[2] == Heard(b"again", at(times[10]), None)
    assert known[3:] == [known[2]]


@pytest.mark.unit
def test_a_pod_that_never_answers_counts_from_the_first_try() -> None:
    known = follow(Script(*[[StreamError("refused")]] * 100), 60)
    assert known == [Heard(None, START, START)]


@pytest.mark.unit
def test_a_bug_in_a_transport_is_told_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    known = follow(Script([KeyError("bug")], [b"well"]), 5)
    assert known[0] is not None
    assert known[0].body == b"well"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.unit
def test_a_pod_that_starts_anew_is_asked_at_once() -> None:
    script = Script([b"old", 1e9], [b"new", 1e9])
    known = follow(script, 5, lambda streams: streams.follow(replace(TARGET, incarnation="1")))
    assert [(time, target.incarnation) for time, target in script.asked] == [(0.0, ""), (5.0, "1")]
    assert known == [Heard(b"old", START, None), Heard(b"new", at(5), None), Heard(b"new", at(5), None)]
    assert script.ended == 2


@pytest.mark.unit
def test_a_pod_that_is_dropped_is_forgotten() -> None:
    script = Script([b"words", 1e9])

    def drop(streams: PodStreams) -> None:
        streams.drop(TARGET.uid)
        streams.drop("unknown")

    assert follow(script, 5, drop)[1:] == [None]
    assert script.ended == 1
