"""OpenAPI v3 documents, one for each group and version: what ``kubectl explain`` shows and ``kubectl apply`` reads.

Custom resources are published from the schema of their definition, with ``apiVersion``, ``kind`` and
``metadata`` added (``apiextensions-apiserver/pkg/controller/openapi/builder``, v0.36).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from adapter_devcluster.builtin.definitions import VERSION, definition_of
from adapter_devcluster.objects import Object, section
from adapter_devcluster.presentation import openapi_paths
from adapter_devcluster.presentation.published_schemas import META, REFERENCE, description, with_references
from adapter_devcluster.presentation.versions import group_versions
from adapter_devcluster.resource_types import ResourceType

# What every kind's operations refer to.
_ALWAYS: Final = (f"{META}DeleteOptions", f"{META}ListMeta", f"{META}ObjectMeta", f"{META}Patch", f"{META}Status")


def openapi_index(types: Iterable[ResourceType], fingerprint: str) -> Object:
    """Return what ``/openapi/v3`` answers. ``fingerprint`` has to change whenever ``types`` or a schema does.

    Clients keep a document until its URL changes.
    """
    paths: Object = {}
    for group, versions in group_versions(types).items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(f"{fingerprint}\n{path}".encode()).hexdigest().upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
    return {"paths": paths}


def openapi_document(
    types: Iterable[ResourceType], group: str, version: str, crds: Iterable[Object] = ()
) -> Object | None:
    """Return what ``/openapi/v3/apis/<group>/<version>`` answers; None where that is not served.

    ``crds`` are all CustomResourceDefinitions. The answer shares parts with others: write it, but don't change it.
    """
    served = sorted((one for one in types if (one.group, one.version) == (group, version)), key=lambda one: one.plural)
    if not served:
        return None
    custom = _schemas(crds, group, version)
    schemas: dict[str, Object] = {}
    names: dict[tuple[str, str, str], str] = {}
    for one in served:
        if one.kind in custom:
            schemas |= _custom_schemas(one, custom[one.kind])
            names |= {(group, version, kind): custom_name(one, kind) for kind in (one.kind, _list_kind(one))}
    wanted = set(_ALWAYS)
    for key in _kinds(served):
        name = definition_of(f"{key[0]}/{key[1]}" if key[0] else key[1], key[2])
        if key not in names and name:
            names[key] = name
            wanted.add(name)
    paths = {
        path: item
        for one in served
        for path, item in openapi_paths.paths_of(one, names, strategic=one.kind not in custom).items()
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{VERSION}"},
        "paths": paths,
        "components": {"schemas": schemas | with_references(wanted)},
    }


def _schemas(crds: Iterable[Object], group: str, version: str) -> dict[str, Object]:
    """The ``openAPIV3Schema`` of each custom kind of a version."""
    return {
        crd["spec"]["names"]["kind"]: section(one, "schema", "openAPIV3Schema")
        for crd in crds
        if crd["spec"]["group"] == group
        for one in crd["spec"]["versions"]
        if one["name"] == version
    }


def _kinds(served: Iterable[ResourceType]) -> Iterable[tuple[str, str, str]]:
    for one in served:
        yield one.group, one.version, one.kind
        yield one.group, one.version, _list_kind(one)
        for sub in one.subresources:
            yield openapi_paths.subresource_kind(one, sub)


def _list_kind(found: ResourceType) -> str:
    return found.list_kind or f"{found.kind}List"


def custom_name(found: ResourceType, kind: str) -> str:
    """Return the name of a custom kind's schema: the group reversed, as in ``dev.example.v1.Widget``."""
    return ".".join([*reversed(found.group.split(".")), found.version, kind])


def _custom_schemas(found: ResourceType, raw: Object) -> dict[str, Object]:
    name, list_kind = custom_name(found, found.kind), _list_kind(found)
    type_meta = {
        field: {"type": "string", "description": description("io.k8s.api.core.v1.Pod", field)}
        for field in ("apiVersion", "kind")
    }
    metadata = {
        "description": description("io.k8s.api.core.v1.Pod", "metadata"),
        "allOf": [{"$ref": f"{REFERENCE}{META}ObjectMeta"}],
    }
    schema = {
        "type": "object",
        **raw,
        "properties": {**(raw.get("properties") or {}), **type_meta, "metadata": metadata},
        "x-kubernetes-group-version-kind": [_gvk(found, found.kind)],
    }
    items = {"type": "array", "description": f"List of {found.plural}.", "items": {"$ref": REFERENCE + name}}
    list_meta = {"allOf": [{"$ref": f"{REFERENCE}{META}ListMeta"}]}
    list_schema = {
        "type": "object",
        "description": f"{list_kind} is a list of {found.kind}",
        "required": ["items"],
        "properties": {**type_meta, "metadata": list_meta, "items": items},
        "x-kubernetes-group-version-kind": [_gvk(found, list_kind)],
    }
    return {name: schema, custom_name(found, list_kind): list_schema}


def _gvk(found: ResourceType, kind: str) -> Object:
    return {"group": found.group, "version": found.version, "kind": kind}
