"""Pieces travel from any thread to the loop that asked for them."""

import asyncio
import threading

import pytest

from adapter_server.engines.engine import GenerationFailed, Piece, Usage
from adapter_server.engines.stream import AsyncStream

pytestmark = pytest.mark.unit


def in_a_thread(action: object, *arguments: object) -> None:
    thread = threading.Thread(target=action, args=arguments)
    thread.start()
    thread.join()


def test_pieces_arrive_in_order_and_the_last_one_ends_the_stream() -> None:
    async def scenario() -> None:
        stream = AsyncStream(3)
        pieces = [Piece(1, "a"), Piece(2, "b", "stop")]
        for piece in pieces:
            in_a_thread(stream.put, piece)
        assert stream.usage == Usage(3, 0)
        assert [piece async for piece in stream] == pieces
        assert stream.usage == Usage(3, 2)
        assert [piece async for piece in stream] == []

    asyncio.run(scenario())


def test_an_error_is_raised_once() -> None:
    async def scenario() -> None:
        stream = AsyncStream(3)
        in_a_thread(stream.end, GenerationFailed("broken"))
        with pytest.raises(GenerationFailed, match="broken"):
            await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(scenario())


def test_a_stream_that_was_cancelled_just_ends() -> None:
    async def scenario() -> None:
        stream = AsyncStream(3)
        assert not stream.cancelled
        stream.cancel()
        assert stream.cancelled
        in_a_thread(stream.end, None)
        assert [piece async for piece in stream] == []

    asyncio.run(scenario())


def test_a_loop_that_is_gone_cancels() -> None:
    async def make() -> AsyncStream:
        return AsyncStream(3)

    stream = asyncio.run(make())
    stream.put(Piece(1, "a"))
    assert stream.cancelled
