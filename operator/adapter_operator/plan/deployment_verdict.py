"""The one situation that a deployment is in, of all that could be said of it: what needs a human comes first."""

from collections.abc import Iterable
from typing import Final

from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.situations import DEPLOYMENT_STALLED, DEPLOYMENT_UNRESOLVED
from adapter_operator.observe.deployment import LiveDeployment
from adapter_operator.plan import deployment_serving as serving
from adapter_operator.plan.deployment_conclusion import Conclusion
from adapter_operator.plan.deployment_pods import PodsView
from adapter_operator.plan.deployment_serving import AdapterView

_STALLED: Final = frozenset({*DEPLOYMENT_STALLED.reasons, *DEPLOYMENT_UNRESOLVED.reasons})


def judge(
    deployment: AdapterDeployment,
    live: LiveDeployment | None,
    pods: PodsView,
    adapters: Iterable[AdapterView],
) -> Conclusion:
    """Conclude what Ready says. The order of the questions is the order of what users must hear first."""
    views = tuple(adapters)
    if deployment.spec.replicas == 0:
        return Conclusion("ScaledToZero", "spec.replicas is 0: no pod is wanted")
    return (
        _stalled_adapter(views)
        or _no_progress(live, pods)
        or _unreachable(pods)
        or _missing_pods(deployment, live, pods)
        or _unfinished_adapter(views)
        or _served(pods, views)
    )


def judge_sources(adapters: Iterable[AdapterView]) -> Conclusion | None:
    """What AdaptersResolved says when it is False: the first source that names no version; None when all do."""
    obstacles = [view.resolved.obstacle for view in adapters if view.resolved.obstacle is not None]
    return _first_of(obstacles) if obstacles else None


def _stalled_adapter(views: tuple[AdapterView, ...]) -> Conclusion | None:
    found = [view.state for view in views if view.state.reason in _STALLED]
    return _first_of(found) if found else None


def _no_progress(live: LiveDeployment | None, pods: PodsView) -> Conclusion | None:
    if live is None or live.deadline_message is None or not live.settled or not pods.short:
        return None
    last = _trouble(live, pods)
    words = last.message if last is not None else live.deadline_message
    return Conclusion("ProgressDeadlineExceeded", f"pods did not become ready in time: {words}")


def _unreachable(pods: PodsView) -> Conclusion | None:
    if not pods.silent:
        return None
    names = ", ".join(pod.name for pod in pods.silent[:3])
    return Conclusion(
        "PodUnreachable",
        f"{len(pods.silent)} of {len(pods.ready)} ready pods do not answer on their management port ({names}): "
        "let the operator reach port 8081 (network policies), or look at their logs",
    )


def _missing_pods(deployment: AdapterDeployment, live: LiveDeployment | None, pods: PodsView) -> Conclusion | None:
    if live is None:
        return Conclusion("Pending", "the Deployment and the Service are being created")
    count = f"{len(pods.ready)} of {pods.wanted} pods answer"
    trouble = _trouble(live, pods) if pods.short else None
    crowded = trouble is not None and trouble.reason in {"Unschedulable", "QuotaExceeded"}
    if pods.short and pods.ready and (crowded or (pods.rolling and deployment.spec.rollout.max_surge == 0)):
        words = trouble.message if trouble is not None else "rollout.maxSurge is 0, so pods leave before others come"
        return Conclusion("ReducedCapacity", f"{count}: {words}")
    if trouble is not None:
        return Conclusion(trouble.reason, f"{count}: {trouble.message}")
    if pods.rolling:
        done = f"{len(pods.ready_current)} of {pods.wanted} pods are replaced"
        others = "go on answering" if pods.short else "are leaving"
        return Conclusion("RollingUpdate", f"{done}; the others {others}")
    if pods.short:
        return Conclusion("PodsStarting", f"{count}; the others are starting: image, volumes, base model")
    return None


def _trouble(live: LiveDeployment, pods: PodsView) -> Conclusion | None:
    """What keeps a pod of the newest template from coming or from running."""
    waiting = [(pod, pod.waiting) for pod in pods.current if pod.waiting is not None]
    if waiting:
        pod, why = waiting[0]
        return Conclusion(why.reason, f"pod {pod.name}: {why.message}")
    if live.creation_failure is not None:
        reason = "QuotaExceeded" if "exceeded quota" in live.creation_failure else "PodsStarting"
        return Conclusion(reason, live.creation_failure)
    failed = next((pod for pod in pods.current if pod.failure is not None), None)
    return Conclusion("PodsStarting", f"pod {failed.name}: {failed.failure}") if failed is not None else None


def _unfinished_adapter(views: tuple[AdapterView, ...]) -> Conclusion | None:
    states = [view.state for view in views]
    for reason, condition in (
        (serving.STORAGE, "StorageUnavailable"),
        (serving.LOADING, "AdaptersLoading"),
        (serving.WAITING, "WaitingForTraining"),
    ):
        found = [state for state in states if state.reason == reason]
        if found:
            return Conclusion(condition, _first_of(found).message)
    return None


def _served(pods: PodsView, views: tuple[AdapterView, ...]) -> Conclusion:
    last = [view.state for view in views if view.state.reason == serving.LAST_VERSION]
    if last:
        return _first_of(last)
    what = f"all {len(views)} adapters" if views else "the base model; no adapters are listed"
    return Conclusion("AdaptersServed", f"{len(pods.ready)} of {pods.wanted} pods serve {what}")


def _first_of(conclusions: list[Conclusion]) -> Conclusion:
    """The first, and how many more there are: the others stand in status.adapters."""
    first, more = conclusions[0], len(conclusions) - 1
    if more == 0:
        return first
    return Conclusion(first.reason, f"{first.message} (and {more} more in status.adapters)")
