"""A whole CustomResourceDefinition: may it be created?

`check_crd` answers with the server's errors (``apiextensions-apiserver/pkg/apis/apiextensions/validation``,
v0.36). One difference is meant: where all versions have one schema the server reports it below
``spec.validation``; here every error names the version, ``spec.versions[0].schema.openAPIV3Schema``.
Conversion webhooks, selectable fields and API approval are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.apiextensions import formats, names
from adapter_devcluster.apiextensions.crd_schema import SchemaReport, check_schema
from adapter_devcluster.apiextensions.default_values import check_defaults
from adapter_devcluster.apiextensions.errors import (
    FieldError,
    NotJsonError,
    SchemaError,
    child,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
)
from adapter_devcluster.apiextensions.go_text import Json, quote
from adapter_devcluster.apiextensions.object_meta import list_field, object_field, text_field
from adapter_devcluster.apiextensions.structural import check_structural
from adapter_devcluster.apiextensions.tree import EMPTY, Node, read_schema

_COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS: Final = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SCOPES: Final = ("Cluster", "Namespaced")
# What may stand at the root of a schema whose status is a subresource, in the server's spelling.
_ROOT_WITH_STATUS: Final = {
    "Description": "description",
    "Type": "type",
    "Format": "format",
    "Title": "title",
    "Maximum": "maximum",
    "ExclusiveMaximum": "exclusiveMaximum",
    "Minimum": "minimum",
    "ExclusiveMinimum": "exclusiveMinimum",
    "MaxLength": "maxLength",
    "MinLength": "minLength",
    "Pattern": "pattern",
    "MaxItems": "maxItems",
    "MinItems": "minItems",
    "UniqueItems": "uniqueItems",
    "MultipleOf": "multipleOf",
    "Required": "required",
    "Items": "items",
    "Properties": "properties",
    "ExternalDocs": "externalDocs",
    "Example": "example",
    "XPreserveUnknownFields": "x-kubernetes-preserve-unknown-fields",
    "XValidations": "x-kubernetes-validations",
}


@dataclass(frozen=True, slots=True)
class CheckedSchema:
    """A schema read and checked; ``node`` is usable where ``report.errors`` is empty."""

    node: Node
    report: SchemaReport
    warnings: tuple[str, ...] = ()


def check_openapi_schema(raw: Json, path: str, *, status_subresource: bool = False) -> CheckedSchema:
    """Read an ``openAPIV3Schema`` and find everything that a server would refuse in it."""
    try:
        node = read_schema(raw, path)
    except SchemaError as error:
        return CheckedSchema(EMPTY, SchemaReport(errors=list(error.errors)))
    except NotJsonError as error:
        return CheckedSchema(EMPTY, SchemaReport(errors=[invalid(path, "", str(error))]))
    errors = list(_root_errors(node, raw, path, status_subresource=status_subresource))
    structural: list[FieldError] = []
    # A forbidden keyword keeps the server from looking at the structure; the keyword's own error says enough.
    readable = not any(one.unsupported for one in _all_nodes(node))
    if readable:
        structural = check_structural(node, path) or list(check_defaults(node, path))
    report = check_schema(node, path, with_rules=readable and not structural)
    report.errors = [*errors, *structural, *report.errors]
    return CheckedSchema(node, report, tuple(_schema_warnings(node)))


def _all_nodes(root: Node) -> Iterator[Node]:
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending += [*node.properties.values(), *node.all_of, *node.any_of, *node.one_of]
        pending += [one for one in (node.items, node.additional_node, node.not_) if one is not None]


def _schema_warnings(root: Node) -> Iterator[str]:
    for node in _all_nodes(root):
        yield from (f"unknown field {quote(path)}" for path in node.unknown)
        if node.format and not formats.known(node.type, node.format):
            yield f"unrecognized format {quote(node.format)}"


def _root_errors(node: Node, raw: Json, path: str, *, status_subresource: bool) -> Iterator[FieldError]:
    if status_subresource:
        if node.type and node.type != "object":
            detail = (
                'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            )
            yield invalid(child(path, "type"), node.type, detail)
        elif not node.keys <= set(_ROOT_WITH_STATUS.values()):
            detail = (
                f"only [{' '.join(_ROOT_WITH_STATUS)}] fields are allowed at the root of the schema "
                "if the status subresource is enabled"
            )
            yield invalid(path, raw, detail)
    if node.nullable:
        yield forbidden(child(path, "nullable"), "nullable cannot be true at the root")


def check_crd(crd: Mapping[str, Json]) -> list[FieldError]:
    """Return what keeps a CustomResourceDefinition from being created."""
    return list(_check_crd(crd))


def _check_crd(crd: Mapping[str, Json]) -> Iterator[FieldError]:
    spec = object_field(crd, "spec")
    group, plural = text_field(spec, "group"), text_field(object_field(spec, "names"), "plural")
    name = text_field(object_field(crd, "metadata"), "name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from (invalid("metadata.name", name, problem) for problem in names.check_dns_subdomain(name))
        if name != f"{plural}.{group}":
            yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    yield from _check_group(group)
    scope = text_field(spec, "scope")
    if scope not in _SCOPES:
        yield not_supported("spec.scope", scope, _SCOPES) if scope else required("spec.scope")
    yield from _check_versions(list_field(spec, "versions"))
    yield from _check_names(object_field(spec, "names"), "spec.names")
    if spec.get("preserveUnknownFields") is True:
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        )
        yield invalid("spec.preserveUnknownFields", spec["preserveUnknownFields"], detail)


def _check_group(group: str) -> Iterator[FieldError]:
    problems = names.check_dns_subdomain(group)
    if not group:
        yield required("spec.group")
    elif problems:
        yield invalid("spec.group", group, ",".join(problems))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _check_versions(versions: Sequence[Json]) -> Iterator[FieldError]:
    known = [version if isinstance(version, dict) else {} for version in versions]
    for position, version in enumerate(known):
        at = index("spec.versions", position)
        if not object_field(object_field(version, "schema"), "openAPIV3Schema"):
            yield required(child(at, "schema.openAPIV3Schema"))
        name = text_field(version, "name")
        if problems := names.check_dns_1035_label(name):
            yield invalid(child(at, "name"), name, ",".join(problems))
        yield from check_version(version, at)
    found = [text_field(version, "name") for version in known]
    if len(found) != len(set(found)):
        yield invalid("spec.versions", list(versions), "must contain unique version names")
    if sum(version.get("storage") is True for version in known) != 1:
        detail = "must have exactly one version marked as storage version"
        yield invalid("spec.versions", list(versions), detail)


def check_version(version: Mapping[str, Json], path: str) -> Iterator[FieldError]:
    """Check one version of a definition: its schema, its subresources and its columns."""
    raw = object_field(version, "schema").get("openAPIV3Schema")
    subresources = object_field(version, "subresources")
    if raw:
        has_status = isinstance(subresources.get("status"), dict)
        at = child(path, "schema.openAPIV3Schema")
        yield from check_openapi_schema(raw, at, status_subresource=has_status).report.errors
    yield from _check_scale(subresources.get("scale"), child(path, "subresources"))
    for position, column in enumerate(list_field(version, "additionalPrinterColumns")):
        at = index(child(path, "additionalPrinterColumns"), position)
        yield from _check_column(column if isinstance(column, dict) else {}, at)


def _check_scale(scale: Json, path: str) -> Iterator[FieldError]:
    if not isinstance(scale, dict):
        return
    places = (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status."))
    for name, prefix in places:
        at, found = child(path, f"scale.{name}"), text_field(scale, name)
        if not found:
            yield required(at)
        elif not found.startswith("."):
            yield invalid(at, found, "must be a simple json path starting with .")
        elif not found.startswith(prefix):
            yield invalid(at, found, f"should be a json path under {prefix[:-1]}")
    selector, at = text_field(scale, "labelSelectorPath"), child(path, "scale.labelSelectorPath")
    if selector and not selector.startswith("."):
        yield invalid(at, selector, "must be a simple json path starting with .")
    elif selector and not selector.startswith((".spec.", ".status.")):
        yield invalid(at, selector, "should be a json path under either .spec or .status")


def _check_column(column: Mapping[str, Json], path: str) -> Iterator[FieldError]:
    if not text_field(column, "name"):
        yield required(child(path, "name"))
    kind, kinds = text_field(column, "type"), f"must be one of {','.join(_COLUMN_TYPES)}"
    if kind not in _COLUMN_TYPES:
        at = child(path, "type")
        yield invalid(at, kind, kinds) if kind else required(at, kinds)
    column_format = text_field(column, "format")
    if column_format and column_format not in _COLUMN_FORMATS:
        detail = f"must be one of {','.join(_COLUMN_FORMATS)}"
        yield invalid(child(path, "format"), column_format, detail)
    json_path, at = text_field(column, "jsonPath"), child(path, "JSONPath")
    if not json_path:
        yield required(at)
    elif not json_path.startswith("."):
        yield invalid(at, json_path, "must be a simple json path starting with .")


def _check_names(found: Mapping[str, Json], path: str) -> Iterator[FieldError]:
    for name in ("plural", "singular", "kind", "listKind"):
        if not text_field(found, name):
            yield required(child(path, name))
    mixed = "may have mixed case, but should otherwise match: "
    for name, prefix in (("plural", ""), ("singular", ""), ("kind", mixed), ("listKind", mixed)):
        text = text_field(found, name)
        problems = names.check_dns_1035_label(text.lower() if prefix else text)
        if text and problems:
            yield invalid(child(path, name), text, prefix + ",".join(problems))
    if text_field(found, "kind") and found.get("kind") == found.get("listKind"):
        yield invalid(child(path, "listKind"), found.get("listKind"), "kind and listKind may not be the same")
    for name in ("shortNames", "categories"):
        for position, item in enumerate(list_field(found, name)):
            if problems := names.check_dns_1035_label(str(item)):
                yield invalid(index(child(path, name), position), item, ",".join(problems))
