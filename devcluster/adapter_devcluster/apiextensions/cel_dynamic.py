"""JSON values without a schema, as expressions see them: what a policy calls ``object`` or ``params``.

Unlike values that a schema describes, a null is a value and every key can be reached, by its own name. Source:
how ``cel-go`` v0.26 ``common/types`` adapts Go's ``map[string]interface{}`` and ``[]interface{}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adapter_devcluster.apiextensions.cel_values import ListValue, MapValue, Value
from adapter_devcluster.apiextensions.go_text import Json


def dynamic(value: Json) -> Value:
    """Read a JSON value. What is below it is read when it is asked for."""
    match value:
        case dict():
            return DynamicMap(value)
        case list():
            return DynamicList(value)
    return value


class DynamicMap(MapValue):
    """A JSON object."""

    def __init__(self, fields: Mapping[str, Json]) -> None:
        super().__init__({})
        self.fields = fields

    def __len__(self) -> int:
        return len(self.fields)

    def __iter__(self) -> Iterator[Value]:
        return iter(self.fields)

    def find(self, key: Value) -> tuple[bool, Value]:
        """Look a key up. One that is no string is not there."""
        if not isinstance(key, str) or key not in self.fields:
            return False, None
        return True, dynamic(self.fields[key])


class DynamicList(ListValue):
    """A JSON array."""

    def __init__(self, items: Sequence[Json]) -> None:
        super().__init__(items)

    def __iter__(self) -> Iterator[Value]:
        return map(dynamic, self._items)

    def at(self, position: int) -> Value:
        """Return an item."""
        return dynamic(self._items[position])
