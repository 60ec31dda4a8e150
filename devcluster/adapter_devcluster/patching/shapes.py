"""How a value is structured for merging: what may be merged field by field, and what is one unit.

The rules that turn an OpenAPI schema into a shape are those of ``k8s.io/kube-openapi/pkg/schemaconv``; the kinds
of shapes are the "atoms" of structured-merge-diff's ``schema`` (v6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Final, Literal, TypeAlias

from adapter_devcluster.builtin.definitions import META, definition
from adapter_devcluster.objects import Object

Scalar: TypeAlias = Literal["", "string", "numeric", "boolean", "untyped"]
MapType: TypeAlias = Literal["", "granular", "atomic"]
ListType: TypeAlias = Literal["", "atomic", "set", "map"]
Resolve: TypeAlias = Callable[[str], Object]

_SCALARS: Final[Mapping[str, Scalar]] = {"integer": "numeric", "number": "numeric", "boolean": "boolean"}
_ZEROS: Final[Mapping[str, Any]] = {"string": "", "numeric": 0, "boolean": False}
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_RAW: Final = "io.k8s.apimachinery.pkg.runtime.RawExtension"
# Defaults that the API types declare for fields by which lists are keyed (``+default`` in k8s.io/api).
_DECLARED: Final[Mapping[str, Mapping[str, Any]]] = {
    "io.k8s.api.core.v1.ContainerPort": {"protocol": "TCP"},
    "io.k8s.api.core.v1.ServicePort": {"protocol": "TCP"},
    "io.k8s.api.core.v1.LocalObjectReference": {"name": ""},
}
_MAP_TYPE, _LIST_TYPE, _LIST_KEYS = "x-kubernetes-map-type", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
_STRATEGY, _MERGE_KEY = "x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key"
_PRESERVE, _EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"


@dataclass(frozen=True, slots=True)
class Parts:
    """What is inside: declared ``fields``, the ``values`` of other keys (None: there are none), ``items`` of lists."""

    fields: Mapping[str, Shape]
    values: Shape | None
    items: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The structure of a value. A shape may allow several kinds of values; "" says that a kind is not allowed.

    ``patch_merge_key``, ``patch_strategies`` and ``default`` belong to the field that has this shape. ``expand``
    gives what is inside, computed once and only when asked for: schemas may be recursive.
    """

    scalar: Scalar = ""
    map_type: MapType = ""
    list_type: ListType = ""
    map_keys: tuple[str, ...] = ()
    patch_merge_key: str = ""
    patch_strategies: tuple[str, ...] = ()
    default: Any = None
    expand: Callable[[], Parts] = lambda: _NOTHING

    @property
    def fields(self) -> Mapping[str, Shape]:
        """The declared fields of a struct."""
        return self.expand().fields

    @property
    def values(self) -> Shape | None:
        """The shape of a map's values; None where only declared fields are allowed."""
        return self.expand().values

    @property
    def items(self) -> Shape:
        """The shape of a list's items."""
        return self.expand().items

    def child(self, name: str) -> Shape | None:
        """Return the shape of a field or of a map's value; None if the field is not declared."""
        parts = self.expand()
        return parts.fields.get(name, parts.values)


# What nothing is known of, merged as a whole; and what nothing is known of, but maps are merged.
_UNTYPED: Final[Shape] = Shape("untyped", "atomic", "atomic", expand=lambda: _IN_UNTYPED)
DEDUCED: Final[Shape] = Shape("untyped", "granular", "atomic", expand=lambda: _IN_DEDUCED)
_NOTHING: Final[Parts] = Parts({}, None, DEDUCED)
_IN_UNTYPED: Final[Parts] = Parts({}, _UNTYPED, _UNTYPED)
_IN_DEDUCED: Final[Parts] = Parts({}, DEDUCED, _UNTYPED)


def shape_of(schema: Object, resolve: Resolve) -> Shape:
    """Return the shape of a built-in type. ``resolve`` gives a definition by the last part of a ``$ref``.

    A required scalar counts as having its zero value as default, as it does in the server's own schema. Raises
    what ``resolve`` raises, also later, when the shape is looked into.
    """
    return _built_in(resolve).of(schema)


def shape_of_crd(openapi_v3_schema: Object) -> Shape:
    """Return the shape of custom resources with this (structural) schema; metadata is ObjectMeta."""
    return _Builder(definition, zeros=False).of({**openapi_v3_schema, _EMBEDDED: True})


@lru_cache(maxsize=4)
def _built_in(resolve: Resolve) -> _Builder:
    return _Builder(resolve, zeros=True)


class _Builder:
    """Makes shapes of schemas; those of definitions once."""

    def __init__(self, resolve: Resolve, *, zeros: bool) -> None:
        self._resolve = resolve
        self._zeros = zeros
        self._named: dict[str, Shape] = {_QUANTITY: Shape("untyped"), _RAW: _UNTYPED}

    def of(self, schema: Object, *, preserve: bool = False) -> Shape:
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if not name:
            return self._inline(schema, preserve, {})
        if name not in self._named:
            self._named[name] = self._inline(self._resolve(name), False, _DECLARED.get(name, {}))  # noqa: FBT003
        shape = self._named[name]
        return replace(shape, map_type=schema[_MAP_TYPE]) if schema.get(_MAP_TYPE) else shape

    def _inline(self, schema: Object, preserve: bool, defaults: Mapping[str, Any]) -> Shape:
        preserve = preserve or schema.get(_PRESERVE) is True
        list_type, keys = _list_type(schema)
        kind = _kind(schema)
        if kind == "string":
            return Shape("string" if schema.get("format", "") in ("", "byte") else "untyped")
        if kind in _SCALARS:
            return Shape(_SCALARS[kind])
        return Shape(
            "" if kind else "untyped",
            "" if kind == "array" else schema.get(_MAP_TYPE) or "granular",
            "" if kind == "object" else list_type,
            keys,
            expand=cache(lambda: self._parts(schema, preserve, defaults)),
        )

    def _parts(self, schema: Object, preserve: bool, defaults: Mapping[str, Any]) -> Parts:
        required: Iterable[str] = schema.get("required") or ()
        properties = schema.get("properties") or {}
        fields = {
            name: self._field(sub, preserve, defaults.get(name), required=name in required)
            for name, sub in properties.items()
        }
        if schema.get(_EMBEDDED) is True:
            fields.update(apiVersion=Shape("string"), kind=Shape("string"), metadata=_object_meta())
        more = schema.get("additionalProperties")
        values = DEDUCED if more is True or (more is None and (preserve or not fields)) else None
        if isinstance(more, dict):
            values = self.of(more, preserve=preserve)
        items = schema.get("items")
        return Parts(fields, values, self.of(items, preserve=preserve) if items else _UNTYPED)

    def _field(self, schema: Object, preserve: bool, default: Any, *, required: bool) -> Shape:  # noqa: ANN401
        shape = self.of(schema, preserve=preserve)
        default = schema.get("default", default)
        if default is None and required and self._zeros:
            default = _ZEROS.get(shape.scalar)
        key, strategies = schema.get(_MERGE_KEY, ""), schema.get(_STRATEGY, "")
        if default is None and not strategies:
            return shape
        return replace(
            shape,
            default=default,
            patch_merge_key=key,
            patch_strategies=tuple(strategies.split(",")) if strategies else (),
        )


@cache
def _object_meta() -> Shape:
    return shape_of(definition(META), definition)


def _kind(schema: Object) -> str:
    """Return the type; "" where there is none, as for IntOrString. The packaged schemas allow null beside it."""
    kind = schema.get("type") or ""
    return str(kind if isinstance(kind, str) else next(one for one in kind if one != "null"))


def _list_type(schema: Object) -> tuple[ListType, tuple[str, ...]]:
    declared: ListType = schema.get(_LIST_TYPE) or "atomic"
    return declared, tuple(schema.get(_LIST_KEYS) or ()) if declared == "map" else ()
