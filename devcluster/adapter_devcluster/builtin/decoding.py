"""JSON decoded into Kubernetes' Go types, and written as Go writes them again.

Wrong types are refused, unknown fields and nulls go, empty fields go where their tags say so, quantities and
times take their canonical form. A decoder is made once for each definition, out of its schema and of
`go_types`. It returns fresh values.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.apiextensions.go_text import kind
from adapter_devcluster.apiextensions.object_meta import MetaError, decode_meta
from adapter_devcluster.builtin import go_types
from adapter_devcluster.builtin.definitions import META, definition, referenced
from adapter_devcluster.builtin.quantities import QuantityError, canonical
from adapter_devcluster.objects import Object, copy

# Takes a value that is not None and a list for the paths of unknown fields below it.
Decode: TypeAlias = Callable[[Any, list[str]], Any]

_INT32: Final = (-(2**31), 2**31 - 1)
_INT64: Final = (-(2**63), 2**63 - 1)
_MACHINERY: Final = "io.k8s.apimachinery.pkg."
_EXTENSIONS: Final = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_MICRO_DIGITS: Final = 6
# The selector of workloads is required, but a pointer: it does not come from nothing.
_SELECTOR: Final = ("selector", f"{_MACHINERY}apis.meta.v1.LabelSelector")


class DecodeError(ValueError):
    """A value of a wrong type or form. ``str()`` is what Go's decoder says."""

    def __init__(self, problem: str, go_type: str = "") -> None:
        self._problem = problem
        self._type = go_type
        self._struct = ""
        self._path: list[str] = []
        super().__init__(problem)

    def inside(self, struct: str, field: str) -> None:
        """Note the struct and the field around the value, from the inside out."""
        self._struct = self._struct or struct
        self._path.insert(0, field)

    def __str__(self) -> str:
        if not self._type:
            return self._problem
        where = f"struct field {self._struct}.{'.'.join(self._path)}" if self._path else "value"
        return f"json: cannot unmarshal {self._problem} into Go {where} of type {self._type}"


def _mismatch(value: object, go_type: str) -> DecodeError:
    found = {"boolean": "bool", "integer": "number"}.get(kind(value), kind(value))
    return DecodeError(f"number {value}" if isinstance(value, float) else found, go_type)


@dataclass(frozen=True, slots=True)
class _Field:
    decode: Decode
    # Left out when it is empty.
    omit: bool


class Struct:
    """The decoder of one definition."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._short = name.rpartition(".")[2]
        schema = definition(name)
        pointers = go_types.pointers(name)
        required = frozenset(schema.get("required", ())) - go_types.omitted(name)
        shown = required | go_types.always_shown(name)
        self._fields: dict[str, _Field] = {}
        self._shown: list[tuple[str, Callable[[], Any]]] = []
        has_kind = "x-kubernetes-group-version-kind" in schema
        for field, found in schema.get("properties", {}).items():
            by_value = field in shown or referenced(found) == META or (has_kind and field in ("spec", "status"))
            # What has a type of its own is a pointer where it isn't a value.
            omit = not (by_value or field in pointers or referenced(found))
            self._fields[field] = _Field(_decoder(found), omit)
            if by_value and (field, referenced(found)) != _SELECTOR:
                self._shown.append((field, _null if field in pointers else _zero(found)))

    def __call__(self, value: Any, unknown: list[str]) -> Object:  # noqa: ANN401 - any JSON value
        """Decode a value. Raises DecodeError."""
        if type(value) is not dict:
            raise _mismatch(value, f"v1.{self._short}")
        fields = self._fields
        decoded: Object = {}
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                unknown.append(name)
                continue
            if item is None:
                continue
            count = len(unknown)
            try:
                found = field.decode(item, unknown)
            except DecodeError as error:
                error.inside(self._short, name)
                raise
            if len(unknown) != count:
                _prefix(unknown, count, name)
            if found or not field.omit:
                decoded[name] = found
        for name, zero in self._shown:
            if name not in decoded:
                decoded[name] = zero()
        return decoded

    def zero(self) -> Object:
        """Return what an empty struct is served as."""
        return {name: zero() for name, zero in self._shown}


@cache
def struct(name: str) -> Struct:
    """Return the decoder of a definition. Raises KeyError for a name that is none."""
    return Struct(name)


def _prefix(unknown: list[str], start: int, name: str) -> None:
    for position in range(start, len(unknown)):
        below = unknown[position]
        unknown[position] = f"{name}{below}" if below.startswith("[") else f"{name}.{below}"


def _is_struct(schema: Mapping[str, Any]) -> bool:
    name = referenced(schema)
    return name is not None and name not in _SPECIAL


def _zero(schema: Mapping[str, Any]) -> Callable[[], Any]:
    """Return what makes the zero value of a field that always shows."""
    name = referenced(schema)
    if name == META:
        return dict
    if name is not None and name not in _SPECIAL:
        return lambda: struct(name).zero()
    empty: Any = _ZEROS.get(name or "", None)
    if name is None:
        empty = {"string": "", "integer": 0, "boolean": False}.get(_type_of(schema))
    return lambda: empty


def _null() -> None:
    """A pointer to nothing."""


def _type_of(schema: Mapping[str, Any]) -> str:
    found = schema.get("type")
    return str(found[0] if isinstance(found, list) else found)


def _decoder(schema: Mapping[str, Any]) -> Decode:
    name = referenced(schema)
    if name is not None:
        return _SPECIAL[name] if name in _SPECIAL else _lazily(name)
    match _type_of(schema):
        case "array":
            return _list_of(schema["items"])
        case "object":
            return _map_of(schema["additionalProperties"]) if "additionalProperties" in schema else _raw
        case "integer":
            return _integer(schema.get("format", "int64"))
        case "string" if schema.get("format") == "byte":
            return _bytes
        case found:
            return {"string": _text, "boolean": _boolean, "number": _number}[found]


def _lazily(name: str) -> Decode:
    """Decode with a struct that is made when it is first met: types may contain themselves."""

    def decode(value: Any, unknown: list[str]) -> Any:  # noqa: ANN401 - any JSON value
        return struct(name)(value, unknown)

    return decode


def _list_of(schema: Mapping[str, Any]) -> Decode:
    item, zero = _decoder(schema), _zero(schema)

    def decode(value: Any, unknown: list[str]) -> Any:  # noqa: ANN401 - any JSON value
        if type(value) is not list:
            raise _mismatch(value, "[]struct" if _is_struct(schema) else f"[]{_type_of(schema)}")
        items = []
        for position, one in enumerate(value):
            count = len(unknown)
            items.append(zero() if one is None else item(one, unknown))
            if len(unknown) != count:
                _prefix(unknown, count, f"[{position}]")
        # An empty list is nil once it was stored; where that shows, it shows as null.
        return items or None

    return decode


def _map_of(schema: Mapping[str, Any]) -> Decode:
    item, zero = _decoder(schema), _zero(schema)

    def decode(value: Any, unknown: list[str]) -> Any:  # noqa: ANN401 - any JSON value
        if type(value) is not dict:
            raise _mismatch(value, "map[string]struct" if _is_struct(schema) else f"map[string]{_type_of(schema)}")
        return {name: zero() if one is None else item(one, unknown) for name, one in value.items()} or None

    return decode


def _text(value: Any, _: list[str]) -> str:  # noqa: ANN401 - any JSON value
    if type(value) is not str:
        raise _mismatch(value, "string")
    return value


def _boolean(value: Any, _: list[str]) -> bool:  # noqa: ANN401 - any JSON value
    if type(value) is not bool:
        raise _mismatch(value, "bool")
    return value


def _number(value: Any, _: list[str]) -> float:  # noqa: ANN401 - any JSON value
    if type(value) not in (int, float):
        raise _mismatch(value, "float64")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _integer(size: str) -> Decode:
    low, high = _INT32 if size == "int32" else _INT64

    def decode(value: Any, _: list[str]) -> int:  # noqa: ANN401 - any JSON value
        if type(value) is not int:
            raise _mismatch(value, size)
        if not low <= value <= high:
            raise DecodeError(f"number {value}", size)
        return value

    return decode


def _bytes(value: Any, _: list[str]) -> str:  # noqa: ANN401 - any JSON value
    if type(value) is not str:
        raise _mismatch(value, "[]uint8")
    try:
        found = base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError("illegal base64 data at input byte 0") from error
    return base64.b64encode(found).decode()


def _quantity(value: Any, _: list[str]) -> str:  # noqa: ANN401 - any JSON value
    if type(value) not in (str, int, float):
        raise _mismatch(value, "resource.Quantity")
    try:
        return canonical(str(value).strip())
    except QuantityError as error:
        raise DecodeError(str(error)) from error


def _int_or_string(value: Any, _: list[str]) -> int | str:  # noqa: ANN401 - any JSON value
    if type(value) is str:
        return value
    found: int = _integer("int32")(value, [])
    return found


def _time(value: Any, _: list[str]) -> str | None:  # noqa: ANN401 - any JSON value
    """Read metav1.Time: whole seconds in UTC are served."""
    if type(value) is not str:
        raise _mismatch(value, "string")
    try:
        return go_time.rfc3339(go_time.parse_date_time(value, zone_required=True) // go_time.SECOND * go_time.SECOND)
    except ValueError as error:
        raise _bad_time(value, "2006-01-02T15:04:05Z07:00") from error


def _micro_time(value: Any, _: list[str]) -> str:  # noqa: ANN401 - any JSON value
    """Read metav1.MicroTime, which must have exactly six digits after the point."""
    if type(value) is not str:
        raise _mismatch(value, "string")
    layout = "2006-01-02T15:04:05.000000Z07:00"
    try:
        instant = go_time.parse_date_time(value, zone_required=True)
    except ValueError as error:
        raise _bad_time(value, layout) from error
    digits = value.partition(".")[2].rstrip("Z").split("+")[0].split("-")[0]
    if len(digits) != _MICRO_DIGITS:
        raise _bad_time(value, layout)
    return f"{go_time.rfc3339(instant // go_time.SECOND * go_time.SECOND)[:-1]}.{digits}Z"


def _bad_time(value: str, layout: str) -> DecodeError:
    return DecodeError(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')


def _meta(value: Any, unknown: list[str]) -> Object:  # noqa: ANN401 - any JSON value
    try:
        decoded, found = decode_meta(value)
    except MetaError as error:
        raise DecodeError(str(error)) from error
    unknown.extend(found)
    return decoded


def _raw(value: Any, _: list[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Keep what the type holds as it is; a subclass of dict stays what it is."""
    return value if type(value) not in (dict, list) else copy(value)


def _schema_or_other(value: Any, unknown: list[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Read the unions inside a JSON schema: a schema, a list of them, a list of names, or a boolean."""
    decode = struct(f"{_EXTENSIONS}JSONSchemaProps")
    if isinstance(value, list):
        return [decode(one, unknown) if isinstance(one, dict) else one for one in value]
    return decode(value, unknown) if isinstance(value, dict) else value


_SPECIAL: Final[Mapping[str, Decode]] = {
    META: _meta,
    f"{_MACHINERY}api.resource.Quantity": _quantity,
    f"{_MACHINERY}util.intstr.IntOrString": _int_or_string,
    f"{_MACHINERY}apis.meta.v1.Time": _time,
    f"{_MACHINERY}apis.meta.v1.MicroTime": _micro_time,
    f"{_MACHINERY}apis.meta.v1.FieldsV1": _raw,
    f"{_MACHINERY}runtime.RawExtension": _raw,
    f"{_EXTENSIONS}JSON": _raw,
    f"{_EXTENSIONS}JSONSchemaPropsOrArray": _schema_or_other,
    f"{_EXTENSIONS}JSONSchemaPropsOrBool": _schema_or_other,
    f"{_EXTENSIONS}JSONSchemaPropsOrStringArray": _schema_or_other,
}
# What special types are when they are empty, where not null.
_ZEROS: Final[Mapping[str, Any]] = {
    f"{_MACHINERY}api.resource.Quantity": "0",
    f"{_MACHINERY}util.intstr.IntOrString": 0,
}
