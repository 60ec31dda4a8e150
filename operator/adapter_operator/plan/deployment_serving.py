"""How far each adapter is: what every ready pod serves of it, and why that is not what should be."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from adapter_contract import AdapterState, AdapterStatus
from adapter_operator.api.v1alpha1.situations import DEPLOYMENT_STALLED
from adapter_operator.observe.served_trainings import Version
from adapter_operator.observe.server_pods import ServerPod
from adapter_operator.plan.deployment_adapters import ResolvedAdapter
from adapter_operator.plan.deployment_conclusion import Conclusion
from adapter_operator.plan.deployment_pods import PodsView

SERVED: Final = "Served"
LAST_VERSION: Final = "LastVersionServed"
LOADING: Final = "Loading"
PENDING: Final = "Pending"
UNREACHABLE: Final = "PodUnreachable"
STORAGE: Final = "StorageUnavailable"
WAITING: Final = "WaitingForTraining"

_REFUSED: Final = "AdapterRefused"
_STORAGE_REASONS: Final = frozenset({STORAGE, "PermissionDenied", "InputMissing"})
_DIGITS: Final = 19


@dataclass(frozen=True)
class AdapterView:
    """One adapter over all pods.

    Attributes:
        resolved: what should be served.
        served: digest that every ready pod serves; None where they differ or one serves nothing.
        ready_pods: number of ready pods that serve the version that should be.
        complete: every ready pod serves it, and there is one.
        state: a stable word for the adapter's state, and what to do.
    """

    resolved: ResolvedAdapter
    served: str | None
    ready_pods: int
    complete: bool
    state: Conclusion


def view_adapters(adapters: Iterable[ResolvedAdapter], pods: PodsView) -> tuple[AdapterView, ...]:
    """Judge every adapter by what the pods say of it."""
    return tuple(_view(adapter, pods) for adapter in adapters)


def _view(adapter: ResolvedAdapter, pods: PodsView) -> AdapterView:
    serving = {pod.uid: _served_by(pod, adapter) for pod in pods.ready}
    digests = set(serving.values())
    served = digests.pop() if len(digests) == 1 else None
    if isinstance(adapter.source, Version):
        wanted = adapter.source.digest
    elif adapter.kept is not None:
        wanted = adapter.kept.digest
    else:
        why = Conclusion(adapter.source.reason, f"{adapter.source.message}{_meanwhile(adapter)}")
        return AdapterView(adapter, served, ready_pods=0, complete=False, state=why)
    known = [digest for uid, digest in serving.items() if uid not in {pod.uid for pod in pods.silent}]
    complete = served == wanted and len(known) == len(serving)
    state = _state(adapter, wanted, pods, complete=complete)
    return AdapterView(adapter, served, sum(digest == wanted for digest in known), complete=complete, state=state)


def _served_by(pod: ServerPod, adapter: ResolvedAdapter) -> str | None:
    """What a pod serves under the name; where it never answered, what all pods served when status was written."""
    if pod.report is None:
        return adapter.memory.served
    status = pod.adapter(adapter.name)
    return status.served_digest if status is not None else None


def _state(adapter: ResolvedAdapter, wanted: str, pods: PodsView, *, complete: bool) -> Conclusion:
    statuses = list(_about(wanted, adapter.name, pods))
    refused = [(pod, status) for pod, status in statuses if status.state == AdapterState.REFUSED]
    if refused:
        return _refusal(adapter, *refused[0])
    if adapter.obstacle is not None and adapter.obstacle.reason == "StorageMismatch":
        return adapter.obstacle
    if complete:
        return _complete(adapter, wanted)
    failed = [(pod, status) for pod, status in statuses if status.state == AdapterState.FAILED]
    return _failure(*failed[0]) if failed else _incomplete(adapter, wanted, pods)


def _failure(pod: ServerPod, status: AdapterStatus) -> Conclusion:
    reason = STORAGE if status.reason in _STORAGE_REASONS else LOADING
    return Conclusion(reason, f"pod {pod.name} tries again: {status.message or status.reason}")


def _incomplete(adapter: ResolvedAdapter, wanted: str, pods: PodsView) -> Conclusion:
    if pods.silent:
        return Conclusion(UNREACHABLE, f"pod {pods.silent[0].name} does not answer, so what it serves is not known")
    if not pods.ready:
        return Conclusion(PENDING, "no pod answers requests yet")
    return Conclusion(LOADING, f"pods are loading {shown(wanted)}{_meanwhile(adapter)}")


def _about(wanted: str, name: str, pods: PodsView) -> Iterator[tuple[ServerPod, AdapterStatus]]:
    """What pods of the newest template say of this very version. Earlier ones may well refuse what they can't serve."""
    for pod in pods.current:
        status = pod.adapter(name)
        if status is not None and status.desired_digest == wanted and pod not in pods.silent:
            yield pod, status


def _refusal(adapter: ResolvedAdapter, pod: ServerPod, status: AdapterStatus) -> Conclusion:
    reason = status.reason if status.reason in DEPLOYMENT_STALLED.reasons else _REFUSED
    said = status.message or status.reason or "no reason given"
    return Conclusion(reason or _REFUSED, f"pod {pod.name} refuses {adapter.name}: {said}{_meanwhile(adapter)}")


def _complete(adapter: ResolvedAdapter, wanted: str) -> Conclusion:
    if adapter.obstacle is not None:
        return Conclusion(LAST_VERSION, f"{adapter.obstacle.message}; {shown(wanted)} stays in service")
    return Conclusion(SERVED, f"{shown(wanted)} is verified, loaded and probed")


def _meanwhile(adapter: ResolvedAdapter) -> str:
    """What answers until the version does; nothing where that is the version itself."""
    version, fallback = adapter.version, adapter.fallback
    if fallback is None or (version is not None and version.digest == fallback.digest):
        return ""
    return f"; {shown(fallback.digest)} stays in service"


def shown(digest: str) -> str:
    """A digest, short enough to read and long enough to find."""
    return digest[:_DIGITS]
