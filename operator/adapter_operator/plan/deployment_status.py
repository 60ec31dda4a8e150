"""The status of a deployment, whole, by what was concluded."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from adapter_operator.api.v1alpha1.conditions import make_conditions
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.deployment_status import (
    AdapterState,
    DeploymentStatus,
    ResolvedDeployment,
    ServedVersion,
)
from adapter_operator.api.v1alpha1.metadata import Condition
from adapter_operator.build.metadata import uid_selector
from adapter_operator.build.service import endpoint
from adapter_operator.observe.server_pods import ServerPod
from adapter_operator.plan.deployment_conclusion import Conclusion
from adapter_operator.plan.deployment_pods import PodsView
from adapter_operator.plan.deployment_serving import AdapterView
from adapter_operator.plan.deployment_template import ChosenTemplate

JSON = dict[str, Any]

_HISTORY: Final = 3
_MESSAGE: Final = 1024


@dataclass(frozen=True)
class Facts:
    """What a status tells beside its conditions."""

    pods: PodsView
    adapters: tuple[AdapterView, ...]
    template: ChosenTemplate
    inputs_hash: str


def refused_status(
    deployment: AdapterDeployment, conclusion: Conclusion, pods: tuple[ServerPod, ...], now: datetime
) -> JSON:
    """The status where nothing can be carried out: what it said of the adapters stays as it was."""
    before = deployment.status or DeploymentStatus()
    update = {
        "observed_generation": deployment.metadata.generation,
        "conditions": _conditions(deployment, conclusion, (), now),
        "replicas": len(pods),
        "ready_replicas": sum(pod.ready for pod in pods),
    }
    return before.model_copy(update=update).to_dict()


def full_status(
    deployment: AdapterDeployment,
    conclusion: Conclusion,
    sources: Conclusion | None,
    facts: Facts,
    now: datetime,
) -> JSON:
    """The status by everything that is known.

    Args:
        deployment: the resource, with the status before.
        conclusion: what Ready says.
        sources: why AdaptersResolved is False; None where it is True.
        facts: pods, adapters and template.
        now: time of the conclusion.

    """
    complete = sum(view.complete for view in facts.adapters)
    return DeploymentStatus(
        observed_generation=deployment.metadata.generation,
        conditions=_conditions(deployment, conclusion, (_resolved(deployment, facts, sources, now),), now),
        replicas=len(facts.pods.living),
        ready_replicas=len(facts.pods.ready),
        selector=uid_selector(deployment),
        adapters_ready=f"{complete}/{len(facts.adapters)}",
        endpoint=endpoint(deployment),
        resolved=ResolvedDeployment(
            image=facts.template.image,
            contract_version=facts.template.contract_version,
            template_inputs_hash=facts.inputs_hash,
        ),
        adapters=[_adapter(deployment, view, now) for view in facts.adapters],
    ).to_dict()


def _conditions(
    deployment: AdapterDeployment, conclusion: Conclusion, further: tuple[Condition, ...], now: datetime
) -> list[Condition]:
    return make_conditions(
        "AdapterDeployment",
        conclusion.reason,
        conclusion.message,
        generation=deployment.metadata.generation,
        now=now,
        previous=_previous(deployment),
        further=further,
    )


def _resolved(deployment: AdapterDeployment, facts: Facts, sources: Conclusion | None, now: datetime) -> Condition:
    count = len(facts.adapters)
    said = sources or Conclusion("Resolved", f"all {count} adapters name a version" if count else "none are listed")
    return Condition(
        type="AdaptersResolved",
        status="True" if sources is None else "False",
        observed_generation=deployment.metadata.generation,
        last_transition_time=now,
        reason=said.reason,
        message=said.message,
    )


def _previous(deployment: AdapterDeployment) -> Iterable[Condition]:
    return (deployment.status.conditions or ()) if deployment.status is not None else ()


def _adapter(deployment: AdapterDeployment, view: AdapterView, now: datetime) -> AdapterState:
    stored = stored_adapter(deployment, view.resolved.name)
    version = view.resolved.version
    desired = version.digest if version is not None else None
    same = stored is not None and (stored.reason, stored.desired_digest) == (view.state.reason, desired)
    return AdapterState(
        name=view.resolved.name,
        desired_digest=desired,
        served_digest=view.served,
        uri=version.uri if version is not None else None,
        version=version.number if version is not None else None,
        ready_replicas=view.ready_pods,
        reason=view.state.reason,
        message=view.state.message[:_MESSAGE],
        since=stored.since if same and stored is not None and stored.since is not None else now,
        history=_history(stored, view, now),
    )


def stored_adapter(deployment: AdapterDeployment, name: str) -> AdapterState | None:
    """What the status said of an adapter before."""
    adapters = (deployment.status.adapters or ()) if deployment.status is not None else ()
    return next((one for one in adapters if one.name == name), None)


def _history(stored: AdapterState | None, view: AdapterView, now: datetime) -> list[ServedVersion] | None:
    """What was served before, newest first; a version enters when another one takes its place."""
    if stored is None:
        return None
    resolved = view.resolved
    wanted = resolved.version.digest if resolved.version is not None else None
    listed = list(stored.history or ())
    left = stored.desired_digest
    if left is not None and left != wanted and resolved.memory.was_served(left):
        replaced = ServedVersion(
            digest=left, uri=stored.uri, version=stored.version, time=now, reason=_why_replaced(view)
        )
        listed = [replaced, *(one for one in listed if one.digest != left)]
    kept = [one for one in listed if one.digest != wanted][:_HISTORY]
    return kept or None


def _why_replaced(view: AdapterView) -> str:
    resolved = view.resolved
    if resolved.version is None:
        return resolved.obstacle.reason if resolved.obstacle is not None else "SourceChanged"
    if resolved.held:
        return "Held"
    return "Promoted" if resolved.version.number is not None else "SourceChanged"
