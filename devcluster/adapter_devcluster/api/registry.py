"""Which resources are served, in which versions, and what belongs to each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from adapter_devcluster.apiextensions import Columns, Scale
from adapter_devcluster.objects import Object
from adapter_devcluster.patching.field_sets import FieldSet, field_set
from adapter_devcluster.patching.shapes import Shape
from adapter_devcluster.resource_types import Judge, ResourceType

_MAIN: Final = field_set(("status",))
_STATUS: Final = field_set(("spec",))
_CUSTOM_STATUS: Final = field_set(("spec",), ("metadata",))


def unchanged(obj: Object) -> Object:
    """Return the object: between versions that have one form."""
    return obj


@dataclass(frozen=True)
class Served:
    """One version of a resource.

    ``load`` gives a stored object the form of this version, ``to_storage`` is its inverse. ``alias_of`` names the
    resource whose objects these are, where two groups serve the same ones.

    ``judge`` is None for kinds that are answered and not stored, such as reviews. ``exposed``: clients may use it.
    """

    type: ResourceType
    judge: Judge | None
    make_shape: Callable[[], Shape]
    load: Callable[[Object], Object] = unchanged
    to_storage: Callable[[Object], Object] = unchanged
    alias_of: str = ""
    storage: bool = True
    exposed: bool = True
    columns: Columns | None = None
    scale: Scale | None = None
    custom: bool = False

    @cached_property
    def shape(self) -> Shape:
        """How objects are structured for merging."""
        return self.make_shape()

    @property
    def resource(self) -> str:
        """The resource under which its objects are stored."""
        return self.alias_of or self.type.resource

    @property
    def has_status(self) -> bool:
        """Whether the status is written through a subresource."""
        return self.type.subresource("status") is not None

    def reset_fields(self, subresource: str) -> FieldSet | None:
        """Return what a write through the resource itself or through ``status`` never changes, so never owns.

        As ``GetResetFields`` of the strategies: a custom resource's status is written without any metadata.
        """
        if subresource == "status":
            return _CUSTOM_STATUS if self.custom else _STATUS
        return _MAIN if self.has_status and not subresource else None


@dataclass
class Registry:
    """All that is served. ``generation`` counts changes, for what is derived from it and cached."""

    generation: int = 0
    _served: dict[tuple[str, str, str], Served] = field(default_factory=dict)
    _stored: dict[str, Served] = field(default_factory=dict)
    _kinds: dict[tuple[str, str], Served] = field(default_factory=dict)
    _watchers: dict[str, list[Callable[[], None]]] = field(default_factory=dict)

    def add(self, served: Served) -> None:
        """Serve a resource in one version, in place of what was served there."""
        found = served.type
        self.generation += 1
        if served.exposed:
            self._served[found.group, found.version, found.plural] = served
            self._kinds[found.api_version, found.kind] = served
        if served.storage and not served.alias_of:
            self._stored[found.resource] = served

    def when_removed(self, resource: str, tell: Callable[[], None]) -> Callable[[], None]:
        """Call ``tell`` when a resource is served no more, or in another form. Returns what ends that."""
        watchers = self._watchers.setdefault(resource, [])
        watchers.append(tell)

        def cancel() -> None:
            if tell in watchers:
                watchers.remove(tell)

        return cancel

    def remove(self, resource: str) -> None:
        """Serve no version of a resource any more."""
        for tell in self._watchers.pop(resource, ()):
            tell()
        self.generation += 1
        self._stored.pop(resource, None)
        for key, served in list(self._served.items()):
            if served.type.resource == resource:
                del self._served[key]
                self._kinds.pop((served.type.api_version, served.type.kind), None)

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """Return a resource by its path."""
        return self._served.get((group, version, plural))

    def stored(self, resource: str) -> Served | None:
        """Return a resource in the version in which it is stored."""
        return self._stored.get(resource)

    def by_kind(self, api_version: str, kind: str) -> Served | None:
        """Return the resource of a kind."""
        return self._kinds.get((api_version, kind))

    def types(self) -> list[ResourceType]:
        """Return all types, in order of group, version and name."""
        return [self._served[key].type for key in sorted(self._served)]

    def stored_resources(self) -> Iterator[str]:
        """Iterate over the resources that have objects."""
        return (resource for resource, served in sorted(self._stored.items()) if served.judge is not None)
