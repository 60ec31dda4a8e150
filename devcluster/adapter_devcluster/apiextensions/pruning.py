"""Pruning: unknown fields go, and so do nulls that a schema does not allow. Values are changed in place.

The algorithm is that of ``apiextensions-apiserver/pkg/apiserver/schema/{pruning,defaulting}`` (v0.36).
"""

from __future__ import annotations

from adapter_devcluster.apiextensions.errors import Path, child, index
from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.tree import Node

_META_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


def prune(value: Json, node: Node, *, is_root: bool = True) -> list[str]:
    """Remove what the schema does not know, and return the sorted paths of what went.

    At the root of a resource, and of an embedded one, ``apiVersion``, ``kind`` and ``metadata`` are left
    alone. With ``x-kubernetes-preserve-unknown-fields`` everything below stays, up to the next place that
    names its properties.
    """
    pruned: list[str] = []
    _prune(value, node, None, pruned, is_root=is_root)
    return sorted(pruned)


def _prune(value: Json, node: Node | None, path: Path, pruned: list[str], *, is_root: bool = False) -> None:
    if node is not None and node.preserve_unknown:
        _keep(value, node, path, pruned, is_root=is_root)
    elif isinstance(value, dict):
        _prune_object(value, node, path, pruned, is_root=is_root)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _prune(item, node.items if node else None, index(path, position), pruned)


def _prune_object(value: dict[str, Json], node: Node | None, path: Path, pruned: list[str], *, is_root: bool) -> None:
    for name in list(value):
        at = child(path, name)
        if node is None:
            pruned.append(at)
            del value[name]
        elif name in _META_FIELDS and (is_root or node.embedded):
            continue
        elif name in node.properties:
            _prune(value[name], node.properties[name], at, pruned)
        elif node.additional is not None:
            _prune(value[name], node.additional_node, at, pruned)
        else:
            pruned.append(at)
            del value[name]


def _keep(value: Json, node: Node, path: Path, pruned: list[str], *, is_root: bool = False) -> None:
    """Walk a place that preserves unknown fields, for the known ones below it."""
    if isinstance(value, dict):
        for name, item in value.items():
            at = child(path, name)
            if name in _META_FIELDS and (is_root or node.embedded):
                continue
            if name in node.properties:
                _prune(item, node.properties[name], at, pruned)
            elif node.additional is not None:
                _prune(item, node.additional_node, at, pruned)
    elif isinstance(value, list) and node.items is not None:
        for position, item in enumerate(value):
            _keep(item, node.items, index(path, position), pruned)


def prune_nulls(value: Json, node: Node | None) -> None:
    """Drop nulls from objects where the schema neither allows them nor has a default to put in their place."""
    if isinstance(value, dict):
        for name in list(value):
            sub = field_node(node, name)
            if value[name] is None and sub is not None and not sub.nullable and sub.default is None:
                del value[name]
            else:
                prune_nulls(value[name], sub)
    elif isinstance(value, list):
        for item in value:
            prune_nulls(item, node.items if node else None)


def field_node(node: Node | None, name: str) -> Node | None:
    """Return the schema of a field, or of a map's value."""
    if node is None:
        return None
    return node.properties.get(name, node.additional_node)
