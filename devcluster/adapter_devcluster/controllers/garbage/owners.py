"""What becomes of a dependent, by what its owners are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from adapter_devcluster.client import Propagation
from adapter_devcluster.controllers.garbage.graph import FOREGROUND, ORPHAN, has_finalizer
from adapter_devcluster.objects import Object

# A solid owner lives; a waiting one lives until its dependents are gone; a dangling reference leads nowhere.
OwnerState = Literal["solid", "dangling", "waiting"]


@dataclass(frozen=True, slots=True)
class Fate:
    """Delete an object in some way, or have it forget owners, or leave it alone."""

    delete: Propagation | None = None
    forget: list[str] = field(default_factory=list)
    unblock: bool = False


def decide(
    obj: Object,
    references: Sequence[Object],
    state_of: Callable[[Object], OwnerState],
    *,
    has_dependents: bool,
    dependents_wait: bool,
) -> Fate:
    """Decide on an object that isn't being deleted.

    An object with a solid owner stays and forgets the others. With none, it is deleted: in the foreground if an
    owner waits and it has dependents itself. If one of these waits too there may be a circle, so the object
    stops blocking its owners (``unblock``).
    """
    if not references:
        return Fate()
    states = [(str(one["uid"]), state_of(one)) for one in references]
    if any(state == "solid" for _, state in states):
        return Fate(forget=[owner for owner, state in states if state != "solid"])
    if has_dependents and any(state == "waiting" for _, state in states):
        return Fate(delete="Foreground", unblock=dependents_wait)
    if has_finalizer(obj, ORPHAN):
        return Fate(delete="Orphan")
    return Fate(delete="Foreground" if has_finalizer(obj, FOREGROUND) else "Background")
