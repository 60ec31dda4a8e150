from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from adapter_devcluster.network.listener import Listener
from adapter_devcluster.network.relay import Accepted, Relays, Side, reset

pytestmark = pytest.mark.integration

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTE = b"x" * 2**20


@contextlib.asynccontextmanager
async def relay(handler: Handler) -> AsyncIterator[tuple[int, Relays]]:
    """A server behind a relay: the port to connect to, and the relays that are open."""
    before = len(asyncio.all_tasks())
    server = await asyncio.start_server(handler, "127.1.2.3", 0)
    port = server.sockets[0].getsockname()[1]
    relays = Relays()

    async def connect(accepted: Accepted, _client: str) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Side(accepted), "127.1.2.3", port)

    listener = Listener(("127.0.0.1", 0), connect, relays)
    try:
        yield listener.address[1], relays
    finally:
        listener.close()
        server.close()
        await relays.abort()
        await until(lambda: len(asyncio.all_tasks()) == before)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the end of a connection is no event that a test could await
            await asyncio.sleep(0.001)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionResetError):
        while part := await reader.read(2**16):
            writer.write(part)
            await writer.drain()
        writer.write(b"<end>")
    writer.close()


def test_both_directions_and_a_half_closed_connection() -> None:
    async def run() -> tuple[bytes, bytes]:
        async with relay(echo) as (port, relays):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            first = await reader.readexactly(5)
            # The client has said all; what the server still has to say arrives.
            writer.write(MEGABYTE)
            writer.write_eof()
            rest = await reader.read()
            writer.close()
            await until(lambda: not relays.open)
            return first, rest

    first, rest = asyncio.run(run())
    assert first == b"hello"
    assert rest == MEGABYTE + b"<end>"


def test_a_server_that_ends_its_direction_still_hears_the_client() -> None:
    heard = bytearray()

    async def run() -> bytes:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"bye")
            writer.write_eof()
            heard.extend(await reader.read())
            writer.close()

        async with relay(handler) as (port, relays):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            said = await reader.read()
            writer.write(b"still here")
            writer.write_eof()
            await until(lambda: not relays.open)
            writer.close()
            return said

    assert asyncio.run(run()) == b"bye"
    assert heard == b"still here"


def test_a_client_that_does_not_read_stops_the_server() -> None:
    sent = 0

    async def run() -> int:
        async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            for _ in range(256):
                writer.write(MEGABYTE)
                await writer.drain()
                sent += 1
            writer.close()

        async with relay(handler) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await reader.readexactly(1)
            stalled = -1
            while stalled != sent:
                # It has stalled when a while passes without anything sent.
                stalled = sent
                await asyncio.sleep(0.05)
            before = sent
            total = 1
            while part := await reader.read(2**20):
                total += len(part)
            writer.close()
            assert total == 256 * len(MEGABYTE)
            return before

    assert asyncio.run(run()) < 64


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_is_passed_on(who: str) -> None:
    async def run() -> None:
        ended = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hi")
            await reader.readexactly(2)
            if who == "server":
                reset(writer.transport)
                return
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
            writer.close()
            ended.set()

        async with relay(handler) as (port, relays):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await reader.readexactly(2)
            writer.write(b"go")
            if who == "client":
                await writer.drain()
                reset(writer.transport)
                await asyncio.wait_for(ended.wait(), 5)
            else:
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(reader.read(), 5)
            await until(lambda: not relays.open)
            writer.close()

    asyncio.run(run())


def test_nothing_listens_behind_it() -> None:
    async def run() -> None:
        async def connect(_accepted: Accepted, _client: str) -> None:
            raise ConnectionRefusedError

        relays = Relays()
        listener = Listener(("127.0.0.1", 0), connect, relays)
        reader, writer = await asyncio.open_connection(*listener.address)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        listener.close()
        await until(lambda: not relays.open)

    asyncio.run(run())


def test_a_client_that_goes_ends_what_was_connecting_for_it() -> None:
    async def run() -> None:
        given_up, began = asyncio.Event(), asyncio.Event()

        async def connect(_accepted: Accepted, _client: str) -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()

        relays = Relays()
        listener = Listener(("127.0.0.1", 0), connect, relays)
        _, writer = await asyncio.open_connection(*listener.address)
        await began.wait()
        await relays.abort()
        await asyncio.wait_for(given_up.wait(), 5)
        assert relays.open == set()
        writer.close()
        listener.close()

    asyncio.run(run())


def test_what_is_accepted_when_the_listener_closes_is_served() -> None:
    async def run() -> None:
        server = await asyncio.start_server(echo, "127.1.2.3", 0)

        async def connect(accepted: Accepted, _client: str) -> None:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: Side(accepted), *server.sockets[0].getsockname())

        relays = Relays()
        listener = Listener(("127.0.0.1", 0), connect, relays)
        # Accepted in the same turn of the loop in which the listener is closed.
        accepted = asyncio.get_running_loop().create_future()
        client = socket.create_connection(listener.address)
        asyncio.get_running_loop().call_soon(lambda: (listener._accept(), listener.close(), accepted.set_result(None)))
        await accepted
        reader, writer = await asyncio.open_connection(sock=client)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b"<end>"
        writer.close()
        server.close()
        await until(lambda: not relays.open)

    asyncio.run(run())


def test_without_file_descriptors_it_waits_for_some(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with relay(echo) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            waiting = socket.socket()
            waiting.settimeout(0)
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            taken: list[int] = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (writer.get_extra_info("socket").fileno() + 20, limits[1]))
            try:
                with contextlib.suppress(OSError):
                    while True:
                        taken.append(os.dup(0))
                waiting.connect_ex(("127.0.0.1", port))
                await until(lambda: "can't accept a connection" in caplog.text)
            finally:
                for one in taken:
                    os.close(one)
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            late_reader, late_writer = await asyncio.open_connection(sock=waiting)
            late_writer.write_eof()
            assert await asyncio.wait_for(late_reader.read(), 5) == b"<end>"
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), 5) == b"<end>"
            writer.close()
            late_writer.close()

    asyncio.run(run())


def test_a_side_whose_peer_has_gone_does_nothing() -> None:
    side = Side(Side())
    side.data_received(b"x")
    assert side.eof_received() is True
    side.pause_writing()
    side.resume_writing()
    side.connection_lost(None)
    assert side.other is None


def test_a_connection_can_be_reset_twice() -> None:
    async def run() -> None:
        async with relay(echo) as (port, relays):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x")
            await reader.readexactly(1)
            reset(writer.transport)
            reset(writer.transport)
            assert await reader.read() == b""
            await until(lambda: not relays.open)

    asyncio.run(run())
