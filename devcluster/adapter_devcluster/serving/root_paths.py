"""Paths that name no resource: health, version, discovery, OpenAPI, and the cluster's own switches."""

from __future__ import annotations

import hashlib
from typing import Final

import orjson
from aiohttp import web
from pydantic import ValidationError

from adapter_devcluster.api.custom_resources import CRDS
from adapter_devcluster.api.server import Api
from adapter_devcluster.objects import Object
from adapter_devcluster.presentation import discovery
from adapter_devcluster.presentation.openapi import openapi_document, openapi_index
from adapter_devcluster.resource_types import ResourceType
from adapter_devcluster.serving.answers import answer, json_answer
from adapter_devcluster.serving.audit import AuditLog
from adapter_devcluster.serving.exchange import Exchange
from adapter_devcluster.serving.faults import FaultPlan, Faults, Match
from adapter_devcluster.statuses import UnknownPathError, bad_request, method_not_allowed

_HEALTH: Final = ("/healthz", "/livez", "/readyz")
_VERSION: Final[Object] = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.2+devcluster",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


class RootPaths:
    """Answers what is no resource. Documents are made once for each state of what is served."""

    def __init__(self, api: Api, faults: Faults, audit: AuditLog) -> None:
        self._api = api
        self._faults = faults
        self._audit = audit
        self._cached: dict[tuple[str, ...], bytes] = {}
        self._generation = -1
        self.address = ""

    async def answer(self, exchange: Exchange) -> web.Response:
        """Answer a request. Raises StatusError."""
        path = "/" + exchange.target.path.strip("/")
        if path.startswith("/devcluster/"):
            return await self._switch(exchange, path.removeprefix("/devcluster/"))
        if exchange.request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if f"/{exchange.target.path.strip('/').partition('/')[0]}" in _HEALTH:
            return web.Response(body=b"ok", content_type="text/plain")
        if path == "/version":
            return json_answer(200, _VERSION)
        form = exchange.form("discovery" if path in ("/api", "/apis") else "plain")
        key = (path, form.view, form.version)
        if self._generation != self._api.registry.generation:
            self._generation = self._api.registry.generation
            self._cached.clear()
        if key not in self._cached:
            found = self._document(path, form.view, form.version)
            if found is None:
                raise UnknownPathError
            self._cached[key] = orjson.dumps(found)
        body = self._cached[key]
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if exchange.request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        response = answer(200, body, form.media)
        response.headers["ETag"] = etag
        response.headers["Content-Type"] = form.content_type
        return response

    def _document(self, path: str, view: str, version: str) -> Object | None:
        types = self._api.registry.types()
        match path.strip("/").split("/"):
            case [""]:
                return {"paths": ["/api", "/apis", *_HEALTH, "/openapi/v3", "/version"]}
            case ["api" | "apis" as root]:
                if view:
                    return discovery.aggregated_discovery(types, core=root == "api", version=version)
                return discovery.api_versions(self.address) if root == "api" else discovery.api_group_list(types)
            case ["apis", group]:
                return discovery.api_group(types, group)
            case ["api" | "apis" as root, *found] if len(found) == (1 if root == "api" else 2):
                group, version = ["", *found][-2:]
                return discovery.api_resource_list(types, group, version)
        return self._openapi(path, types)

    def _openapi(self, path: str, types: list[ResourceType]) -> Object | None:
        match path.removeprefix("/openapi/").split("/"):
            case ["v3"]:
                return openapi_index(types, str(self._api.registry.generation))
            case ["v3", "api" | "apis" as root, *found] if len(found) == (1 if root == "api" else 2):
                group, version = ["", *found][-2:]
                return openapi_document(types, group, version, self._crds())
        return None

    def _crds(self) -> list[Object]:
        return [item.object for item in self._api.store.table(CRDS).items()]

    async def _switch(self, exchange: Exchange, path: str) -> web.Response:
        """Read or set what the cluster does on purpose; only for those with all rights."""
        raw = await exchange.request.read()
        try:
            match exchange.request.method, path:
                case "PUT", "faults":
                    self._faults.set(FaultPlan.model_validate_json(raw or b"{}"))
                case "GET", "faults":
                    plan = self._faults.plan.model_dump(mode="json")
                    return json_answer(200, {"plan": plan, "hits": self._faults.hits})
                case "POST", "cut-watches":
                    return json_answer(200, {"cut": self._faults.cut_watches(Match.model_validate_json(raw or b"{}"))})
                case "POST", "forget-history":
                    self._api.store.forget_history()
                case "POST", "pause":
                    self._faults.pause()
                case "POST", "resume":
                    self._faults.resume()
                case "GET", "audit":
                    return json_answer(200, [entry.event() for entry in self._audit.entries])
                case _:
                    raise UnknownPathError
        except ValidationError as error:
            raise bad_request(str(error)) from error
        return json_answer(200, {})
