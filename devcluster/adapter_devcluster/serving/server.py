"""The HTTP server: who is it, may they, what do they want, and what came of it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from typing import Final

from aiohttp import web

from adapter_devcluster.access.rbac import Attributes, forbidden
from adapter_devcluster.access.users import User
from adapter_devcluster.api.server import Api
from adapter_devcluster.objects import micro_timestamp
from adapter_devcluster.selectors import SelectorError, parse_field_selector
from adapter_devcluster.serving.answers import status_answer
from adapter_devcluster.serving.audit import AuditEntry, AuditLog
from adapter_devcluster.serving.exchange import Exchange, is_true
from adapter_devcluster.serving.faults import CallFault, Faults, fault_error
from adapter_devcluster.serving.identity import identify
from adapter_devcluster.serving.paths import Target, parse_path
from adapter_devcluster.serving.pod_streams import LogSource, PodStreams
from adapter_devcluster.serving.resources import ResourceRequests
from adapter_devcluster.serving.root_paths import RootPaths
from adapter_devcluster.statuses import StatusError, UnknownPathError, bad_request, internal_error

logger = logging.getLogger(__name__)
_BOOKMARK_EVERY: Final = 60.0


class LostAnswerError(ConnectionResetError):
    """A fault lost the answer to a call that was carried out. ``code`` is the HTTP code that it had."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__("the answer was lost by a fault")


class HttpServer:
    """Serves an `Api` on an address of the loopback."""

    def __init__(
        self,
        api: Api,
        *,
        faults: Faults | None = None,
        audit: AuditLog | None = None,
        logs: LogSource | None = None,
        bookmark_every: float = _BOOKMARK_EVERY,
    ) -> None:
        self.api = api
        self.faults = faults or Faults()
        self.audit = audit or AuditLog()
        self._streams = PodStreams(api.client(), logs)
        self._resources = ResourceRequests(api, self.faults, self._streams, bookmark_every)
        self._root = RootPaths(api, self.faults, self.audit)
        self._server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port, a free one where 0 was given. Raises OSError where it is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._server, host, port, ssl=tls, reuse_address=True, backlog=512)
        listening: socket.socket = self._listener.sockets[0]
        found = int(listening.getsockname()[1])
        self._root.address = f"{host}:{found}"
        return found

    async def stop(self) -> None:
        """Stop listening, and end what is in flight: watches have no end of their own."""
        self.faults.resume()
        if self._listener is not None:
            self._listener.close()
        transports = [one.transport for one in self._server.connections if one.transport is not None]
        await self._server.shutdown(0.1)
        for transport in transports:
            # A client that does not answer TLS's farewell would keep its connection open.
            transport.abort()
        await self._streams.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began, received = time.perf_counter(), micro_timestamp()
        target = parse_path(request.rel_url.raw_path)
        verb = target.verb(request.method, watch=is_true(request.rel_url.query.get("watch")))
        user: User | None = None
        impersonator: User | None = None

        def note(code: int) -> None:
            self.audit.add(
                AuditEntry(
                    user,
                    verb,
                    target,
                    str(request.rel_url),
                    request.headers.get("User-Agent", ""),
                    code,
                    received,
                    time.perf_counter() - began,
                    impersonator,
                )
            )

        try:
            if target.plural:
                await self.faults.wait_while_paused()
            user, impersonator = identify(self.api, request.headers)
            self._authorize(user, verb, target, _selected_name(verb, request))
            # Watches are noted when they begin: they end when they like.
            response = await self._answer(Exchange(request, target, verb, user, lambda: note(200)))
        except UnknownPathError:
            response = web.Response(status=404, text="404 page not found\n")
        except StatusError as error:
            response = status_answer(error.status)
        except RecursionError:
            response = status_answer(bad_request("the object is nested too deeply").status)
        except LostAnswerError as lost:
            note(lost.code)
            raise
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.rel_url)
            response = status_answer(internal_error(f"{type(error).__name__}: {error}").status)
        if verb != "watch" or response.status >= 400:
            note(response.status)
        return response

    def _authorize(self, user: User, verb: str, target: Target, selected: str) -> None:
        attributes = Attributes(
            user=user,
            verb=verb,
            resource=target.plural,
            group=target.group,
            subresource=target.subresource,
            namespace=target.namespace or (target.name if target.plural == "namespaces" else ""),
            name=target.name or selected,
            path="" if target.plural else target.path,
        )
        decision = self.api.authorizer.decide(attributes)
        if not decision.allowed:
            raise forbidden(attributes, decision.reason)

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        target = exchange.target
        if not target.plural:
            return await self._root.answer(exchange)
        resource = f"{target.plural}.{target.group}" if target.group else target.plural
        named = f"{resource}/{target.subresource}" if target.subresource else resource
        rule = self.faults.strike(exchange.verb, named, exchange.user.name, target.namespace)
        if rule is None:
            return await self._resources.answer(exchange)
        return await self._struck(exchange, rule, resource)

    async def _struck(self, exchange: Exchange, rule: CallFault, resource: str) -> web.StreamResponse:
        """Let a fault have its way with a call."""
        if rule.delay_seconds:
            await asyncio.sleep(rule.delay_seconds)
        if rule.effect == "Delay":
            return await self._resources.answer(exchange)
        if rule.effect == "Fail":
            raise fault_error(rule, resource, exchange.target.name)
        code = 0
        if rule.effect == "Lose" and not _streams(exchange):
            try:
                code = (await self._resources.answer(exchange)).status
            except StatusError as error:
                code = error.code
        if exchange.request.transport is not None:
            exchange.request.transport.abort()
        if code:
            raise LostAnswerError(code)
        raise ConnectionResetError("the connection was dropped by a fault")


def _streams(exchange: Exchange) -> bool:
    """Whether the answer reaches the client while it is made, so that nothing of it can be lost at the end."""
    return exchange.verb == "watch" or exchange.target.subresource in ("log", "proxy")


def _selected_name(verb: str, request: web.BaseRequest) -> str:
    """The one name that a list or a watch selects: the right to that name is enough for it."""
    if verb not in ("list", "watch"):
        return ""
    try:
        fields = parse_field_selector(request.rel_url.query.get("fieldSelector", ""))
    except SelectorError:
        return ""
    return next((one.value for one in fields if one.path == "metadata.name" and one.equal), "")
