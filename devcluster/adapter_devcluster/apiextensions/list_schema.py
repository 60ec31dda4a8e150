"""``x-kubernetes-list-type`` and ``x-kubernetes-map-type`` in a schema: what they demand of it.

Source: ``apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`` (v0.36).
"""

from __future__ import annotations

from collections.abc import Iterator

from adapter_devcluster.apiextensions.errors import (
    FieldError,
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from adapter_devcluster.apiextensions.tree import Node

_LIST_TYPES = ("atomic", "set", "map")
_MAP_TYPES = ("atomic", "granular")


def check_list_types(node: Node, path: str) -> Iterator[FieldError]:
    """Check the list and map types of one place of a schema."""
    if node.map_type is not None:
        yield from _wanted_type(node, "object", "x-kubernetes-map-type", path)
        if node.map_type not in _MAP_TYPES:
            yield not_supported(child(path, "x-kubernetes-map-type"), node.map_type, _MAP_TYPES)
    if node.list_type is not None:
        yield from _wanted_type(node, "array", "x-kubernetes-list-type", path)
        if node.type == "array" and node.list_type == "set" and node.items is not None:
            yield from _set_items(node.items, child(path, "items"))
        if node.list_type not in _LIST_TYPES:
            yield not_supported(child(path, "x-kubernetes-list-type"), node.list_type, _LIST_TYPES)
    yield from _map_keys(node, path)
    if node.list_type in {"set", "map"} and node.items is not None:
        yield from _item_nullability(node, node.items, child(path, "items"))


def _wanted_type(node: Node, wanted: str, keyword: str, path: str) -> Iterator[FieldError]:
    if node.type == wanted:
        return
    at, detail = child(path, "type"), f"must be {wanted} if {keyword} is specified"
    yield invalid(at, node.type, detail) if node.type else required(at, detail)


def _set_items(items: Node, path: str) -> Iterator[FieldError]:
    detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if items.type == "array" and items.list_type not in {None, "atomic"}:
        yield invalid(child(path, "x-kubernetes-list-type"), items.list_type, detail)
    elif items.type == "object" and items.map_type != "atomic":
        yield invalid(child(path, "x-kubernetes-map-type"), items.list_type, detail)


def _map_keys(node: Node, path: str) -> Iterator[FieldError]:
    at, type_at = child(path, "x-kubernetes-list-map-keys"), child(path, "x-kubernetes-list-type")
    if node.list_map_keys and node.list_type != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield required(type_at, detail) if node.list_type is None else invalid(type_at, node.list_type, detail)
    if node.list_type != "map":
        return
    if not node.list_map_keys:
        yield required(at, "must not be empty if x-kubernetes-list-type is map")
    if node.items is None:
        yield required(child(path, "items"), "must have a schema if x-kubernetes-list-type is map")
    elif node.items.type != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(child(child(path, "items"), "type"), node.items.type, detail)
    else:
        yield from _keys_of(node, node.items, at, child(child(path, "items"), "properties"))


def _keys_of(node: Node, items: Node, path: str, properties: str) -> Iterator[FieldError]:
    keys = list(node.list_map_keys)
    for position, key in enumerate(keys):
        if key not in items.properties:
            yield invalid(path, keys, "entries must all be names of item properties")
        elif items.properties[key].type in {"array", "object"}:
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid(child(index(properties, key), "type"), items.type, detail)
        if key in keys[:position]:
            yield invalid(path, keys, "must not contain duplicate entries")


def _item_nullability(node: Node, items: Node, path: str) -> Iterator[FieldError]:
    if items.nullable:
        detail = f"cannot be nullable when x-kubernetes-list-type is {node.list_type}"
        yield forbidden(child(path, "nullable"), detail)
    if node.list_type != "map":
        return
    for key in node.list_map_keys:
        sub = items.properties.get(key)
        if sub is None:
            continue
        at = index(child(path, "properties"), key)
        if key not in items.required and sub.default is None:
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
            yield required(child(at, "default"), detail)
        if sub.nullable:
            detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            yield forbidden(child(at, "nullable"), detail)
