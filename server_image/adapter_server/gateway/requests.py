"""Reading a request's body within bounds, and noticing that its client has gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from adapter_server.gateway.errors import ApiError
from adapter_server.gateway.parameters import MAX_BODY_BYTES

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


async def read_body(receive: Receive) -> bytes:
    """Return the whole body.

    Raises:
        ApiError: 413.
        ClientGone: the connection was closed before the end.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise ApiError(413, f"the body has more than {MAX_BODY_BYTES} bytes: shorten the prompt")
        if not message.get("more_body", False):
            return bytes(body)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what work returns, or end it when the client goes.

    Raises:
        ClientGone: it went.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    await receive()  # after the body the only thing that can come
