"""The API server as calls over JSON objects.

A client of our own on aiohttp, since all it has to do is a dozen requests over plain JSON. The kubernetes library's
generated client turns every object into a model and back, loses fields that the model does not know, and its
server-side apply and custom objects go through untyped side doors; what is hard in it (kubeconfigs and their plugins)
is used, in `connection`. Kopf brings aiohttp anyway.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import aiohttp
import kopf

from adapter_operator.runtime.connection import Credentials
from adapter_operator.runtime.errors import Gone, NotFound, Unauthorized, Unavailable, error_of_answer
from adapter_operator.runtime.objects import Object
from adapter_operator.runtime.resources import Resources, ResourceType

_LOG = logging.getLogger(__name__)

FIELD_MANAGER: Final = "adapter-operator"
_SECONDS: Final = 30.0
_PAGE: Final = 500
_JSON: Final = "application/json"
_OK: Final = 400
# In JSON these stand in strings only.
_GO_ESCAPES: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})

Propagation = Literal["Background", "Foreground", "Orphan"]


class RequestMeter(Protocol):
    """Counts requests."""

    def request_done(self, method: str, code: str) -> None:
        """Count one; the code is `<error>` where there was no answer."""


class NoMeter:
    """Counts nothing."""

    def request_done(self, method: str, code: str) -> None:
        """See `RequestMeter`."""


@dataclass(frozen=True)
class ObjectList:
    """A list of one moment, which its resource version names."""

    items: tuple[Object, ...]
    version: int


@dataclass(frozen=True)
class _Call:
    method: str
    path: str
    body: Any = None
    media: str = _JSON
    parameters: Mapping[str, str] = field(default_factory=dict)


class ApiClient:
    """Calls of the API server; use it as an asynchronous context.

    Every call may raise `ApiError` by its class, `CredentialsError` and, where a kind is unknown, `UnknownKindError`.
    After `Unavailable` nobody knows whether a write was carried out. Nothing is retried here but a call whose
    credentials were refused: whoever calls works level-triggered and comes back.
    """

    def __init__(
        self,
        credentials: Credentials,
        resources: Resources,
        *,
        meter: RequestMeter | None = None,
        user_agent: str = FIELD_MANAGER,
        seconds: float = _SECONDS,
    ) -> None:
        self._credentials = credentials
        self._resources = resources
        self._meter = meter or NoMeter()
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "ApiClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_session()

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        """Return an object as the server has it now."""
        return await self._object(_Call("GET", kind.path(namespace, name)))

    async def find(self, kind: ResourceType, namespace: str, name: str) -> Object | None:
        """Return an object as the server has it now, or None."""
        try:
            return await self.get(kind, namespace, name)
        except NotFound:
            return None

    async def list(
        self, kind: ResourceType, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        """Return the objects of a namespace, or of all, as they are now; page by page, but of one moment."""
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        chosen = {name: value for name, value in selectors.items() if value}
        try:
            return await self._pages(kind, namespace, {**chosen, "limit": str(_PAGE)})
        except Gone:
            # The moment of the first page is no longer kept: all at once then.
            return await self._pages(kind, namespace, chosen)

    async def _pages(self, kind: ResourceType, namespace: str, parameters: Mapping[str, str]) -> ObjectList:
        items: list[Object] = []
        following: dict[str, str] = {}
        while True:
            page = await self._object(
                _Call("GET", kind.path(namespace), parameters={**parameters, **following}),
            )
            # Items of a list don't say what they are.
            items += [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page.get("items") or ()]
            token = page["metadata"].get("continue")
            if not token:
                return ObjectList(tuple(items), int(page["metadata"]["resourceVersion"]))
            following = {"continue": token}

    async def create(self, manifest: Object) -> Object:
        """Create an object."""
        kind = self._resources.of(manifest)
        parameters = {"fieldManager": FIELD_MANAGER}
        return await self._object(
            _Call("POST", kind.path(_namespace(manifest)), body=manifest, parameters=parameters),
        )

    async def apply(self, manifest: Object) -> Object:
        """Apply an object on the server's side; fields that others hold are taken over."""
        kind = self._resources.of(manifest)
        return await self._object(
            _Call(
                "PATCH",
                kind.path(_namespace(manifest), manifest["metadata"]["name"]),
                body=manifest,
                media="application/apply-patch+yaml",
                parameters={"fieldManager": FIELD_MANAGER, "force": "true"},
            )
        )

    async def replace_status(self, obj: Object, status: Object) -> Object:
        """Make `status` the whole status of an object, provided that it still is the one that we know.

        A JSON patch, so that what is gone from the status goes; a merge patch would keep it.

        Raises:
            Conflict: the object has another resource version by now.

        """
        metadata = obj["metadata"]
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = self._resources.of(obj).path(_namespace(obj), metadata["name"], "status")
        return await self._object(
            _Call(
                "PATCH",
                path,
                body=patch,
                media="application/json-patch+json",
                parameters={"fieldManager": FIELD_MANAGER},
            )
        )

    async def merge_patch(
        self, kind: ResourceType, namespace: str, name: str, patch: Object, *, subresource: str = ""
    ) -> Object:
        """Merge a patch into an object or its subresource; a resource version in it is a precondition."""
        return await self._object(
            _Call(
                "PATCH",
                kind.path(namespace, name, subresource),
                body=patch,
                media="application/merge-patch+json",
                parameters={"fieldManager": FIELD_MANAGER},
            )
        )

    async def delete(
        self, kind: ResourceType, namespace: str, name: str, *, uid: str, propagation: Propagation
    ) -> Object:
        """Delete the object with this UID; returns it if its end takes time, else a Status.

        Raises:
            Conflict: an object of the name has another UID.

        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": propagation,
        }
        return await self._object(_Call("DELETE", kind.path(namespace, name), body=options))

    async def serves(self, kind: ResourceType) -> bool:
        """Whether the server knows a kind: its custom resource definition may be missing."""
        try:
            found = await self._object(_Call("GET", kind.path("").rpartition("/")[0]))
        except NotFound:
            return False
        return any(one["name"] == kind.plural for one in found.get("resources") or ())

    async def _object(self, call: _Call) -> Object:
        try:
            return await self._send(call)
        except Unauthorized:
            await self._credentials.renew()
            # New credentials may come with a new certificate of the client.
            await self._close_session()
            return await self._send(call)

    async def _send(self, call: _Call) -> Object:
        connection = await self._credentials.connection()
        session = self._session or self._open_session(connection)
        what = f"{call.method} {call.path}"
        try:
            async with session.request(
                call.method,
                connection.server.rstrip("/") + call.path,
                params=call.parameters,
                data=None if call.body is None else encoded(call.body),
                headers={"Accept": _JSON, "Content-Type": call.media, **connection.as_http_headers()},
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            self._meter.request_done(call.method, "<error>")
            if isinstance(error, aiohttp.ClientSSLError):
                # The server's authority may have been replaced: read its certificate again.
                await self._close_session()
            raise Unavailable(f"{what}: {str(error) or type(error).__name__}") from error
        self._meter.request_done(call.method, str(response.status))
        if response.status >= _OK:
            raise error_of_answer(what, response.status, body, response.headers.get("Retry-After"))
        try:
            found: Object = json.loads(body)
        except ValueError as error:
            raise Unavailable(f"{what}: the answer is no JSON", code=response.status) from error
        return found

    def _open_session(self, connection: kopf.ConnectionInfo) -> aiohttp.ClientSession:
        secure = connection.server.startswith("https:")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=connection.as_ssl_context() if secure else True),
            timeout=self._timeout,
            headers={"User-Agent": self._user_agent},
            trust_env=False,
        )
        return self._session

    async def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def encoded(body: object) -> bytes:
    """Write JSON as Go would: sorted, compact, ASCII, with its escapes.

    The server keeps the data of a ControllerRevision as bytes, and refuses every later update of one whose bytes are
    others than it would write itself.
    """
    return json.dumps(body, sort_keys=True, separators=(",", ":")).translate(_GO_ESCAPES).encode("ascii")


def _namespace(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("namespace") or "")
