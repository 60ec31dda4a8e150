"""``x-kubernetes-list-type``: items of a set, and keys of a map list, may stand only once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from adapter_devcluster.apiextensions.errors import FieldError, Path, child, duplicate, index, invalid
from adapter_devcluster.apiextensions.go_text import Json, json_text
from adapter_devcluster.apiextensions.tree import Node


def check_lists(value: Json, node: Node, path: Path = None) -> Iterator[FieldError]:
    """Find duplicates in the sets and map lists below a value. Each duplicate is reported once."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in node.properties:
                yield from check_lists(item, node.properties[name], child(path, name))
            elif node.additional_node is not None and not node.properties:
                yield from check_lists(item, node.additional_node, index(path, name))
    elif isinstance(value, list):
        if node.list_type == "set":
            for position in _repeated(value):
                yield duplicate(index(path, position), value[position])
        elif node.list_type == "map":
            yield from _check_map(value, node, path)
        if node.items is not None:
            for position, item in enumerate(value):
                yield from check_lists(item, node.items, index(path, position))


def _check_map(items: list[Json], node: Node, path: Path) -> Iterator[FieldError]:
    for position, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            detail = "must be an object for an array of list-type map"
            yield invalid(index(path, position), item, detail)
            return
    keys = [
        {key: item[key] for key in node.list_map_keys if key in item} if isinstance(item, dict) else {}
        for item in items
    ]
    for position in _repeated(keys):
        yield duplicate(index(path, position), keys[position])


def _repeated(items: list[Json] | list[dict[str, Json]]) -> Iterator[int]:
    """Positions of the second appearance of values; a value that stands thrice is still named once."""
    seen: dict[Hashable, int] = {}
    for position, item in enumerate(items):
        identity = _identity(item)
        seen[identity] = seen.get(identity, 0) + 1
        if seen[identity] == 2:
            yield position


def _identity(item: Json) -> Hashable:
    # Go compares scalars with their types: 1, 1.0 and true are three values.
    if isinstance(item, dict | list):
        return (dict, json_text(item))
    return (type(item), str(item))
