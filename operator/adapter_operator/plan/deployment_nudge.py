"""Which pods to tell of a new AdapterSet: a changed annotation makes the kubelet look at the pod's volumes at once.

Without it a kubelet notices a changed config map only at its next periodic look, up to a minute and more later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.api.v1alpha1.scalars import format_time
from adapter_operator.observe.server_pods import Nudge, ServerPod
from adapter_operator.plan.deployment_set import PlannedSet
from adapter_operator.plan.plan import PodNudge

_FIRST_PAUSE: Final = timedelta(seconds=2)
_LONGEST_PAUSE: Final = timedelta(seconds=60)
_DOUBLINGS: Final = 5


@dataclass(frozen=True)
class Nudges:
    """Pods to nudge now, and when the next one is due."""

    now: tuple[PodNudge, ...] = ()
    due: datetime | None = None


def plan_nudges(pods: Iterable[ServerPod], sets: Iterable[PlannedSet], now: datetime) -> Nudges:
    """Nudge every running pod that has not applied its set's generation: at once, then after growing pauses.

    A kubelet may be told before it has seen the new config map itself; so it is told again until the pod reports the
    generation, and where the pod turned Ready since, after the first pause already.
    """
    generations = {one.name: one.document.generation for one in sets}
    found: list[PodNudge] = []
    due: list[datetime] = []
    for pod in pods:
        generation = _wanted_generation(pod, generations)
        if generation is None:
            continue
        at = _due(pod, generation)
        if at is None or at <= now:
            nudge = _nudge(pod, generation, now)
            found.append(nudge)
            at = now + _pause(_told(pod, generation) + 1)
        due.append(at)
    return Nudges(tuple(found), min(due, default=None))


def _wanted_generation(pod: ServerPod, generations: Mapping[str, int]) -> int | None:
    """The generation that the pod has not applied yet; None where it has, or where it can't say."""
    wanted = max((generations[name] for name in pod.set_names if name in generations), default=None)
    if wanted is None or pod.report is None or not pod.running:
        return None
    applied = pod.report.generation
    return wanted if applied is None or applied < wanted else None


def _told(pod: ServerPod, generation: int) -> int:
    return pod.nudge.times if pod.nudge is not None and pod.nudge.generation == generation else 0


def _due(pod: ServerPod, generation: int) -> datetime | None:
    """When to nudge the pod; None means at once."""
    nudge: Nudge | None = pod.nudge
    if nudge is None or nudge.generation != generation:
        return None
    if pod.ready_since is not None and pod.ready_since > nudge.time:
        # Not at once: the kubelet's clock may be ahead, and then each nudge would seem to lie before the readiness.
        return nudge.time + _FIRST_PAUSE
    return nudge.time + _pause(nudge.times)


def _pause(times: int) -> timedelta:
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(max(times - 1, 0), _DOUBLINGS)))


def _nudge(pod: ServerPod, generation: int, now: datetime) -> PodNudge:
    annotations = {
        keys.SET_GENERATION: str(generation),
        keys.SET_NUDGE: f"{_told(pod, generation) + 1}@{format_time(now)}",
    }
    return PodNudge(pod.name, pod.uid, annotations)
