"""``x-kubernetes-embedded-resource``: whole objects inside of a custom resource have metadata of their own."""

from __future__ import annotations

from collections.abc import Iterator

from adapter_devcluster.apiextensions import names
from adapter_devcluster.apiextensions.errors import FieldError, Path, child, index, invalid, required
from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.object_meta import MetaError, check_meta, decode_meta, text_field
from adapter_devcluster.apiextensions.tree import Node

_TYPE_META = ("apiVersion", "kind")


class EmbeddedError(ValueError):
    """An embedded object's metadata that can't be decoded. See ``error``."""

    def __init__(self, error: FieldError) -> None:
        self.error = error
        super().__init__(str(error))


def decode_embedded(value: Json, node: Node | None, path: Path = None) -> list[str]:
    """Decode the metadata of embedded objects in place; returns sorted paths of unknown metadata fields.

    Raises EmbeddedError where a field has a wrong type.
    """
    return sorted(unknown for found, at in _embedded(value, node, path) for unknown in _decode_metas(found, at))


def _embedded(value: Json, node: Node | None, path: Path) -> Iterator[tuple[dict[str, Json], Path]]:
    """Every embedded object below a value, outermost first, with its path."""
    if node is None:
        return
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _embedded(item, node.items, index(path, position))
    elif isinstance(value, dict):
        if node.embedded:
            yield value, path
        for name, item in value.items():
            if name in node.properties:
                yield from _embedded(item, node.properties[name], child(path, name))
            else:
                yield from _embedded(item, node.additional_node, index(path, name))


def _decode_metas(value: dict[str, Json], path: Path) -> Iterator[str]:
    for name in _TYPE_META:
        if name in value and not isinstance(value[name], str):
            raise EmbeddedError(invalid(child(path, name), value[name], "must be a string"))
    if "metadata" in value:
        at = child(path, "metadata")
        try:
            value["metadata"], unknown = decode_meta(value["metadata"])
        except MetaError as error:
            raise EmbeddedError(invalid(at, value["metadata"], str(error))) from error
        yield from (child(at, name) for name in unknown)


def check_embedded(value: Json, node: Node | None, path: Path = None) -> Iterator[FieldError]:
    """Validate the apiVersion, kind and metadata of embedded objects."""
    for found, at in _embedded(value, node, path):
        yield from _check_object(found, at)


def _check_object(value: dict[str, Json], path: Path) -> Iterator[FieldError]:
    for name in _TYPE_META:
        if name not in value:
            yield required(child(path, name))
    if "apiVersion" in value:
        yield from _check_api_version(value["apiVersion"], child(path, "apiVersion"))
    if "kind" in value:
        yield from _check_kind(value["kind"], child(path, "kind"))
    if "metadata" in value:
        yield from _check_metadata(value["metadata"], child(path, "metadata"))


def _check_api_version(value: Json, path: str) -> Iterator[FieldError]:
    if not isinstance(value, str):
        yield invalid(path, value, "must be a string")
    elif not value:
        yield invalid(path, value, "must not be empty")
    elif value.count("/") > 1:
        yield invalid(path, value, f"unexpected GroupVersion string: {value}")


def _check_kind(value: Json, path: str) -> Iterator[FieldError]:
    if not isinstance(value, str):
        yield invalid(path, value, "must be a string")
    elif not value:
        yield invalid(path, value, "must not be empty")
    elif problems := names.check_dns_1035_label(value.lower()):
        detail = f"may have mixed case, but should otherwise match: {','.join(problems)}"
        yield invalid(path, value, detail)


def _check_metadata(value: Json, path: str) -> Iterator[FieldError]:
    try:
        meta, _ = decode_meta(value)
    except MetaError as error:
        yield invalid(path, value, str(error))
        return
    # A template needs no name, so an absent one is no error here.
    named = {**meta, "name": text_field(meta, "name") or "fakename"}
    yield from check_meta(
        named, path, namespaced=bool(text_field(meta, "namespace")), check_name=names.check_path_segment
    )
