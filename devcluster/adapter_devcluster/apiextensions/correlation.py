"""Old and new values side by side, for transition rules and for ratcheting.

Ratcheting (GA in Kubernetes 1.33) lets an update keep an invalid value that it did not change. Values are
correlated through fields, map keys and the keys of map lists; items of other lists are not. The rules are
those of ``k8s.io/apiserver/pkg/cel/common`` (v0.36).
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Final

from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.json_values import deep_equal
from adapter_devcluster.apiextensions.pruning import field_node
from adapter_devcluster.apiextensions.tree import Node

# Objects arrive converted to one version, so a change of these two would not be visible.
TYPE_META: Final = frozenset({"apiVersion", "kind"})


class Correlation:
    """A place of the new object whose old value is known. Places that can't be correlated have none."""

    def __init__(self, new: Json, old: Json, node: Node) -> None:
        self.new = new
        self.old = old
        self.node = node

    @cached_property
    def unchanged(self) -> bool:
        """Whether old and new are the same; the order of a map list does not matter."""
        if isinstance(self.new, dict) and isinstance(self.old, dict):
            return self.new.keys() == self.old.keys() and all(map(self._field_unchanged, self.new))
        if isinstance(self.new, list) and isinstance(self.old, list) and self.node.list_type == "map":
            if len(self.new) != len(self.old):
                return False
            items = [self.item(position) for position in range(len(self.new))]
            return all(item is not None and item.unchanged for item in items)
        return deep_equal(self.new, self.old)

    def _field_unchanged(self, name: str) -> bool:
        found = self.field(name)
        return found is not None and found.unchanged

    def field(self, name: str) -> Correlation | None:
        """Return the place of a field, or of a map's value; None where either side lacks it."""
        if not isinstance(self.new, dict) or not isinstance(self.old, dict):
            return None
        node = field_node(self.node, name)
        if node is None or name not in self.new or name not in self.old:
            return None
        return Correlation(self.new[name], self.old[name], node)

    def item(self, position: int) -> Correlation | None:
        """Return the place of a map list's item, by its keys."""
        if not isinstance(self.new, list) or self.node.items is None:
            return None
        old = self._old_items.get(self.new[position]) if self.node.list_type == "map" else None
        return None if old is None else Correlation(self.new[position], old, self.node.items)

    @cached_property
    def _old_items(self) -> MapList:
        return MapList(self.old, self.node)


class MapList:
    """A map list's items by their keys; empty for every other value."""

    def __init__(self, items: Json, node: Node) -> None:
        self._keys = node.list_map_keys if node.list_type == "map" else ()
        self._items: dict[Hashable, Json] = {}
        for item in items if isinstance(items, list) else []:
            key = self._key(item)
            if key is not None:
                self._items.setdefault(key, item)

    def _key(self, item: Json) -> Hashable | None:
        if not isinstance(item, dict) or not self._keys:
            return None
        values = [item.get(key) for key in self._keys]
        if not all(isinstance(value, bool | int | float | str) for value in values):
            return None
        return tuple((type(value), value) for value in values)

    def get(self, item: Json) -> Json:
        """Return the item with the same keys, or None."""
        key = self._key(item)
        return None if key is None else self._items.get(key)
