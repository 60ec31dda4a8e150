"""Defaulting: absent fields, and nulls that are not allowed, take their schema's default. In place.

The algorithm is that of ``apiextensions-apiserver/pkg/apiserver/schema/defaulting`` (v0.36). A default is
itself defaulted after it was put in. Run `pruning.prune_nulls` first: it removes the nulls that have none.
"""

from __future__ import annotations

from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.json_values import copy
from adapter_devcluster.apiextensions.tree import Node


def apply_defaults(value: Json, node: Node | None) -> None:
    """Fill in defaults, deeply. A field that is set (and not an unallowed null) is never changed."""
    if node is None:
        return
    if isinstance(value, dict):
        for name, sub in node.properties.items():
            if sub.default is not None and (name not in value or _unallowed_null(value[name], sub)):
                value[name] = copy(sub.default)
        for name in value:
            if name in node.properties:
                apply_defaults(value[name], node.properties[name])
            elif node.additional_node is not None:
                if _unallowed_null(value[name], node.additional_node):
                    value[name] = copy(node.additional_node.default)
                apply_defaults(value[name], node.additional_node)
    elif isinstance(value, list) and node.items is not None:
        for position, item in enumerate(value):
            if _unallowed_null(item, node.items):
                value[position] = copy(node.items.default)
            apply_defaults(value[position], node.items)


def _unallowed_null(value: Json, node: Node) -> bool:
    return value is None and not node.nullable
