"""What is streamed to and from pods: their logs, and HTTP through the API server."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol

import aiohttp
from aiohttp import web

from adapter_devcluster.client import Client
from adapter_devcluster.network.proxy import forward
from adapter_devcluster.network.targets import pod_target, service_target
from adapter_devcluster.objects import parse_time
from adapter_devcluster.serving.exchange import Exchange
from adapter_devcluster.statuses import bad_request, not_found, status_error

# A kubelet refuses at once or not at all.
_REFUSED_WITHIN: Final = 0.2


class LogSource(Protocol):
    """Where logs of containers are, as a kubelet serves them."""

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        follow: bool = False,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        since_seconds: int | None = None,
        since_time: dt.datetime | None = None,
        previous: bool = False,
        timestamps: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """Yield parts of a log. Raises StatusError before the first part."""


class PodStreams:
    """Answers ``pods/log`` and the ``proxy`` subresources."""

    def __init__(self, client: Client, logs: LogSource | None) -> None:
        self._client = client
        self._logs = logs
        self._session: aiohttp.ClientSession | None = None

    async def log(self, exchange: Exchange) -> web.StreamResponse:
        """Stream the log of a container. Raises StatusError."""
        target = exchange.target
        pod = self._client.get("pods", target.namespace, target.name)
        if pod is None:
            raise not_found("pods", target.name)
        if self._logs is None or not pod["spec"].get("nodeName"):
            raise bad_request(f"pod {target.name} does not have a host assigned")
        parts = self._logs.logs(
            target.namespace,
            target.name,
            container=exchange.query("container"),
            follow=exchange.flag("follow"),
            tail_lines=exchange.number("tailLines"),
            limit_bytes=exchange.number("limitBytes"),
            since_seconds=exchange.number("sinceSeconds"),
            since_time=_time(exchange.query("sinceTime")),
            previous=exchange.flag("previous"),
            timestamps=exchange.flag("timestamps"),
        )
        # Whoever reads no more must not leave the log open.
        async with aclosing(parts):
            return await _stream(exchange, parts)

    async def proxy(self, exchange: Exchange) -> web.StreamResponse:
        """Forward a request to a service or a pod. Raises StatusError."""
        target = exchange.target
        finders = {"services": service_target, "pods": pod_target}
        if target.plural not in finders:
            raise status_error(405, "MethodNotAllowed", f"{target.plural} can't be reached through a proxy")
        found = finders[target.plural](self._client, target.namespace, target.name)
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))
        return await forward(exchange.request, found, "/" + target.rest, self._session)

    async def close(self) -> None:
        """Close the connections of the proxy."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _stream(exchange: Exchange, parts: AsyncGenerator[bytes]) -> web.StreamResponse:
    """Write a log as it comes. What is wrong with the request has to be an error, not a torn stream.

    It shows with the first part; of a log that is followed that may take forever, and readers want to know sooner.
    """
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    first = asyncio.ensure_future(anext(parts, b""))
    try:
        done, _ = await asyncio.wait({first}, timeout=_REFUSED_WITHIN if exchange.flag("follow") else None)
        for one in done:
            one.result()
        await response.prepare(exchange.request)
        await response.write(await first)
        async for part in parts:
            await response.write(part)
        await response.write_eof()
    except ConnectionError:
        # The reader has gone.
        return response
    finally:
        first.cancel()
        await asyncio.wait({first})
    return response


def _time(text: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise bad_request(f"sinceTime: {text} is no time as RFC 3339 writes it") from error
