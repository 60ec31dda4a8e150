"""HTTP through the API server to a Service or a pod: bodies pass as streams in both directions."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from adapter_devcluster.loopback import is_loopback
from adapter_devcluster.network.targets import Target
from adapter_devcluster.statuses import bad_request, status_error

logger = logging.getLogger(__name__)
# They speak of one connection, not of the message (RFC 9110, section 7.6.1).
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The API server's credentials are none of the pod's business.
_NOT_SENT_ON: Final = frozenset({"authorization", "host"})
# What aiohttp would add of its own.
_NOT_ADDED: Final = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)


async def forward(
    request: web.BaseRequest, target: Target, path: str, session: aiohttp.ClientSession
) -> web.StreamResponse:
    """Send a request on and stream what is answered, each part as it comes.

    ``path`` is not percent-encoded; the query is the request's. ``session`` must not decompress. Cancelling
    this (the client has gone) ends the request to the target. Raises StatusError: 400 for an address outside
    the loopback, 503 where the target can't be reached.
    """
    if not is_loopback(target.host):
        raise bad_request("address not allowed")
    url = URL.build(scheme=target.scheme, host=target.host, port=target.port, path=path)
    if query := request.rel_url.raw_query_string:
        url = URL(f"{url}?{query}", encoded=True)
    try:
        upstream = await session.request(
            request.method,
            url,
            headers=_passed_on(request.headers, _NOT_SENT_ON),
            data=request.content if request.body_exists else None,
            allow_redirects=False,
            skip_auto_headers=_NOT_ADDED,
            ssl=False,
        )
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        message = f"error trying to reach service: {error}"
        raise status_error(503, "ServiceUnavailable", message) from error
    async with upstream:
        return await _stream(request, upstream)


async def _stream(request: web.BaseRequest, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(
        status=upstream.status, reason=upstream.reason, headers=_passed_on(upstream.headers, ())
    )
    await response.prepare(request)
    try:
        async for part in upstream.content.iter_any():
            await response.write(part)
    except aiohttp.ClientError as error:
        # Half of an answer must not look like a whole one: its connection ends without the end of the body.
        logger.info("the answer of %s broke off: %s", upstream.url, error)
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _passed_on(headers: CIMultiDictProxy[str], not_sent: Iterable[str]) -> CIMultiDict[str]:
    named = {one.strip().lower() for value in headers.getall(hdrs.CONNECTION, ()) for one in value.split(",")}
    dropped = _HOP_BY_HOP.union(named, not_sent)
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)
