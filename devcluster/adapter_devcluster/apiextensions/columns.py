"""``additionalPrinterColumns``: the columns and rows of a Table, as ``kubectl get`` asks for them.

Source: ``apiextensions-apiserver/pkg/registry/customresource/tableconvertor`` (v0.36). Wrapping rows into a
Table (with the object's metadata beside the cells) is the server's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.apiextensions.errors import SchemaError, invalid
from adapter_devcluster.apiextensions.go_text import INT64_MAX, INT64_MIN, Json, json_text, text
from adapter_devcluster.apiextensions.json_path import JsonPath, JsonPathError
from adapter_devcluster.apiextensions.object_meta import object_field, text_field

_NAME_DESCRIPTION = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may "
    "allow a client to request the generation of an appropriate name automatically. Name is primarily intended "
    "for creation idempotence and configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its definition as a Table has it, and where its cells come from."""

    name: str
    type: str
    path: JsonPath
    format: str = ""
    description: str = ""
    priority: int = 0

    def definition(self) -> dict[str, Json]:
        """Return the entry of ``columnDefinitions``."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description
            or f"Custom resource definition column (in JSONPath format): {self.path.text}",
            "priority": self.priority,
        }

    def cell(self, obj: Json, now: int) -> Json:
        """Return the cell of an object, None where it has no value of the column's type.

        ``now`` is in nanoseconds since 1970; a date becomes an age.
        """
        try:
            found = self.path.find(obj)
        except JsonPathError:
            return None
        return _cell(self.type, found[0], now) if found else None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a version of a resource. The name always comes first."""

    additional: tuple[Column, ...]

    @classmethod
    def compile(cls, version: Mapping[str, Json]) -> Columns:
        """Read a version's ``additionalPrinterColumns``; without any, there is the age.

        Raises SchemaError for a path that can't be read.
        """
        raw = version.get("additionalPrinterColumns")
        if not isinstance(raw, list) or not raw:
            raw = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
        return cls(tuple(_column(one, position) for position, one in enumerate(raw) if isinstance(one, dict)))

    def definitions(self) -> list[dict[str, Json]]:
        """Return ``columnDefinitions``."""
        name: dict[str, Json] = {
            "name": "Name",
            "type": "string",
            "format": "name",
            "description": _NAME_DESCRIPTION,
            "priority": 0,
        }
        return [name, *(column.definition() for column in self.additional)]

    def cells(self, obj: Mapping[str, Json], now: int) -> list[Json]:
        """Return the cells of one object. ``now`` is in nanoseconds since 1970."""
        name = text_field(object_field(obj, "metadata"), "name")
        return [name, *(column.cell(obj, now) for column in self.additional)]


def _column(raw: Mapping[str, Json], position: int) -> Column:
    json_path = text_field(raw, "jsonPath")
    try:
        path = JsonPath(json_path)
    except JsonPathError as error:
        at = f"additionalPrinterColumns[{position}].jsonPath"
        raise SchemaError([invalid(at, json_path, str(error))]) from error
    priority = raw.get("priority")
    return Column(
        name=text_field(raw, "name"),
        type=text_field(raw, "type"),
        path=path,
        format=text_field(raw, "format"),
        description=text_field(raw, "description"),
        priority=priority if isinstance(priority, int) else 0,
    )


def _cell(kind: str, value: Json, now: int) -> Json:
    if kind == "string":
        return _text(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind, value:
        case "integer", int() | float() if number:
            whole = int(value)
            return whole if INT64_MIN <= whole <= INT64_MAX else None
        case "number", int() | float() if number:
            return float(value)
        case "date", str():
            return _age(value, now)
    return value if kind == "boolean" and isinstance(value, bool) else None


def _text(value: Json) -> str:
    """A value as ``kubectl`` prints it: strings bare, lists and objects as JSON."""
    if value is None:
        return "null"
    return json_text(value) if isinstance(value, list | dict) else text(value)


def _age(value: str, now: int) -> str:
    try:
        then = go_time.parse_date_time(value, zone_required=True)
    except ValueError:
        return "<invalid>"
    return go_time.human_duration(now - then)
