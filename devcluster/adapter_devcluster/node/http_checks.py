"""HTTP and TCP requests to pods, for probes and hooks. Nothing is sent beyond the loopback addresses."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Final

import aiohttp
from yarl import URL

from adapter_devcluster.loopback import LOOPBACK, is_loopback
from adapter_devcluster.objects import Object

_READ_LIMIT: Final = 10 * 1024
_REDIRECTS: Final = 10


class CheckError(Exception):
    """A request failed, or its answer says that something is wrong; the message says which."""


def port_number(port: int | str, container: Object) -> int:
    """Return a port by number or by its name in the container. Raises CheckError."""
    for one in container.get("ports") or []:
        if one.get("name") == port:
            return int(one["containerPort"])
    try:
        return int(port)
    except ValueError:
        raise CheckError(f"couldn't find port: {port} in container {container['name']}") from None


def request_url(action: Object, container: Object, pod_address: str) -> URL:
    """Return the URL of an ``httpGet`` action. Raises CheckError."""
    host = _loopback(str(action.get("host") or pod_address))
    scheme = str(action.get("scheme") or "HTTP").lower()
    path = "/" + str(action.get("path") or "").lstrip("/")
    return URL(f"{scheme}://{host}:{port_number(action['port'], container)}{path}", encoded=True)


async def http_get(action: Object, url: URL, seconds: float) -> str:
    """Send a GET request and return the beginning of the answer. Raises CheckError unless it is 200 to 399.

    A redirect to the same host is followed, and one to another host counts as success, as the kubelet does it.
    """
    headers = {"User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
    headers |= {one["name"]: one["value"] for one in action.get("httpHeaders") or []}
    at = url
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False, force_close=True)) as session,
        ):
            for _ in range(_REDIRECTS):
                async with session.get(at, headers=headers, allow_redirects=False) as answer:
                    body = (await answer.content.read(_READ_LIMIT)).decode(errors="replace")
                    if not 200 <= answer.status < 400:
                        raise CheckError(f"HTTP probe failed with statuscode: {answer.status}")
                    location = answer.headers.get("Location") if answer.status in {301, 302, 303, 307, 308} else None
                target = at.join(URL(location)) if location else None
                if target is None or target.host != at.host:
                    return body
                at = target
    except TimeoutError:
        waited = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise CheckError(f'Get "{url}": {waited}') from None
    except aiohttp.ClientConnectorError as error:
        reason = _reason(error.os_error)
        raise CheckError(f'Get "{url}": dial tcp {url.host}:{url.port}: connect: {reason}') from None
    except aiohttp.ClientError as error:
        raise CheckError(f'Get "{url}": {error}') from None
    raise CheckError(f'Get "{at}": stopped after {_REDIRECTS} redirects')


async def tcp_connect(host: str, port: int, seconds: float) -> None:
    """Open a connection and close it. Raises CheckError."""
    host = _loopback(host)
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise CheckError(f"dial tcp {host}:{port}: i/o timeout") from None
    except OSError as error:
        raise CheckError(f"dial tcp {host}:{port}: connect: {_reason(error)}") from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _reason(error: OSError) -> str:
    # asyncio has its own words for a refused connection.
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    if not is_loopback(host):
        raise CheckError(f"this node sends no requests beyond {LOOPBACK}, and {host} lies there")
    return host
