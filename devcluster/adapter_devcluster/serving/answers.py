"""Writing answers: objects, lists, Tables, partial metadata, errors; as JSON or YAML."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, Final

import orjson
import yaml
from aiohttp import web

from adapter_devcluster.api.reads import Page
from adapter_devcluster.api.registry import Served
from adapter_devcluster.api.server import loaded
from adapter_devcluster.objects import Object, meta
from adapter_devcluster.presentation.negotiation import JSON, YAML, Presentation
from adapter_devcluster.presentation.tables import (
    IncludeObject,
    list_meta,
    partial_metadata,
    partial_metadata_list,
    table,
)
from adapter_devcluster.statuses import bad_request
from adapter_devcluster.storage import Item

NO_CACHE: Final = {"Cache-Control": "no-cache, private"}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WARNING_LIMIT: Final = 256


def include_object(text: str) -> IncludeObject:
    """Read the parameter ``includeObject`` of Tables. Raises StatusError (400)."""
    match text:
        case "" | "Metadata":
            return "Metadata"
        case "None":
            return "None"
        case "Object":
            return "Object"
    raise bad_request(f'unrecognized includeObject value: "{text}"')


def answer(code: int, body: bytes, media: str = JSON, warnings: Sequence[str] = ()) -> web.Response:
    """Build a response from bytes of JSON. ``warnings`` go into ``Warning`` headers, as kubectl prints them."""
    if media == YAML:
        body = yaml.safe_dump(orjson.loads(body), sort_keys=False).encode()
    response = web.Response(
        status=code, body=body, headers={"Content-Type": media, "Cache-Control": "no-cache, private"}
    )
    for text in dict.fromkeys(warnings):
        shown = _CONTROL.sub(" ", text[:_WARNING_LIMIT]).replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{shown}"')
    return response


def json_answer(code: int, value: Any, media: str = JSON, warnings: Sequence[str] = ()) -> web.Response:  # noqa: ANN401 - any JSON value
    """Build a response from a JSON value."""
    return answer(code, orjson.dumps(value), media, warnings)


def status_answer(status: Object) -> web.Response:
    """Build the response of an error."""
    response = json_answer(int(status["code"]), status)
    seconds = (status.get("details") or {}).get("retryAfterSeconds")
    if seconds:
        response.headers["Retry-After"] = str(seconds)
    return response


def item_answer(
    code: int, served: Served, item: Item, form: Presentation, shown: IncludeObject, warnings: Sequence[str] = ()
) -> web.Response:
    """Build the response that holds one object, in the form that was asked for."""
    if form.view == "Table":
        found = _table(served, [item.object], shown, resource_version=_revision(item), version=form.version)
        return json_answer(code, found, form.media, warnings)
    if form.view == "PartialObjectMetadata":
        return json_answer(code, partial_metadata(item.object, version=form.version), form.media, warnings)
    return answer(code, item.json, form.media, warnings)


def list_answer(served: Served, page: Page, form: Presentation, shown: IncludeObject) -> web.Response:
    """Build the response that holds a list, or a page of it."""
    items = [loaded(served, item) for item in page.items]
    listed: dict[str, Any] = {
        "resource_version": str(page.revision),
        "continue_token": page.continue_token,
        "remaining": page.remaining,
        "version": form.version or "v1",
    }
    if form.view == "Table":
        return json_answer(200, _table(served, [item.object for item in items], shown, **listed), form.media)
    if form.view == "PartialObjectMetadataList":
        return json_answer(200, partial_metadata_list((item.object for item in items), **listed), form.media)
    kind = served.type.list_kind or f"{served.type.kind}List"
    metadata = list_meta(str(page.revision), page.continue_token, page.remaining)
    head = orjson.dumps({"kind": kind, "apiVersion": served.type.api_version, "metadata": metadata})
    type_meta = b"" if served.custom else type_prefix(served)
    body = b",".join([_without_type(item.json, type_meta) for item in items])
    return answer(200, head[:-1] + b',"items":[' + body + b"]}", form.media)


def type_prefix(served: Served) -> bytes:
    """How the JSON of each object of a type begins."""
    return orjson.dumps({"kind": served.type.kind, "apiVersion": served.type.api_version})[:-1] + b","


def _without_type(raw: bytes, prefix: bytes) -> bytes:
    """Items of built-in lists don't say what they are; those of custom resources do."""
    return b"{" + raw[len(prefix) :] if prefix and raw.startswith(prefix) else raw


def event_json(
    served: Served, kind: str, item: Item, form: Presentation, shown: IncludeObject, *, headers: bool = True
) -> bytes:
    """Write one event of a watch, as a line. ``headers``: a Table says which columns it has, as the first one does."""
    if form.view == "Table":
        listed = {"resource_version": _revision(item), "version": form.version, "no_headers": not headers}
        body = orjson.dumps(_table(served, [item.object], shown, **listed))
    elif form.view in ("PartialObjectMetadata", "PartialObjectMetadataList"):
        body = orjson.dumps(partial_metadata(item.object, version=form.version))
    else:
        body = item.json
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


def _revision(item: Item) -> str:
    """An object's resource version, "" for what is not stored."""
    return str(meta(item.object).get("resourceVersion", ""))


def _table(served: Served, objects: list[Object], shown: IncludeObject, **more: Any) -> Object:  # noqa: ANN401 - fields of table
    return table(served.type, objects, include_object=shown, columns=served.columns, now_ns=time.time_ns(), **more)
