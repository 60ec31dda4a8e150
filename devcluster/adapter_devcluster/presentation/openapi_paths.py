"""The ``paths`` of an OpenAPI v3 document: which operations a resource has, and with which parameters.

``kubectl`` finds a kind by the path of its resource, and reads from the patch operation whether the server
takes a query parameter (``fieldValidation``, ``dryRun``) and a strategic merge patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapter_devcluster.objects import Object
from adapter_devcluster.presentation.published_schemas import META, REFERENCE
from adapter_devcluster.resource_types import ResourceType, Subresource

Names = Mapping[tuple[str, str, str], str]

_TYPES: Final = {
    "allowWatchBookmarks": "boolean",
    "force": "boolean",
    "gracePeriodSeconds": "integer",
    "limit": "integer",
    "orphanDependents": "boolean",
    "sendInitialEvents": "boolean",
    "timeoutSeconds": "integer",
    "watch": "boolean",
}
_LIST: Final = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_WRITE: Final = ("dryRun", "fieldManager", "fieldValidation")
_DELETE: Final = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_MERGES: Final = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC: Final = "application/strategic-merge-patch+json"
# Verb: HTTP method, action, query parameters.
_COLLECTION: Final = {
    "list": ("get", "list", _LIST),
    "create": ("post", "post", _WRITE),
    "deletecollection": ("delete", "deletecollection", (*_LIST[1:-1], *_DELETE)),
}
_ITEM: Final = {
    "get": ("get", "get", ()),
    "create": ("post", "post", _WRITE),
    "update": ("put", "put", _WRITE),
    "patch": ("patch", "patch", (*_WRITE, "force")),
    "delete": ("delete", "delete", _DELETE),
}


def paths_of(found: ResourceType, names: Names, *, strategic: bool) -> dict[str, Object]:
    """Return the path items of a resource and its subresources. ``names`` are the schemas of the kinds."""
    prefix = f"/apis/{found.group}/{found.version}" if found.group else f"/api/{found.version}"
    scoped = f"{prefix}/namespaces/{{namespace}}" if found.namespaced else prefix
    kind = (found.group, found.version, found.kind)
    listed = (found.group, found.version, found.list_kind or f"{found.kind}List")
    collection = _operations(_COLLECTION, found.verbs, kind, names, strategic=strategic, listed=listed)
    item = _operations({k: v for k, v in _ITEM.items() if k != "create"}, found.verbs, kind, names, strategic=strategic)
    paths = {
        f"{scoped}/{found.plural}": _path_item(found, collection),
        f"{scoped}/{found.plural}/{{name}}": _path_item(found, item, named=True),
    }
    if found.namespaced and "list" in found.verbs:
        everywhere = {"get": collection["get"], "parameters": [_query("pretty")]}
        paths[f"{prefix}/{found.plural}"] = everywhere
    for sub in found.subresources:
        operations = _operations(_ITEM, sub.verbs, subresource_kind(found, sub), names, strategic=strategic)
        paths[f"{scoped}/{found.plural}/{{name}}/{sub.name}"] = _path_item(found, operations, named=True)
    return {path: one for path, one in paths.items() if len(one) > 1}


def subresource_kind(found: ResourceType, sub: Subresource) -> tuple[str, str, str]:
    """Return group, version and kind of what a subresource takes and answers."""
    return (sub.group, sub.version, sub.kind) if sub.version else (found.group, found.version, sub.kind)


def _path_item(found: ResourceType, operations: Object, *, named: bool = False) -> Object:
    parameters = [_query("pretty")]
    if found.namespaced:
        parameters.insert(0, _path("namespace"))
    if named:
        parameters.insert(0, _path("name"))
    return {**operations, "parameters": parameters}


def _operations(
    methods: Mapping[str, tuple[str, str, tuple[str, ...]]],
    verbs: tuple[str, ...],
    kind: tuple[str, str, str],
    names: Names,
    *,
    strategic: bool,
    listed: tuple[str, str, str] | None = None,
) -> Object:
    group, version, name = kind
    operations: Object = {}
    for verb, (method, action, parameters) in methods.items():
        if verb not in verbs:
            continue
        answer = f"{META}Status" if verb in ("delete", "deletecollection") else names.get(kind)
        if verb == "list" and listed:
            answer = names.get(listed)
        operations[method] = {
            "parameters": [_query(one) for one in parameters],
            **_request_body(verb, names.get(kind), strategic=strategic),
            "responses": {"200": {"description": "OK", **_content(("application/json",), answer)}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": name},
        }
    return operations


def _request_body(verb: str, schema: str | None, *, strategic: bool) -> Object:
    match verb:
        case "create" | "update":
            return {"requestBody": {"required": True, **_content(("*/*",), schema)}}
        case "patch":
            media = (*_MERGES, _STRATEGIC) if strategic else _MERGES
            return {"requestBody": {"required": True, **_content(media, f"{META}Patch")}}
        case "delete" | "deletecollection":
            return {"requestBody": _content(("*/*",), f"{META}DeleteOptions")}
    return {}


def _content(media: tuple[str, ...], schema: str | None) -> Object:
    """A kind that has no schema (what ``pods/log`` answers, say) is described by its media type alone."""
    found = {"schema": {"$ref": REFERENCE + schema}} if schema else {}
    return {"content": dict.fromkeys(media, found)}


def _query(name: str) -> Object:
    schema = {"type": _TYPES.get(name, "string"), "uniqueItems": True}
    return {"name": name, "in": "query", "schema": schema}


def _path(name: str) -> Object:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
