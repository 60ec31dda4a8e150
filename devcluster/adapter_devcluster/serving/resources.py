"""Requests for objects: every verb of a resource and its subresources, over HTTP."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from adapter_devcluster.api.call import Call, DeleteOptions
from adapter_devcluster.api.patches import APPLY, check_patch_type
from adapter_devcluster.api.registry import Served
from adapter_devcluster.api.server import Api, loaded
from adapter_devcluster.api.subresources import delete_options
from adapter_devcluster.builtin import BUILTIN, with_sent_data
from adapter_devcluster.objects import Object
from adapter_devcluster.serving.answers import include_object, item_answer, json_answer, list_answer
from adapter_devcluster.serving.bodies import LIMIT, read_body, read_object, too_large
from adapter_devcluster.serving.exchange import Exchange
from adapter_devcluster.serving.faults import Faults
from adapter_devcluster.serving.pod_streams import PodStreams
from adapter_devcluster.serving.watches import WatchStream, watch_options
from adapter_devcluster.statuses import (
    StatusError,
    UnknownPathError,
    bad_request,
    method_not_allowed,
    no_such_path,
    not_found,
    status_error,
)
from adapter_devcluster.storage import Item

_REVISIONS: Final = "controllerrevisions.apps"
_BUILT_IN: Final = frozenset((found.group, found.version) for found in BUILTIN)
_PROXIES: Final = ("proxy",)
# What needs a connection of its own, which the node does not offer.
_UNSERVED_STREAMS: Final = frozenset({"attach", "exec", "portforward"})
_POSTED: Final = ("binding", "eviction", "token")


class ResourceRequests:
    """Answers requests whose path names a resource."""

    def __init__(self, api: Api, faults: Faults, streams: PodStreams, bookmark_every: float) -> None:
        self._api = api
        self._faults = faults
        self._streams = streams
        self._bookmark_every = bookmark_every

    def served(self, exchange: Exchange) -> Served:
        """Return what a path names. Raises StatusError (404)."""
        target = exchange.target
        served = self._api.registry.find(target.group, target.version, target.plural)
        if served is None:
            raise no_such_path() if (target.group, target.version) in _BUILT_IN else UnknownPathError()
        misplaced = bool(target.namespace) > served.type.namespaced
        if misplaced or (served.type.namespaced and target.name and not target.namespace):
            raise UnknownPathError() if served.custom else no_such_path()
        if served.resource == "pods" and target.subresource in _UNSERVED_STREAMS:
            raise _unserved_stream(target.subresource)
        if target.subresource and served.type.subresource(target.subresource) is None:
            raise not_found(served.type.resource, target.name) if served.custom else no_such_path()
        return served

    async def answer(self, exchange: Exchange) -> web.StreamResponse:
        """Answer a request. Raises StatusError."""
        served = self.served(exchange)
        if exchange.target.subresource in _PROXIES:
            return await self._streams.proxy(exchange)
        if exchange.target.subresource == "log":
            return await self._streams.log(exchange)
        _check_verb(served, exchange)
        if exchange.verb == "watch":
            return await self._watch(served, exchange)
        if exchange.verb in ("get", "list"):
            return self._get(served, exchange) if exchange.verb == "get" else self._list(served, exchange)
        raw = await _raw_body(exchange.request)
        write = {
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }[exchange.verb]
        return write(served, exchange, raw)

    def _get(self, served: Served, exchange: Exchange) -> web.Response:
        target, form = exchange.target, exchange.form()
        self._api.reader.check_revision(exchange.query("resourceVersion"))
        item = self._api.get(served, target.namespace, target.name, target.subresource)
        return item_answer(200, served, item, form, include_object(exchange.query("includeObject")))

    def _list(self, served: Served, exchange: Exchange) -> web.Response:
        page = self._api.list(served, exchange.target.namespace, exchange.list_options())
        return list_answer(served, page, exchange.form(), include_object(exchange.query("includeObject")))

    async def _watch(self, served: Served, exchange: Exchange) -> web.StreamResponse:
        target, listed = exchange.target, exchange.list_options()
        options = watch_options(served, target.namespace, exchange.query, exchange.form(), listed)
        faults = self._faults.for_watch(served.resource, exchange.user.name, target.namespace)
        stream = WatchStream(self._api, served, options, faults, self._bookmark_every)
        exchange.note_stream()
        return await stream.serve(exchange.request)

    def _create(self, served: Served, exchange: Exchange, raw: bytes) -> web.Response:
        target, call = exchange.target, exchange.call()
        body = _read_sent(served, exchange, raw, call)
        form = exchange.form()
        if target.subresource:
            found = self._api.create_subresource(served, target.namespace, target.name, target.subresource, body, call)
            return json_answer(201, found, form.media, call.warnings)
        item = self._api.create(served, target.namespace, body, call)
        return item_answer(201, served, loaded(served, item), form, "Metadata", call.warnings)

    def _update(self, served: Served, exchange: Exchange, raw: bytes) -> web.Response:
        target, call = exchange.target, exchange.call()
        body = _read_sent(served, exchange, raw, call)
        there = self._api.is_there(served, target.namespace, target.name)
        item = self._api.update(served, target.namespace, target.name, body, call, target.subresource)
        return self._written(200 if there else 201, served, exchange, item, call.warnings)

    def _patch(self, served: Served, exchange: Exchange, raw: bytes) -> web.Response:
        target, media = exchange.target, exchange.media
        check_patch_type(served, media)
        call = exchange.call(applying=media == APPLY)
        patch, call.decoding_errors = read_body(raw, media, strict=call.field_validation != "Ignore")
        there = self._api.is_there(served, target.namespace, target.name)
        item = self._api.patch(served, target.namespace, target.name, patch, media, call, target.subresource)
        return self._written(200 if there else 201, served, exchange, item, call.warnings)

    @staticmethod
    def _written(code: int, served: Served, exchange: Exchange, item: Item, warnings: list[str]) -> web.Response:
        form = exchange.form()
        plain = exchange.target.subresource not in ("scale", "finalize", "binding")
        return item_answer(code, served, loaded(served, item) if plain else item, form, "Metadata", warnings)

    def _delete(self, served: Served, exchange: Exchange, raw: bytes) -> web.Response:
        target, call = exchange.target, exchange.call()
        options, call.dry_run = _delete_options(exchange, raw, dry_run=call.dry_run)
        found = self._api.delete(served, target.namespace, target.name, options, call)
        if found.get("kind") != "Status":
            found = loaded(served, Item(found, 0)).object
        return json_answer(200, found, exchange.form().media, call.warnings)

    def _delete_collection(self, served: Served, exchange: Exchange, raw: bytes) -> web.Response:
        call = exchange.call()
        options, call.dry_run = _delete_options(exchange, raw, dry_run=call.dry_run)
        namespace = exchange.target.namespace
        page = self._api.delete_collection(served, namespace, exchange.list_options(), options, call)
        return list_answer(served, page, exchange.form(), "Metadata")


def _read_sent(served: Served, exchange: Exchange, raw: bytes, call: Call) -> Object:
    """Read the object of a creation or an update. Raises StatusError (400)."""
    body, call.decoding_errors = read_object(raw, exchange.media, strict=call.field_validation != "Ignore")
    if served.resource != _REVISIONS or exchange.media not in ("", "application/json"):
        return body
    try:
        return with_sent_data(body, raw)
    except ValueError as error:
        raise bad_request(f"the body can't be read: {error}") from error


def _check_verb(served: Served, exchange: Exchange) -> None:
    """Refuse what a resource does not offer. Raises StatusError (405)."""
    target, method = exchange.target, exchange.request.method
    if target.subresource:
        found = served.type.subresource(target.subresource)
        allowed = found is not None and exchange.verb in found.verbs
    else:
        allowed = exchange.verb in served.type.verbs
    if exchange.verb == "create" and target.name and target.subresource not in _POSTED:
        allowed = False
    if exchange.verb == "create" and served.type.namespaced and not target.namespace:
        allowed = False
    if exchange.verb in ("update", "patch") and not target.name:
        if served.custom:
            raise bad_request("name must be provided")
        allowed = False
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", *(["HEAD"] if served.custom else []))
    if not allowed or method not in methods:
        raise method_not_allowed(served.type.resource if served.custom else "")


def _unserved_stream(subresource: str) -> StatusError:
    """405 in words that tell a user of kubectl what to do instead."""
    problem = f"{subresource} is not served by this development cluster: its pods are processes of this machine"
    return status_error(405, "MethodNotAllowed", problem, resource="pods")


async def _raw_body(request: web.BaseRequest) -> bytes:
    """Read a body. Its limit is not that of ``request.read``, which is lower."""
    if request.content_length is not None and request.content_length > LIMIT:
        raise too_large()
    raw = bytearray()
    async for part in request.content.iter_any():
        raw += part
        if len(raw) > LIMIT:
            raise too_large()
    return bytes(raw)


def _delete_options(exchange: Exchange, raw: bytes, *, dry_run: bool) -> tuple[DeleteOptions, bool]:
    """Read how to delete, from the body or from the query."""
    body: Object = {}
    if raw.strip():
        body, _ = read_object(raw, exchange.media, strict=False)
        dry_run = False
    else:
        grace = exchange.number("gracePeriodSeconds")
        body = {"gracePeriodSeconds": grace} if grace is not None else {}
        if exchange.query("propagationPolicy"):
            body["propagationPolicy"] = exchange.query("propagationPolicy")
        elif exchange.query("orphanDependents"):
            body["orphanDependents"] = exchange.flag("orphanDependents")
    return delete_options(body), dry_run or bool(body.get("dryRun"))
