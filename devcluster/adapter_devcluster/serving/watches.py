"""Watches over HTTP: a stream of events, one JSON object a line.

As ``apiserver/pkg/endpoints/handlers/watch.go`` and ``.../storage/cacher`` (v1.36): bookmarks, time-outs, the
initial state as events, and an ERROR event with 410 where the history is gone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web

from adapter_devcluster.api.call import ListOptions
from adapter_devcluster.api.reads import InvalidRevisionError, Selection, parse_revision, selection
from adapter_devcluster.api.registry import Served
from adapter_devcluster.api.server import Api, loaded
from adapter_devcluster.objects import Object
from adapter_devcluster.presentation.negotiation import Presentation
from adapter_devcluster.presentation.tables import IncludeObject
from adapter_devcluster.serving.answers import NO_CACHE, event_json, include_object
from adapter_devcluster.serving.exchange import is_true
from adapter_devcluster.serving.faults import WatchFaults
from adapter_devcluster.statuses import StatusError, invalid
from adapter_devcluster.storage import Event

logger = logging.getLogger(__name__)
# A client that reads slower than events come is cut off when so many, or so many bytes, wait for it; it lists anew.
# What it asked for at first, however much it is, does not count.
_BACKLOG: Final = 10_000
_BACKLOG_BYTES: Final = 64 * 1024 * 1024
_SHORTEST_DEFAULT: Final = 1800


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What a watch was asked for. ``revision`` None: the present state first. ``initial``: as a streamed list."""

    chosen: Selection
    revision: int | None
    timeout: float
    bookmarks: bool
    initial: bool
    form: Presentation
    shown: IncludeObject


def watch_options(
    served: Served, namespace: str, query: Callable[[str], str], form: Presentation, listed: ListOptions
) -> WatchOptions:
    """Read the parameters of a watch. Raises StatusError."""
    chosen = selection(served, namespace, listed)
    initial = is_true(query("sendInitialEvents") or None)
    try:
        revision = parse_revision(listed.resource_version)
    except InvalidRevisionError as error:
        raise invalid(served.type.group, served.type.plural, "", [error.field_error]) from error
    seconds = query("timeoutSeconds")
    timeout = float(seconds) if seconds.isdecimal() and int(seconds) else 0.0
    return WatchOptions(
        chosen=chosen,
        revision=None if initial or not revision else revision,
        timeout=timeout or _SHORTEST_DEFAULT * (1 + secrets.randbelow(1000) / 1000),
        bookmarks=is_true(query("allowWatchBookmarks") or None),
        initial=initial,
        form=form,
        shown=include_object(query("includeObject")),
    )


class WatchStream:
    """One watch: takes events from the store and writes them to a client until either ends."""

    def __init__(
        self, api: Api, served: Served, options: WatchOptions, faults: WatchFaults, bookmark_every: float
    ) -> None:
        self._api = api
        self._served = served
        self._options = options
        self._faults = faults
        self._bookmark_every = bookmark_every
        self._lines: deque[bytes] = deque()
        self._waiting_lines = 0
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._cut = False
        self._ended = False
        self._written = False
        self._transport: asyncio.WriteTransport | None = None

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request by the stream."""
        self._transport = request.transport
        response = web.StreamResponse(headers={"Content-Type": "application/json", **NO_CACHE})
        response.enable_chunked_encoding()
        with ExitStack() as at_end:
            self._begin(at_end)
            try:
                await response.prepare(request)
                await self._write_all(response)
            except ConnectionError:
                # The client has gone, which is how most watches end.
                return response
        return response

    def end(self) -> None:
        """End the stream in order, after what waits to be written."""
        self._ended = True
        self._wake.set()

    def cut(self) -> None:
        """End the stream abruptly, as a broken connection does, also while a write waits for a slow client."""
        self._cut = True
        self._wake.set()
        if self._transport is not None:
            self._transport.abort()

    def _begin(self, at_end: ExitStack) -> None:
        options = self._options
        try:
            past, end = self._api.reader.watch(self._served, options.chosen, options.revision, self._receive)
        except StatusError as error:
            self._lines.append(_line("ERROR", error.status))
            self._ended = True
            return
        at_end.callback(end)
        # In another form, objects are for watches that begin then: those of a definition that changes or goes end.
        at_end.callback(self._api.registry.when_removed(self._served.type.resource, self.end))
        for event in past:
            self._lines.append(self._encoded(event))
        if options.initial and options.bookmarks:
            self._lines.append(self._bookmark(initial_events_end=True))
        at_end.callback(self._faults.register(self))

    def _receive(self, event: Event) -> None:
        self._faults.pass_on(event, self._add)

    def _add(self, event: Event) -> None:
        if self._cut or self._ended:
            return
        try:
            line = self._encoded(event)
        except Exception:
            # Whoever wrote the object is not to blame, nor may a client miss an event and not know it.
            logger.exception("a watch of %s failed", self._served.type.resource)
            self.cut()
            return
        self._waiting_lines += 1
        self._waiting_bytes += len(line)
        if self._waiting_lines > _BACKLOG or self._waiting_bytes > _BACKLOG_BYTES:
            self.cut()
            return
        self._lines.append(line)
        self._wake.set()

    def _encoded(self, event: Event) -> bytes:
        item, form = loaded(self._served, event.item), self._options.form
        line = event_json(self._served, event.type, item, form, self._options.shown, headers=not self._written)
        self._written = True
        return line

    async def _write_all(self, response: web.StreamResponse) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.timeout
        bookmark_at = loop.time() + self._bookmark_every
        while not self._cut:
            if self._lines:
                lines = b"".join(self._lines)
                self._lines.clear()
                self._waiting_lines = self._waiting_bytes = 0
                await response.write(lines)
                continue
            if self._ended or loop.time() >= end:
                break
            if self._options.bookmarks and loop.time() >= bookmark_at:
                bookmark_at = loop.time() + self._bookmark_every
                await response.write(self._bookmark())
            self._wake.clear()
            until = min(end, bookmark_at) if self._options.bookmarks else end
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                continue
        if not self._cut:
            await response.write_eof()

    def _bookmark(self, *, initial_events_end: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(self._api.store.revision)}
        if initial_events_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        kind = self._served.type
        obj: Object = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return _line("BOOKMARK", obj)


def _line(kind: str, obj: Object) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"
