"""Watches over HTTP: a stream of events, one JSON object a line.

As ``apiserver/pkg/endpoints/handlers/watch.go`` and ``.../storage/cacher`` (v1.36): bookmarks, time-outs, the
initial state as events, and an ERROR event with 410 where the history is gone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web

from adapter_devcluster.api.call import ListOptions
from adapter_devcluster.api.reads import Selection, parse_revision, selection
from adapter_devcluster.api.registry import Served
from adapter_devcluster.api.server import Api, loaded
from adapter_devcluster.apiextensions import errors as field_errors
from adapter_devcluster.objects import Object
from adapter_devcluster.presentation.negotiation import Presentation
from adapter_devcluster.presentation.tables import IncludeObject
from adapter_devcluster.serving.answers import NO_CACHE, event_json, include_object
from adapter_devcluster.serving.faults import WatchFaults
from adapter_devcluster.statuses import StatusError, invalid
from adapter_devcluster.storage import Event

# A client that reads this many events slower than they come is cut off, and lists anew.
_BACKLOG: Final = 10_000
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
    initial = query("sendInitialEvents") in ("true", "1")
    match = listed.resource_version_match
    if initial and match != "NotOlderThan":
        raise _bad_options("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if match and not query("sendInitialEvents"):
        raise _bad_options("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    revision = parse_revision(listed.resource_version)
    seconds = query("timeoutSeconds")
    timeout = float(seconds) if seconds.isdecimal() and int(seconds) else 0.0
    return WatchOptions(
        chosen=chosen,
        revision=None if initial or not revision else revision,
        timeout=timeout or _SHORTEST_DEFAULT * (1 + secrets.randbelow(1000) / 1000),
        bookmarks=query("allowWatchBookmarks") in ("true", "1"),
        initial=initial,
        form=form,
        shown=include_object(query("includeObject")),
    )


def _bad_options(problem: str) -> StatusError:
    error = field_errors.forbidden("resourceVersionMatch", problem)
    return invalid("meta.k8s.io", "ListOptions", "", [error])


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
        self._wake = asyncio.Event()
        self._cut = False
        self._ended = False

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request by the stream."""
        cancel = self._begin()
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            await self._write_all(response)
        except ConnectionError:
            # The client has gone, which is how most watches end.
            return response
        finally:
            cancel()
        if self._cut and request.transport:
            request.transport.abort()
        return response

    def cut(self) -> None:
        """End the stream abruptly, as a broken connection does."""
        self._cut = True
        self._wake.set()

    def _begin(self) -> Callable[[], None]:
        options = self._options
        try:
            past, end = self._api.reader.watch(self._served, options.chosen, options.revision, self._receive)
        except StatusError as error:
            self._lines.append(_line("ERROR", error.status))
            self._ended = True
            return _nothing
        for event in past:
            self._encode(event)
        if options.initial and options.bookmarks:
            self._lines.append(self._bookmark(initial_events_end=True))
        registered = self._faults.register(self)

        def cancel() -> None:
            end()
            registered()

        return cancel

    def _receive(self, event: Event) -> None:
        self._faults.pass_on(event, self._encode)

    def _encode(self, event: Event) -> None:
        if len(self._lines) >= _BACKLOG:
            self.cut()
            return
        item = loaded(self._served, event.item)
        self._lines.append(event_json(self._served, event.type, item, self._options.form, self._options.shown))
        self._wake.set()

    async def _write_all(self, response: web.StreamResponse) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.timeout
        bookmark_at = loop.time() + self._bookmark_every
        while not self._cut:
            if self._lines:
                lines = b"".join(self._lines)
                self._lines.clear()
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
        metadata: Object = {"resourceVersion": str(self._api.store.revision), "creationTimestamp": None}
        if initial_events_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        kind = self._served.type
        obj: Object = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return _line("BOOKMARK", obj)


def _line(kind: str, obj: Object) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"


def _nothing() -> None:
    """End what was never begun."""
