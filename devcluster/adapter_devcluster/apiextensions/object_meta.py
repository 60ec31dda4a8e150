"""ObjectMeta: decoded as Go decodes it, and validated as every Kubernetes object's is.

Decoding keeps the known fields only, drops empty ones and refuses wrong types
(``apiextensions-apiserver/pkg/apiserver/schema/objectmeta``); validation follows
``apimachinery/pkg/api/validation`` (both v0.36).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from adapter_devcluster.apiextensions import go_time, names
from adapter_devcluster.apiextensions.errors import FieldError, child, forbidden, invalid, required, too_long
from adapter_devcluster.apiextensions.go_text import Json, kind
from adapter_devcluster.apiextensions.json_values import deep_equal

JsonObject: TypeAlias = dict[str, Json]
_Decode: TypeAlias = Callable[[Json, str, list[str]], Json]

_ANNOTATIONS_LIMIT = 256 * 1024
_TEXT_FIELDS = frozenset({"name", "namespace", "uid"})
_IMMUTABLE = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_STANDARD_FINALIZERS = frozenset({_ORPHAN, _FOREGROUND, "kubernetes"})


class MetaError(ValueError):
    """Metadata that can't be decoded; the message is the JSON decoder's."""


def decode_meta(meta: Json) -> tuple[JsonObject, list[str]]:
    """Decode ``metadata``; returns it with the paths of unknown fields, relative to it.

    Raises MetaError where a field has a wrong type.
    """
    unknown: list[str] = []
    decoded = _struct(_OBJECT_META)({} if meta is None else meta, "", unknown)
    return decoded if isinstance(decoded, dict) else {}, unknown


def _mismatch(value: Json, path: str, wanted: str) -> MetaError:
    found = {"boolean": "bool", "integer": "number"}.get(kind(value), kind(value))
    where = f"Go struct field ObjectMeta.{path}" if path else "Go value"
    return MetaError(f"json: cannot unmarshal {found} into {where} of type {wanted}")


def _scalar(python: type, go: str) -> _Decode:
    def decode(value: Json, path: str, _: list[str]) -> Json:
        if type(value) is not python:
            raise _mismatch(value, path, go)
        return value

    return decode


def _time(value: Json, path: str, _: list[str]) -> Json:
    if not isinstance(value, str):
        raise _mismatch(value, path, "v1.Time")
    try:
        return go_time.rfc3339(go_time.parse_date_time(value, zone_required=True) // go_time.SECOND * go_time.SECOND)
    except ValueError as error:
        message = f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"'
        raise MetaError(message) from error


def _strings(value: Json, path: str, _: list[str]) -> Json:
    if not isinstance(value, dict):
        raise _mismatch(value, path, "map[string]string")
    for item in value.values():
        if item is not None and not isinstance(item, str):
            raise _mismatch(item, path, "string")
    return {key: item or "" for key, item in value.items()}


def _list(decode_item: _Decode, go: str) -> _Decode:
    def decode(value: Json, path: str, unknown: list[str]) -> Json:
        if not isinstance(value, list):
            raise _mismatch(value, path, f"[]{go}")
        items = []
        for position, item in enumerate(value):
            found: list[str] = []
            items.append(decode_item(item, path, found))
            unknown.extend(f"{path}[{position}].{name}" for name in found)
        return items

    return decode


def _struct(fields: Mapping[str, _Decode], always: tuple[str, ...] = ()) -> _Decode:
    def decode(value: Json, path: str, unknown: list[str]) -> Json:
        if not isinstance(value, dict):
            raise _mismatch(value, path, "v1.ObjectMeta" if not path else "v1.OwnerReference")
        unknown.extend(name for name in value if name not in fields)
        decoded: JsonObject = dict.fromkeys(always, "")
        for name, decode_field in fields.items():
            if value.get(name) is None:
                continue
            item = decode_field(value[name], f"{path}.{name}" if path else name, unknown)
            # Go leaves zero values out, but not what a pointer points to.
            if item not in ("", [], {}) and (item != 0 or name in _POINTERS):
                decoded[name] = item
        return decoded

    return decode


def _any(value: Json, _path: str, _unknown: list[str]) -> Json:
    return value


_POINTERS = frozenset({"controller", "blockOwnerDeletion", "deletionGracePeriodSeconds"})
_TEXT, _INT64, _BOOL = _scalar(str, "string"), _scalar(int, "int64"), _scalar(bool, "bool")
_OWNER: dict[str, _Decode] = {
    "apiVersion": _TEXT,
    "kind": _TEXT,
    "name": _TEXT,
    "uid": _TEXT,
    "controller": _BOOL,
    "blockOwnerDeletion": _BOOL,
}
_MANAGED: dict[str, _Decode] = {
    "manager": _TEXT,
    "operation": _TEXT,
    "apiVersion": _TEXT,
    "time": _time,
    "fieldsType": _TEXT,
    "fieldsV1": _any,
    "subresource": _TEXT,
}
_OBJECT_META: dict[str, _Decode] = {
    **dict.fromkeys(("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"), _TEXT),
    "generation": _INT64,
    "creationTimestamp": _time,
    "deletionTimestamp": _time,
    "deletionGracePeriodSeconds": _INT64,
    "labels": _strings,
    "annotations": _strings,
    "ownerReferences": _list(_struct(_OWNER, ("apiVersion", "kind", "name", "uid")), "v1.OwnerReference"),
    "finalizers": _list(_TEXT, "string"),
    "managedFields": _list(_struct(_MANAGED), "v1.ManagedFieldsEntry"),
}


def text_field(meta: Mapping[str, Json], name: str) -> str:
    """Return a string field of decoded metadata; absent means empty."""
    value = meta.get(name, "")
    return value if isinstance(value, str) else ""


def object_field(meta: Mapping[str, Json], name: str) -> JsonObject:
    """Return an object field; absent means empty."""
    value = meta.get(name)
    return value if isinstance(value, dict) else {}


def list_field(meta: Mapping[str, Json], name: str) -> list[Json]:
    """Return a list field; absent means empty."""
    value = meta.get(name)
    return value if isinstance(value, list) else []


def check_meta(
    meta: Mapping[str, Json],
    path: str,
    *,
    namespaced: bool | None,
    check_name: Callable[[str], list[str]] = names.check_dns_subdomain,
) -> Iterator[FieldError]:
    """Validate decoded metadata on creation; names have been generated already.

    ``namespaced`` None leaves open whether a namespace has to be there.
    """
    prefix = text_field(meta, "generateName")
    for problem in check_name(f"{prefix[:-2]}a" if prefix[1:].endswith("-") else prefix) if prefix else []:
        yield invalid(child(path, "generateName"), prefix, problem)
    name = text_field(meta, "name")
    if not name:
        yield required(child(path, "name"), "name or generateName is required")
    for problem in check_name(name) if name else []:
        yield invalid(child(path, "name"), name, problem)
    yield from _check_namespace(text_field(meta, "namespace"), child(path, "namespace"), namespaced=namespaced)
    generation = meta.get("generation")
    if isinstance(generation, int) and generation < 0:
        yield invalid(child(path, "generation"), generation, "must be greater than or equal to 0")
    yield from _check_maps(meta, path)
    yield from _check_finalizers(list_field(meta, "finalizers"), child(path, "finalizers"))


def _check_namespace(namespace: str, path: str, *, namespaced: bool | None) -> Iterator[FieldError]:
    if not namespace:
        if namespaced:
            yield required(path)
    elif namespaced is False:
        yield forbidden(path, "not allowed on this type")
    else:
        for problem in names.check_dns_label(namespace):
            yield invalid(path, namespace, problem)


def _check_maps(meta: Mapping[str, Json], path: str) -> Iterator[FieldError]:
    labels = child(path, "labels")
    for key, value in object_field(meta, "labels").items():
        for problem in names.check_label_key(key):
            yield invalid(labels, key, problem)
        for problem in names.check_label_value(str(value)):
            yield invalid(labels, value, problem)
    annotations = object_field(meta, "annotations")
    for key in annotations:
        for problem in names.check_label_key(key.lower()):
            yield invalid(child(path, "annotations"), key, problem)
    if sum(len(f"{key}{value}".encode("utf-8", "replace")) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        yield too_long(child(path, "annotations"), _ANNOTATIONS_LIMIT)
    yield from _check_owners(list_field(meta, "ownerReferences"), child(path, "ownerReferences"))


def _check_owners(owners: list[Json], path: str) -> Iterator[FieldError]:
    controller = ""
    for owner in owners:
        if not isinstance(owner, dict):
            continue
        # Go reads a version only from what is "<version>" or "<group>/<version>".
        group_version = text_field(owner, "apiVersion")
        version = "" if group_version.count("/") > 1 else group_version.rpartition("/")[2]
        for name in ("apiVersion", "kind", "name", "uid"):
            if not (version if name == "apiVersion" else owner.get(name)):
                detail = "version must not be empty" if name == "apiVersion" else "must not be empty"
                yield invalid(child(path, name), owner.get(name, ""), detail)
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            yield invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller") is True:
            found = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                detail = (
                    "Only one reference can have Controller set to true. "
                    f'Found "true" in references for {controller} and {found}'
                )
                yield invalid(path, owners, detail)
            controller = controller or found


def _check_finalizers(finalizers: list[Json], path: str) -> Iterator[FieldError]:
    for finalizer in finalizers:
        for problem in names.check_label_key(str(finalizer)):
            yield invalid(path, finalizer, problem)
    if {_ORPHAN, _FOREGROUND} <= set(map(str, finalizers)):
        detail = f"finalizer {_ORPHAN} and {_FOREGROUND} cannot be both set"
        yield invalid(path, finalizers, detail)


def check_meta_update(new: Mapping[str, Json], old: Mapping[str, Json], path: str) -> Iterator[FieldError]:
    """Validate decoded metadata on an update."""
    if old.get("deletionTimestamp") is not None:
        added = sorted(set(map(str, list_field(new, "finalizers"))) - set(map(str, list_field(old, "finalizers"))))
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            detail = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}"
            )
            yield forbidden(child(path, "finalizers"), detail)
    if text_field(old, "resourceVersion") and not text_field(new, "resourceVersion"):
        yield invalid(child(path, "resourceVersion"), "", "must be specified for an update")
    for name in _IMMUTABLE:
        if not deep_equal(new.get(name), old.get(name)):
            yield invalid(child(path, name), new.get(name, "" if name in _TEXT_FIELDS else None), "field is immutable")
    yield from _check_maps(new, path)


def finalizer_warnings(new: Mapping[str, Json], old: Mapping[str, Json]) -> list[str]:
    """Warn about new finalizers whose names another writer may use as well."""
    added = sorted(set(map(str, list_field(new, "finalizers"))) - set(map(str, list_field(old, "finalizers"))))
    warnings = []
    for name in added:
        at = f'metadata.finalizers: "{name}"'
        warnings += [f"{at}: {problem}" for problem in names.check_label_key(name)]
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            path = " including a path (/)" if "." in name else ""
            warnings.append(
                f"{at}: prefer a domain-qualified finalizer name{path} to avoid accidental conflicts "
                "with other finalizer writers"
            )
    return warnings
