"""Events of a deployment: only what has changed since the status before."""

from collections.abc import Iterator
from typing import Any, Final

from adapter_operator.api.v1alpha1.conditions import situation_of
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.situations import DEPLOYMENT_STALLED, DEPLOYMENT_UNRESOLVED
from adapter_operator.plan import deployment_serving as serving
from adapter_operator.plan.deployment_conclusion import Conclusion
from adapter_operator.plan.deployment_serving import AdapterView, shown
from adapter_operator.plan.deployment_status import stored_adapter
from adapter_operator.plan.plan import EventRecord

JSON = dict[str, Any]

_ALARMING: Final = frozenset(
    {*DEPLOYMENT_STALLED.reasons, *DEPLOYMENT_UNRESOLVED.reasons, serving.LAST_VERSION, serving.STORAGE}
)


def transition_events(
    deployment: AdapterDeployment, conclusion: Conclusion, adapters: tuple[AdapterView, ...]
) -> tuple[EventRecord, ...]:
    """What became of each adapter, and of the whole where no adapter's event says the same."""
    found = [event for view in adapters for event in _adapter_events(deployment, view)]
    if _ready_reason(deployment) != conclusion.reason and conclusion.reason not in {one.reason for one in found}:
        situation = situation_of("AdapterDeployment", conclusion.reason)
        alarming = situation.abnormal == "Stalled" or situation.ready == "Unknown" or conclusion.reason in _ALARMING
        found.append(EventRecord("Warning" if alarming else "Normal", conclusion.reason, conclusion.message))
    return tuple(found)


def _adapter_events(deployment: AdapterDeployment, view: AdapterView) -> Iterator[EventRecord]:
    name, version = view.resolved.name, view.resolved.version
    stored = stored_adapter(deployment, name)
    before = (stored.reason, stored.desired_digest) if stored is not None else (None, None)
    if before == (view.state.reason, version.digest if version is not None else None):
        return
    if view.state.reason == serving.SERVED and version is not None:
        number = f"version {version.number}, " if version.number is not None else ""
        yield EventRecord("Normal", "AdapterServed", f"{name}: {number}{shown(version.digest)} is served by all pods")
    elif view.state.reason in _ALARMING:
        yield EventRecord("Warning", view.state.reason, f"{name}: {view.state.message}")


def _ready_reason(deployment: AdapterDeployment) -> str | None:
    conditions = (deployment.status.conditions or ()) if deployment.status is not None else ()
    return next((one.reason for one in conditions if one.type == "Ready"), None)
