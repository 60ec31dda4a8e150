"""From a request's JSON to an object in the server's form: checked, pruned, defaulted.

The order is that of the server's decoder (``customresource_handler.go``, v0.36): metadata, pruning, nulls,
embedded metadata, defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapter_devcluster.apiextensions.defaulting import apply_defaults
from adapter_devcluster.apiextensions.embedded import EmbeddedError, decode_embedded
from adapter_devcluster.apiextensions.errors import NotJsonError, child
from adapter_devcluster.apiextensions.go_text import Json, kind, quote, text
from adapter_devcluster.apiextensions.json_values import clean_copy
from adapter_devcluster.apiextensions.object_meta import JsonObject, MetaError, decode_meta, text_field
from adapter_devcluster.apiextensions.pruning import prune, prune_nulls
from adapter_devcluster.apiextensions.resource import Resource
from adapter_devcluster.apiextensions.tree import Node


class UndecodableError(ValueError):
    """A body that is no object of this API. The message is that of the server's 400."""


def undecodable(resource: Resource, problem: str) -> UndecodableError:
    """Wrap a decoder's problem in the server's words."""
    name = resource.kind
    version = quote(resource.version)
    return UndecodableError(f"{name} in version {version} cannot be handled as a {name}: {problem}")


def strict_error(resource: Resource, problems: Sequence[str]) -> UndecodableError:
    """Report what strict field validation does not accept."""
    return undecodable(resource, f"strict decoding error: {', '.join(problems)}")


def decode(raw: Json, resource: Resource, node: Node) -> tuple[JsonObject, tuple[str, ...]]:
    """Copy an object into the server's form; returns it with the paths of unknown fields.

    An object of another kind is copied as it is: it will be refused for that. Raises UndecodableError.
    """
    try:
        obj = clean_copy(raw)
        if not isinstance(obj, dict):
            problem = f"json: cannot unmarshal {kind(obj)} into Go value of type map[string]interface {{}}"
            raise undecodable(resource, problem)
        for name in ("kind", "apiVersion"):
            if not isinstance(obj.get(name, ""), str):
                found = obj[name]
                problem = f".{name} accessor error: {text(found)} is of the type {kind(found)}, expected string"
                raise undecodable(resource, problem)
        return obj, tuple(_converted(obj, resource, node))
    except (MetaError, NotJsonError) as error:
        raise undecodable(resource, str(error)) from error
    except EmbeddedError as error:
        raise undecodable(resource, str(error.error)) from error


def _converted(obj: JsonObject, resource: Resource, node: Node) -> list[str]:
    unknown: list[str] = []
    if "metadata" in obj:
        obj["metadata"], names = decode_meta(obj["metadata"])
        unknown += [child("metadata", name) for name in names]
    if _is_of(resource, obj):
        unknown += prune(obj, node)
        prune_nulls(obj, node)
        unknown += decode_embedded(obj, node)
        apply_defaults(obj, node)
    return unknown


def _is_of(resource: Resource, obj: Mapping[str, Json]) -> bool:
    group, _, _ = text_field(obj, "apiVersion").rpartition("/")
    return group == resource.group and obj.get("kind") == resource.kind


def place(obj: JsonObject, namespace: str | None, resource: Resource) -> None:
    """Put an object into the namespace of its request. Raises UndecodableError if it names another one."""
    if namespace is None and resource.namespaced:
        return
    wanted = namespace if resource.namespaced else ""
    meta = obj.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    found = text_field(meta, "namespace")
    if found and wanted and found != wanted:
        message = "the namespace of the provided object does not match the namespace sent on the request"
        raise UndecodableError(message)
    kept = {name: value for name, value in meta.items() if name != "namespace"}
    obj["metadata"] = {**kept, "namespace": wanted} if wanted else kept
