"""The pods of a deployment as one picture: which are wanted, which are ready, and which can be heard."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapter_operator.observe.server_pods import ServerPod

GRACE: Final = timedelta(seconds=60)
"""How long a pod that can't be reached stands as it was; also, after a restart of the operator, the stored status."""


@dataclass(frozen=True)
class PodsView:
    """The living pods by what is known of them.

    Attributes:
        wanted: number of pods that the spec asks for.
        living: all that are not being deleted.
        current: those of the newest template.
        ready: those that get requests.
        unheard: ready ones that have not answered yet, and may still do so.
        silent: ready ones that have not answered for the whole grace.
        grace_ends: when the next pod turns silent; None where all answer.
    """

    wanted: int
    living: tuple[ServerPod, ...]
    current: tuple[ServerPod, ...]
    ready: tuple[ServerPod, ...]
    unheard: tuple[ServerPod, ...]
    silent: tuple[ServerPod, ...]
    grace_ends: datetime | None

    @property
    def rolling(self) -> bool:
        """Whether pods of an earlier template are still there."""
        return len(self.current) < len(self.living)

    @property
    def ready_current(self) -> tuple[ServerPod, ...]:
        """Ready pods of the newest template."""
        return tuple(pod for pod in self.current if pod.ready)

    @property
    def short(self) -> bool:
        """Whether fewer pods than wanted are ready."""
        return len(self.ready_current) < self.wanted


def view_pods(pods: tuple[ServerPod, ...], *, wanted: int, inputs_hash: str, now: datetime) -> PodsView:
    """Sort the pods.

    A pod that is not ready is never silent: while a base model is loaded, nobody expects an answer.
    """
    ready = tuple(pod for pod in pods if pod.ready)
    silent = tuple(pod for pod in ready if _is_silent(pod, now))
    unheard = tuple(pod for pod in ready if pod.report is None and pod not in silent)
    ends = [at for pod in ready if (at := _silent_from(pod)) is not None and at > now]
    # A pod that nobody has asked yet has no time of its own.
    ends += [now + GRACE for pod in unheard if pod.heard is None]
    return PodsView(
        wanted=wanted,
        living=pods,
        current=tuple(pod for pod in pods if pod.inputs_hash == inputs_hash),
        ready=ready,
        unheard=unheard,
        silent=silent,
        grace_ends=min(ends, default=None),
    )


def _silent_from(pod: ServerPod) -> datetime | None:
    """When the pod, if it goes on like this, counts as silent."""
    if pod.heard is None or pod.heard.unreachable_since is None:
        return None
    return pod.heard.unreachable_since + GRACE


def _is_silent(pod: ServerPod, now: datetime) -> bool:
    at = _silent_from(pod)
    return at is not None and at <= now
