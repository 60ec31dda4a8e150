"""From a protobuf message to the JSON object that it stands for.

Helm and the typed commands of kubectl (``create namespace``, ``create token``, ``auth can-i``) send protobuf and
have no second try, though they take JSON for an answer. The names and types of fields are those of the
schemas; only the numbers are in ``fields.txt``. Format: ``k8s.io/apimachinery/pkg/runtime/serializer/protobuf``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from adapter_devcluster.apiextensions.go_time import SECOND, rfc3339, to_datetime
from adapter_devcluster.builtin.definitions import definition, definition_of, referenced
from adapter_devcluster.objects import Object, micro_timestamp
from adapter_devcluster.presentation.protobuf.wire import ProtobufError, fields, signed

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"

_MAGIC: Final = b"k8s\x00"
_API: Final = "io.k8s.api."
_MACHINERY: Final = "io.k8s.apimachinery.pkg."
_DELETE_OPTIONS: Final = f"{_MACHINERY}apis.meta.v1.DeleteOptions"


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a message. ``optional``: its zero value is not the same as being unset."""

    name: str
    optional: bool
    inlined: str = ""


def decode(body: bytes) -> Object:
    """Decode a request's body. Unknown fields are left out, as a server of another version does.

    Raises ProtobufError for what is no message, or one of a kind that is not known.
    """
    if not body.startswith(_MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix 'k8s'")
    envelope = dict(fields(body[len(_MAGIC) :]))
    type_meta = dict(fields(_bytes(envelope.get(1, b""))))
    api_version, kind = (_text(type_meta.get(number, b"")) for number in (1, 2))
    name = _DELETE_OPTIONS if kind == "DeleteOptions" else definition_of(api_version, kind)
    if name is None or name not in _messages():
        message = f'no kind "{kind}" is registered for version "{api_version}" in protobuf'
        raise ProtobufError(message)
    return {"kind": kind, "apiVersion": api_version, **_message(name, _bytes(envelope.get(2, b"")))}


@cache
def _messages() -> dict[str, dict[int, _Field]]:
    lines = files(__package__).joinpath("fields.txt").read_text().splitlines()
    parts = [line.split() for line in lines if not line.startswith("#")]
    return {_full(name): dict(_numbered(rest)) for name, *rest in parts}


def _full(name: str) -> str:
    return f"{_MACHINERY}apis.{name}" if name.startswith("meta.") else f"{_API}{name}"


def _numbered(rest: list[str]) -> Iterator[tuple[int, _Field]]:
    number = 0
    for text in rest:
        given, _, name = text.rpartition(":")
        number = int(given) if given else number + 1
        inlined = _full(name[1:]) if name.startswith("*") else ""
        yield number, _Field(name.rstrip("?"), name.endswith("?"), inlined)


def _message(name: str, raw: bytes) -> Object:
    found: Object = {}
    _fill(found, definition(name)["properties"], _messages()[name], raw)
    return found


def _fill(found: Object, properties: Object, known: dict[int, _Field], raw: bytes) -> None:
    for number, value in fields(raw):
        field = known.get(number)
        if field is None:
            continue
        if field.inlined:
            _fill(found, properties, _messages()[field.inlined], _bytes(value))
        else:
            _put(found, field, properties[field.name], value)


def _put(found: Object, field: _Field, schema: Object, value: int | bytes) -> None:
    kind = _kind(schema)
    if kind == "array":
        found.setdefault(field.name, []).append(_value(schema["items"], value))
    elif kind == "object" and "additionalProperties" in schema:
        entry = dict(fields(_bytes(value)))
        item = _value(schema["additionalProperties"], entry.get(2, b""))
        found.setdefault(field.name, {})[_text(entry.get(1, b""))] = item
    else:
        decoded = _value(schema, value)
        if decoded is not None and (field.optional or decoded not in ("", 0, {})):
            found[field.name] = decoded


def _value(schema: Object, value: int | bytes) -> Any:  # noqa: ANN401 - a JSON value of any kind
    name = referenced(schema)
    if name in _SPECIAL:
        return _SPECIAL[name](_bytes(value))
    if name is not None:
        return _message(name, _bytes(value))
    match _kind(schema):
        case "string":
            raw = _bytes(value)
            return base64.b64encode(raw).decode() if schema.get("format") == "byte" else _text(raw)
        case "boolean":
            return bool(value)
        case "array":
            # A list inside a map is a message of its own.
            return [_value(schema["items"], one) for _, one in fields(_bytes(value))]
    return signed(_number(value))


def _kind(schema: Object) -> str:
    """The JSON type of a schema, "" of a reference."""
    found = schema.get("type", "")
    return str(found[0] if isinstance(found, list) else found)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ProtobufError("wrong wireType")
    return value


def _number(value: int | bytes) -> int:
    """A map's entry leaves out what is zero."""
    if isinstance(value, bytes) and value:
        raise ProtobufError("wrong wireType")
    return value or 0 if isinstance(value, int) else 0


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("invalid UTF-8") from error


def _instant(raw: bytes) -> int | None:
    """Nanoseconds since 1970; None for an empty message, the zero time."""
    found = {number: signed(_number(value)) for number, value in fields(raw)}
    return found.get(1, 0) * SECOND + found.get(2, 0) if found else None


def _time(raw: bytes) -> str | None:
    found = _instant(raw)
    return None if found is None else rfc3339(found // SECOND * SECOND)


def _micro_time(raw: bytes) -> str | None:
    found = _instant(raw)
    return None if found is None else micro_timestamp(to_datetime(found))


def _quantity(raw: bytes) -> str:
    return _text(dict(fields(raw)).get(1, b""))


def _int_or_string(raw: bytes) -> int | str:
    found = dict(fields(raw))
    return _text(found.get(3, b"")) if found.get(1) else signed(_number(found.get(2, 0)))


def _raw_json(raw: bytes) -> Any:  # noqa: ANN401 - a JSON value of any kind
    content = _bytes(dict(fields(raw)).get(1, b""))
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError as error:
        raise ProtobufError(str(error)) from error


_SPECIAL: Final[dict[str | None, Callable[[bytes], Any]]] = {
    f"{_MACHINERY}api.resource.Quantity": _quantity,
    f"{_MACHINERY}apis.meta.v1.FieldsV1": _raw_json,
    f"{_MACHINERY}apis.meta.v1.MicroTime": _micro_time,
    f"{_MACHINERY}apis.meta.v1.Time": _time,
    f"{_MACHINERY}runtime.RawExtension": _raw_json,
    f"{_MACHINERY}util.intstr.IntOrString": _int_or_string,
}
