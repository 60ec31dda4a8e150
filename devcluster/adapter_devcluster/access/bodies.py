"""Reading the bodies of reviews and token requests, which no schema has checked.

A value of a wrong type is refused with 400, in the words of the API server's JSON decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions.go_text import kind
from adapter_devcluster.objects import Object
from adapter_devcluster.statuses import StatusError, bad_request

_GO_NAMES: Final = {"boolean": "bool", "integer": "number"}


class Body:
    """A part of a body: ``kind`` is that of the whole, ``path`` leads to this part."""

    def __init__(self, kind: str, fields: Mapping[str, Any], path: str = "") -> None:
        self.kind = kind
        self.fields = fields
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def __getitem__(self, name: str) -> Body:
        """Return a nested object; an empty one where there is none. Raises StatusError (400), like all here."""
        return Body(self.kind, self._read(name, dict, {}, "object"), f"{self._path}.{name}" if self._path else name)

    def text(self, name: str) -> str:
        """Return a string, "" where there is none."""
        found: str = self._read(name, str, "", "string")
        return found

    def number(self, name: str, default: int) -> int:
        """Return a whole number."""
        found = self._read(name, int, default, "int64")
        if isinstance(found, bool):
            raise self._wrong(name, found, "int64")
        return int(found)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        found = self._read(name, list, [], "[]string")
        for one in found:
            if not isinstance(one, str):
                raise self._wrong(name, one, "string")
        return tuple(found)

    def lists(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return a map of lists of strings."""
        below = self[name]
        return {key: below.texts(key) for key in below.fields}

    def _read(self, name: str, wanted: type, default: Any, go_type: str) -> Any:  # noqa: ANN401 - any JSON value
        found = self.fields.get(name)
        if found is None:
            return default
        if not isinstance(found, wanted):
            raise self._wrong(name, found, go_type)
        return found

    def _wrong(self, name: str, found: object, go_type: str) -> StatusError:
        at = f"{self._path}.{name}" if self._path else name
        shown = _GO_NAMES.get(kind(found), kind(found))
        return bad_request(
            f'{self.kind} in version "v1" cannot be handled as a {self.kind}: '
            f"json: cannot unmarshal {shown} into Go struct field {self.kind}.{at} of type {go_type}"
        )


def without_empty(fields: Mapping[str, Any]) -> Object:
    """Leave out what is None, "", false or empty, as ``omitempty`` does."""
    return {name: value for name, value in fields.items() if value}
