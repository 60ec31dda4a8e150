"""What a version of a CustomResourceDefinition says beside its schema: names, scope, subresources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.apiextensions.errors import FieldError, invalid
from adapter_devcluster.apiextensions.go_text import Json, kind, text
from adapter_devcluster.apiextensions.object_meta import object_field, text_field

_MAX_INT32: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a resource keeps its replicas (``subresources.scale``); paths begin with a dot."""

    spec_replicas: str
    status_replicas: str
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A version of a custom resource. ``status_subresource``: status is written through ``/status`` only."""

    group: str
    version: str
    kind: str
    namespaced: bool = True
    status_subresource: bool = False
    scale: Scale | None = None

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}"

    @classmethod
    def from_crd(cls, spec: Mapping[str, Json], version: Mapping[str, Json]) -> Resource:
        """Read a definition's ``spec`` and one of its ``versions``."""
        subresources = object_field(version, "subresources")
        scale = subresources.get("scale")
        return cls(
            group=text_field(spec, "group"),
            version=text_field(version, "name"),
            kind=text_field(object_field(spec, "names"), "kind"),
            namespaced=spec.get("scope") == "Namespaced",
            status_subresource=isinstance(subresources.get("status"), dict),
            scale=_scale(scale) if isinstance(scale, dict) else None,
        )


def _scale(raw: Mapping[str, Json]) -> Scale:
    return Scale(
        text_field(raw, "specReplicasPath"),
        text_field(raw, "statusReplicasPath"),
        text_field(raw, "labelSelectorPath"),
    )


def check_type_meta(resource: Resource, obj: Mapping[str, Json]) -> Iterator[FieldError]:
    """Check that an object's kind and apiVersion are the resource's."""
    for name, wanted in (("kind", resource.kind), ("apiVersion", resource.api_version)):
        if obj.get(name, "") != wanted:
            yield invalid(name, obj.get(name, ""), f"must be {wanted}")


def check_scale(resource: Resource, obj: Mapping[str, Json], *, status_only: bool) -> Iterator[FieldError]:
    """Check that the scale subresource can read its fields. Paths in errors keep their leading dot."""
    scale = resource.scale
    if scale is None:
        return
    for path in (scale.status_replicas,) if status_only else (scale.spec_replicas, scale.status_replicas):
        yield from _check_replicas(obj, path)
    if scale.label_selector:
        selector, problem = _nested(obj, scale.label_selector)
        if not problem and selector is not None and not isinstance(selector, str):
            problem = _wrong_type(scale.label_selector, selector, "string")
        if problem:
            yield invalid(scale.label_selector, "", problem)


def _check_replicas(obj: Mapping[str, Json], path: str) -> Iterator[FieldError]:
    replicas, problem = _nested(obj, path)
    if not problem and replicas is not None and (not isinstance(replicas, int) or isinstance(replicas, bool)):
        problem = _wrong_type(path, replicas, "int64")
    if problem:
        yield invalid(path, 0, problem)
    elif isinstance(replicas, int) and replicas < 0:
        yield invalid(path, replicas, "should be a non-negative integer")
    elif isinstance(replicas, int) and replicas > _MAX_INT32:
        yield invalid(path, replicas, f"should be less than or equal to {_MAX_INT32}")


def _nested(obj: Mapping[str, Json], path: str) -> tuple[Json, str]:
    """Follow a path of fields: what is there (None if nothing is), or why it can't be followed."""
    found: Json = obj
    walked = ""
    for name in path.removeprefix(".").split("."):
        if not isinstance(found, dict):
            return None, _wrong_type(walked, found, "map[string]interface{}")
        if name not in found:
            return None, ""
        found = found[name]
        walked = f"{walked}.{name}"
    return found, ""


def _wrong_type(path: str, found: Json, wanted: str) -> str:
    names = {"integer": "int64", "number": "float64", "boolean": "bool", "array": "[]interface {}"}
    name = names.get(kind(found), kind(found))
    return f"{path} accessor error: {text(found)} is of the type {name}, expected {wanted}"
