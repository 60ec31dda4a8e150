"""What is particular to a kind: its defaults, what the server fills in, its validation.

The names are those of ``rest.RESTCreateStrategy`` and ``rest.RESTUpdateStrategy`` (``apiserver/pkg/registry/rest``).
Functions that prepare change the object that they are given; functions that check only report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.objects import Object

Prepare: TypeAlias = Callable[[Object], None]
# The new object and the stored one.
PrepareUpdate: TypeAlias = Callable[[Object, Object], None]
Check: TypeAlias = Callable[[Object], Iterable[FieldError]]
CheckUpdate: TypeAlias = Callable[[Object, Object], Iterable[FieldError]]

# What an update of a status may not change in metadata, where the strategy calls ResetObjectMetaForStatus.
ALL_METADATA: Final = ("labels", "annotations", "finalizers", "ownerReferences")


def _nothing(_: Object) -> None:
    """Leave an object as it is."""


def _nothing_new(_: Object, __: Object) -> None:
    """Leave an update as it is."""


def _fine(_: Object) -> Iterable[FieldError]:
    return ()


def _fine_update(_: Object, __: Object) -> Iterable[FieldError]:
    return ()


@dataclass(frozen=True, slots=True)
class UpdateChecks:
    """How often an update runs each check. The server's functions overlap, and each finding of each is a cause.

    ``content`` is what a creation checks, ``metadata`` its metadata, ``changes`` the changes of metadata: once
    for all kinds, and mostly once more by the kind's own validation.
    """

    content: int = 1
    metadata: int = 1
    changes: int = 2


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a kind is treated beside what all kinds have in common.

    ``defaults`` run on whatever is decoded. ``update`` says what else runs beside ``check_update``.
    ``check_subresource`` judges changes through other subresources than ``status``: the server makes them.
    ``status_keeps`` are the fields of metadata that an update of the status can't change. ``takes_status``: a
    creation keeps the status that it is sent with. ``generation_of`` returns what the generation counts the
    changes of; without it objects have no generation.
    """

    check_name: Callable[[str], list[str]] = names.check_dns_subdomain
    defaults: Prepare = _nothing
    prepare_create: Prepare = _nothing
    prepare_update: PrepareUpdate = _nothing_new
    prepare_status: PrepareUpdate = _nothing_new
    check: Check = _fine
    check_update: CheckUpdate = _fine_update
    update: UpdateChecks = UpdateChecks()
    check_status: CheckUpdate = _fine_update
    check_subresource: CheckUpdate = _fine_update
    status_keeps: tuple[str, ...] = ()
    takes_status: bool = False
    generation_of: Callable[[Object], object] | None = None


def spec_of(obj: Mapping[str, object]) -> object:
    """Count changes of the spec."""
    return obj.get("spec")
