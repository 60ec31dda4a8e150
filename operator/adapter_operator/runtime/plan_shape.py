"""The shape of what the executor carries out. Planners have classes of their own that fit, and none is known here."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from adapter_operator.runtime.objects import Object


class EventLike(Protocol):
    """What there is to say."""

    @property
    def type(self) -> Literal["Normal", "Warning"]:
        """Whether it needs attention."""

    @property
    def reason(self) -> str:
        """Stable word for programs."""

    @property
    def message(self) -> str:
        """Sentence for people."""


class FencedLike(Protocol):
    """A Job to create at most once, when nothing that matches the selector is alive."""

    @property
    def manifest(self) -> Object:
        """The Job."""

    @property
    def selector(self) -> str:
        """Label selector of Jobs and pods."""


class DeletionLike(Protocol):
    """An object to delete."""

    @property
    def api_version(self) -> str:
        """Its API version."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def namespace(self) -> str:
        """Its namespace."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def uid(self) -> str:
        """Its UID: another object of the name stays."""

    @property
    def propagation(self) -> Literal["Foreground", "Background"]:
        """What becomes of its dependents."""


class NudgeLike(Protocol):
    """Annotations to set on a pod through its status."""

    @property
    def name(self) -> str:
        """The pod's name."""

    @property
    def uid(self) -> str:
        """The pod's UID."""

    @property
    def annotations(self) -> Mapping[str, str]:
        """What to set."""


class PlanLike(Protocol):
    """What the executor carries out."""

    @property
    def create(self) -> Sequence[Object]:
        """Objects to create once."""

    @property
    def status(self) -> Object | None:
        """The whole status, or None to leave it."""

    @property
    def fenced(self) -> FencedLike | None:
        """A Job to create at most once."""

    @property
    def apply(self) -> Sequence[Object]:
        """Objects to apply."""

    @property
    def delete(self) -> Sequence[DeletionLike]:
        """Objects to delete."""

    @property
    def nudge(self) -> Sequence[NudgeLike]:
        """Pods to wake."""

    @property
    def events(self) -> Sequence[EventLike]:
        """What to tell people."""

    @property
    def requeue_after(self) -> float | None:
        """Seconds until time alone could change the plan."""
