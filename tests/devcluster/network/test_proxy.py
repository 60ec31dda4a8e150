from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from adapter_devcluster.network.proxy import forward
from adapter_devcluster.network.targets import Target
from adapter_devcluster.statuses import StatusError

pytestmark = pytest.mark.integration

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, host: str) -> AsyncIterator[int]:
    server = web.Server(handler, handler_cancellation=True, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, host, 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await server.shutdown(0.1)


@contextlib.asynccontextmanager
async def proxied(handler: Handler, path: str = "/p a/t") -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A server behind the proxy: a client's session and the URL that leads there."""
    async with (
        serving(handler, "127.1.2.3") as port,
        aiohttp.ClientSession(auto_decompress=False) as upstream,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):

        async def pass_on(request: web.BaseRequest) -> web.StreamResponse:
            return await forward(request, Target("http", "127.1.2.3", port), path, upstream)

        async with serving(pass_on, "127.0.0.1") as own:
            yield session, f"http://127.0.0.1:{own}/"


def test_method_path_query_headers_and_body_arrive() -> None:
    async def echo(request: web.BaseRequest) -> web.Response:
        seen = {name.lower(): value for name, value in request.headers.items()}
        seen["target"] = f"{request.method} {request.raw_path}"
        seen["body"] = (await request.read()).decode()
        return web.json_response(seen, status=418, reason="Teapot", headers={"X-Answer": "1", "Keep-Alive": "x"})

    async def run() -> None:
        async with proxied(echo) as (session, url):
            headers = {
                "Authorization": "Bearer secret",
                "X-Kept": "yes",
                "Connection": "keep-alive, X-Hop",
                "X-Hop": "no",
                "User-Agent": "me/1",
                "Content-Type": "text/plain",
            }
            async with session.patch(URL(f"{url}?a=%2F&b", encoded=True), data=b"content", headers=headers) as answer:
                seen = await answer.json()
                assert (answer.status, answer.reason) == (418, "Teapot")
                assert answer.headers["X-Answer"] == "1"
                assert "Keep-Alive" not in answer.headers
        assert seen["target"] == "PATCH /p%20a/t?a=%2F&b"
        assert (seen["body"], seen["content-length"], seen["content-type"]) == ("content", "7", "text/plain")
        assert (seen["x-kept"], seen["user-agent"]) == ("yes", "me/1")
        assert seen["host"].startswith("127.1.2.3:")
        assert not {"authorization", "x-hop", "te", "keep-alive"} & set(seen)

    asyncio.run(run())


def test_what_was_compressed_stays_compressed() -> None:
    async def compressed(_: web.BaseRequest) -> web.Response:
        response = web.Response(body=b"x" * 5000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async def run() -> None:
        async with proxied(compressed) as (session, url):
            async with session.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
                assert answer.headers["Content-Encoding"] == "gzip"
                assert (await answer.read())[:2] == b"\x1f\x8b"
            async with session.head(url) as answer:
                assert (answer.status, await answer.read()) == (200, b"")

    asyncio.run(run())


def test_redirects_are_the_clients_business() -> None:
    async def elsewhere(_: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": "/else"})

    async def run() -> None:
        async with proxied(elsewhere) as (session, url), session.get(url, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/else")

    asyncio.run(run())


def test_each_event_of_a_stream_arrives_when_it_is_sent() -> None:
    async def run() -> None:
        go_on = asyncio.Event()

        async def events(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
            await go_on.wait()
            await response.write(b"data: 2\n\n")
            return response

        async with proxied(events) as (session, url), session.get(url) as answer:
            assert await answer.content.readuntil(b"\n\n") == b"data: 1\n\n"
            # The second is not sent before the first has arrived: a proxy that buffers would wait for ever.
            go_on.set()
            assert await answer.content.read() == b"data: 2\n\n"

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_body_passes_on_while_it_is_sent() -> None:
    async def run() -> None:
        heard = asyncio.Event()

        async def listen(request: web.BaseRequest) -> web.Response:
            first = await request.content.readany()
            heard.set()
            return web.Response(body=first + await request.content.read())

        async def parts() -> AsyncIterator[bytes]:
            yield b"one "
            await heard.wait()
            yield b"two"

        async with proxied(listen) as (session, url), session.post(url, data=parts()) as answer:
            assert await answer.read() == b"one two"

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_client_that_goes_ends_the_request_to_the_target() -> None:
    async def run() -> None:
        ended = asyncio.Event()

        async def forever(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x")
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return response

        async with proxied(forever) as (session, url):
            answer = await session.get(url)
            await answer.content.readexactly(1)
            answer.close()
            await ended.wait()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_half_an_answer_does_not_look_whole() -> None:
    async def breaks(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def run() -> None:
        async with proxied(breaks) as (session, url), session.get(url) as answer:
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    asyncio.run(asyncio.wait_for(run(), 10))


async def refusal(target: Target) -> StatusError:
    """What ``forward`` raises for a target."""
    found: list[StatusError] = []
    async with aiohttp.ClientSession() as upstream, aiohttp.ClientSession() as session:

        async def pass_on(request: web.BaseRequest) -> web.Response:
            with pytest.raises(StatusError) as raised:
                await forward(request, target, "/", upstream)
            found.append(raised.value)
            return web.Response()

        async with serving(pass_on, "127.0.0.1") as own, session.get(f"http://127.0.0.1:{own}/"):
            return found[0]


def test_a_target_that_does_not_listen() -> None:
    with socket.socket() as taken:
        # Bound, but not listening: nobody else gets the port meanwhile.
        taken.bind(("127.1.2.3", 0))
        error = asyncio.run(refusal(Target("http", "127.1.2.3", taken.getsockname()[1])))
    assert (error.code, error.reason) == (503, "ServiceUnavailable")
    assert str(error).startswith("error trying to reach service: ")


@pytest.mark.parametrize("host", ["10.0.0.1", "example.test", "::1"])
def test_only_the_loopback_is_connected_to(host: str) -> None:
    error = asyncio.run(refusal(Target("http", host, 80)))
    assert (error.code, str(error)) == (400, "address not allowed")
