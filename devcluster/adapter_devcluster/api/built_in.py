"""The built-in resources as the registry holds them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from adapter_devcluster.api.registry import Served
from adapter_devcluster.builtin import BUILTIN, definition, definition_of, judge_for
from adapter_devcluster.builtin.events import core_event, new_event
from adapter_devcluster.patching.shapes import Shape, shape_of
from adapter_devcluster.resource_types import ResourceType

_NEW_EVENTS = ("events.k8s.io", "events")


def built_in_resources() -> Iterator[Served]:
    """Yield every built-in resource. Definitions and shapes are read when they are first needed."""
    for found in BUILTIN:
        judge = None if found.verbs == ("create",) else judge_for(found)
        if (found.group, found.plural) == _NEW_EVENTS:
            yield Served(found, judge, partial(_shape, found), load=new_event, to_storage=core_event, alias_of="events")
        else:
            yield Served(found, judge, partial(_shape, found))


def _shape(found: ResourceType) -> Shape:
    name = definition_of(found.api_version, found.kind)
    if name is None:
        raise LookupError(f"Kubernetes' schemas do not hold {found.api_version} {found.kind}")
    return shape_of(definition(name), definition)
