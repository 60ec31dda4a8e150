"""What the server serves: resource types, built-in or from a CustomResourceDefinition, and how objects are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from adapter_devcluster.apiextensions import Admitted, FieldValidation, Refused
from adapter_devcluster.objects import Object

ALL_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS_VERBS: Final = ("get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource as discovery shows it. ``group`` and ``version`` are those of ``kind``, if they differ."""

    name: str
    kind: str
    verbs: tuple[str, ...] = STATUS_VERBS
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource in one version. Versions of one resource have the same ``resource`` and one storage.

    ``selectable_fields`` are what a field selector may name beside metadata.name and metadata.namespace.
    ``unconditional_update``: an update need not carry a resource version. ``create_on_update``: a PUT creates what
    is not there.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    selectable_fields: tuple[str, ...] = ()
    unconditional_update: bool = True
    create_on_update: bool = False
    list_kind: str = ""

    @property
    def resource(self) -> str:
        """``plural`` or ``plural.group``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def subresource(self, name: str) -> Subresource | None:
        """Return a subresource by name."""
        return next((one for one in self.subresources if one.name == name), None)


class Judge(Protocol):
    """Decodes, prunes, defaults and validates objects of one resource type. Pure: copies what it changes.

    Before ``admit_create`` the server has put in uid, creationTimestamp and, from generateName, the name.
    """

    def admit_create(
        self,
        obj: Object,
        *,
        namespace: str | None = None,
        field_validation: FieldValidation = "Ignore",
        decoding_errors: Sequence[str] = (),
    ) -> Admitted | Refused:
        """Decide on a creation."""

    def admit_update(
        self,
        old: Object,
        new: Object,
        *,
        subresource: str = "",
        field_validation: FieldValidation = "Ignore",
        decoding_errors: Sequence[str] = (),
    ) -> Admitted | Refused:
        """Decide on an update, through the resource itself or through ``status``."""
