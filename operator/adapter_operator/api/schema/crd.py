"""The CustomResourceDefinition of one kind."""

from dataclasses import dataclass
from typing import Any, Literal

from adapter_operator.api.schema.model import Resource
from adapter_operator.api.schema.structural import JSONSchema, structural_schema


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`.

    Attributes:
        name: the heading.
        type: how kubectl prints the value; a `date` is printed as an age.
        path: JSONPath of the value in the resource.
        description: what the value means.
        wide: shown by `-o wide` only.

    """

    name: str
    type: Literal["string", "integer", "date"]
    path: str
    description: str
    wide: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The entry of `additionalPrinterColumns`."""
        column: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            "description": self.description,
        }
        return column | {"priority": 1} if self.wide else column


@dataclass(frozen=True)
class Kind:
    """All that the API server has to know of a kind beyond its schema.

    Attributes:
        model: the pydantic model of the whole resource.
        plural, short_name: names for URLs and for typing.
        name_pattern: what `metadata.name` must match; the names of children are made from it.
        columns: what `kubectl get` prints.
        scale: paths of the scale subresource, if there is one.

    """

    model: type[Resource]
    plural: str
    short_name: str
    name_pattern: str
    columns: tuple[Column, ...]
    scale: tuple[str, str, str] | None = None

    @property
    def name(self) -> str:
        """The kind, such as `AdapterTraining`."""
        return self.model.__name__


def custom_resource_definition(kind: Kind, group: str, version: str, categories: list[str]) -> dict[str, Any]:
    """The manifest to apply: one version, served and stored, with status (and scale) subresources."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scale is not None:
        spec_path, status_path, selector_path = kind.scale
        subresources["scale"] = {
            "specReplicasPath": spec_path,
            "statusReplicasPath": status_path,
            "labelSelectorPath": selector_path,
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{group}"},
        "spec": {
            "group": group,
            "names": {
                "categories": categories,
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "shortNames": [kind.short_name],
                "singular": kind.name.lower(),
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": root_schema(kind)},
                    "subresources": subresources,
                    "additionalPrinterColumns": [column.to_dict() for column in kind.columns],
                }
            ],
        },
    }


def root_schema(kind: Kind) -> JSONSchema:
    """The schema of the whole resource. Of the metadata the API server lets a CRD restrict the name alone."""
    schema = structural_schema(kind.model)
    properties = schema["properties"]
    properties["apiVersion"] = {
        "type": "string",
        "description": "Version of this API: adapters.dev/v1alpha1.",
    }
    properties["kind"] = {"type": "string", "description": f"Kind of this object: {kind.name}."}
    properties["metadata"] = {
        "type": "object",
        "properties": {"name": {"type": "string", "pattern": kind.name_pattern, "maxLength": 40}},
    }
    schema["required"] = ["spec"]
    _tell_defaults(schema)
    return schema


def _tell_defaults(schema: JSONSchema) -> None:
    """Say each default in the description: `kubectl explain` prints nothing else."""
    for child in schema.get("properties", {}).values():
        default = child.get("default")
        if default is not None and not isinstance(default, dict) and "Default:" not in child.get("description", ""):
            child["description"] = f"{child.get('description', '')} Default: {shown_default(default)}.".strip()
        _tell_defaults(child)
        _tell_defaults(child.get("items", {}))


def shown_default(value: object) -> str:
    """A default as people write it."""
    if isinstance(value, list):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
