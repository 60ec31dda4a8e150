"""Tables, as ``kubectl get`` asks for them, and objects cut down to their metadata.

Sources: ``k8s.io/apiserver/pkg/endpoints/handlers/response.go`` and ``.../registry/rest/table.go`` (v0.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, Literal

from adapter_devcluster.apiextensions import Columns
from adapter_devcluster.objects import Object, meta
from adapter_devcluster.presentation.columns import autoscaling, cluster, core, network, pods, storage, workloads
from adapter_devcluster.presentation.columns.base import NAME, Cell, Column, KindColumns, name
from adapter_devcluster.presentation.published_schemas import META
from adapter_devcluster.resource_types import ResourceType

IncludeObject = Literal["None", "Metadata", "Object"]


def _plain_cells(obj: Object, _now: int) -> list[Cell]:
    return [name(obj), meta(obj).get("creationTimestamp")]


# For kinds that declare no columns: the moment of creation, not the age.
_PLAIN: Final = KindColumns(
    (NAME, Column("Created At", (f"{META}ObjectMeta", "creationTimestamp"), "date")), _plain_cells
)
_KINDS: Final[Mapping[tuple[str, str], KindColumns]] = {
    **autoscaling.COLUMNS,
    **cluster.COLUMNS,
    **core.COLUMNS,
    **network.COLUMNS,
    **pods.COLUMNS,
    **storage.COLUMNS,
    **workloads.COLUMNS,
}


def table(
    resource_type: ResourceType,
    objects: Iterable[Object],
    *,
    now_ns: int,
    resource_version: str,
    columns: Columns | None = None,
    include_object: IncludeObject = "Metadata",
    continue_token: str = "",
    remaining: int | None = None,
    no_headers: bool = False,
    version: str = "v1",
) -> Object:
    """Return a Table with one row for each object.

    ``columns`` are those of a custom resource, ``version`` that of ``meta.k8s.io``. ``now_ns`` is in
    nanoseconds since 1970. Without headers, ``columnDefinitions`` is null: a watch sends them once.
    """
    kind = (resource_type.group, resource_type.kind)
    found = _KINDS.get(kind, _PLAIN)
    rows = []
    for obj in objects:
        cells = columns.cells(obj, now_ns) if columns else found.cells(obj, now_ns)
        row: Object = {"cells": cells, "object": _row_object(obj, include_object, version)}
        if columns is None and found.conditions and (conditions := found.conditions(obj)):
            row["conditions"] = conditions
        rows.append(row)
    definitions = columns.definitions() if columns else _definitions(kind)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": list_meta(resource_version, continue_token, remaining),
        "columnDefinitions": None if no_headers else definitions,
        "rows": rows,
    }


@cache
def _definitions(kind: tuple[str, str]) -> list[Object]:
    return [column.definition() for column in _KINDS.get(kind, _PLAIN).columns]


def _row_object(obj: Object, include_object: IncludeObject, version: str) -> Object | None:
    match include_object:
        case "None":
            return None
        case "Object":
            return obj
        case _:
            return partial_metadata(obj, version=version)


def list_meta(resource_version: str, continue_token: str, remaining: int | None) -> Object:
    """Return the metadata of a list, or of a page of one."""
    found: Object = {"resourceVersion": resource_version}
    if continue_token:
        found["continue"] = continue_token
    if remaining is not None:
        found["remainingItemCount"] = remaining
    return found


def partial_metadata(obj: Object, *, version: str = "v1") -> Object:
    """Return an object's metadata alone, as ``as=PartialObjectMetadata`` asks for it."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta(obj)}


def partial_metadata_list(
    objects: Iterable[Object],
    *,
    resource_version: str,
    continue_token: str = "",
    remaining: int | None = None,
    version: str = "v1",
) -> Object:
    """Return a list of objects cut down to their metadata, as ``as=PartialObjectMetadataList`` asks for it."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": list_meta(resource_version, continue_token, remaining),
        "items": [partial_metadata(obj, version=version) for obj in objects],
    }
