"""A plan: all that one reconciliation is to change, as values. The planners make it, the executor carries it out.

The executor goes through the parts in the order of the fields. Creations come before the status, so that what a
fenced Job mounts exists; the status comes before the Job, so that no Job exists which the status does not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JSON = dict[str, Any]


@dataclass(frozen=True)
class FencedCreate:
    """A Job to create at most once.

    Before it is created, and after the status was written, the executor lists Jobs and pods with `selector` anew from
    the API server; while one of the pods is not terminal, or another Job is neither finished nor gone, it creates
    nothing and plans again later. That the name is taken by an object with our controller's UID is success.

    Attributes:
        manifest: the Job.
        selector: label selector of every Job and pod that must have ended.

    """

    manifest: JSON
    selector: str


@dataclass(frozen=True)
class Deletion:
    """An object to delete, and only this one: another of its name has another UID."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    propagation: Literal["Foreground", "Background"] = "Background"


@dataclass(frozen=True)
class PodNudge:
    """Annotations to set on a pod through its status, so that the kubelet looks at its volumes at once."""

    name: str
    uid: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EventRecord:
    """A Kubernetes event about the object. The reason is stable; the message is for people."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What to do, in the order of the fields.

    Attributes:
        create: objects to create once; that one is there with our owner and equal content is success.
        status: the whole status as it should be; None leaves it. It is written with the resource version that the plan
            was made from, and only where it differs.
        fenced: the Job to create at most once.
        apply: objects to apply on the server's side, by the field manager `adapter-operator`.
        delete: what is surplus.
        nudge: pods to wake.
        events: of transitions; posted when the status is written.
        requeue_after: seconds until time alone could change the plan.

    """

    create: tuple[JSON, ...] = ()
    status: JSON | None = None
    fenced: FencedCreate | None = None
    apply: tuple[JSON, ...] = ()
    delete: tuple[Deletion, ...] = ()
    nudge: tuple[PodNudge, ...] = ()
    events: tuple[EventRecord, ...] = ()
    requeue_after: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed now."""
        return self == Plan(requeue_after=self.requeue_after)
