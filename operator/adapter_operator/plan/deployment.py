"""The plan of an AdapterDeployment: from the resource, what is there, the settings and the time to what is to do."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.build.adapter_set import adapter_set_config_map
from adapter_operator.build.disruption_budget import disruption_budget
from adapter_operator.build.server_deployment import ServerInputs
from adapter_operator.build.service import serving_service
from adapter_operator.observe.deployment import ObservedDeployment
from adapter_operator.plan.deployment_adapters import ResolvedAdapter, TooManyAdaptersError, resolve_adapters
from adapter_operator.plan.deployment_conclusion import Conclusion
from adapter_operator.plan.deployment_events import transition_events
from adapter_operator.plan.deployment_nudge import plan_nudges
from adapter_operator.plan.deployment_pods import PodsView, view_pods
from adapter_operator.plan.deployment_serving import view_adapters
from adapter_operator.plan.deployment_set import PlannedSet, plan_sets, surplus_sets
from adapter_operator.plan.deployment_spec import RefusedSpecError, resolve_inputs
from adapter_operator.plan.deployment_status import Facts, full_status, refused_status
from adapter_operator.plan.deployment_template import ChosenTemplate, choose_template
from adapter_operator.plan.deployment_verdict import judge, judge_sources
from adapter_operator.plan.drift import differs
from adapter_operator.plan.plan import Plan

JSON = dict[str, Any]

_LOOK_AGAIN_SECONDS: Final = 10.0


def plan_deployment(
    deployment: AdapterDeployment, observed: ObservedDeployment, settings: OperatorSettings, now: datetime
) -> Plan:
    """Plan one reconciliation.

    A spec that can't be carried out changes nothing of what runs: its status says why, and the pods go on serving.

    Args:
        deployment: the resource with its status.
        observed: what is there.
        settings: the platform's.
        now: the time; nothing else here knows one.

    """
    if deployment.metadata.deletion_timestamp is not None:
        # The children go with their owner.
        return Plan()
    try:
        inputs = resolve_inputs(deployment, settings)
        adapters = resolve_adapters(deployment, observed, inputs.access.endpoint_url)
        template = choose_template(deployment, observed.deployment, inputs, settings)
        sets = plan_sets(deployment.spec, observed, adapters, inputs.access, template.set_name)
        _refuse_conflicts(observed, sets)
        written = list(_changed_sets(deployment, sets, template.contract_version))
    except TooManyAdaptersError as error:
        return _refused(deployment, observed, Conclusion("TooManyAdapters", str(error)), now)
    except RefusedSpecError as error:
        return _refused(deployment, observed, error.conclusion, now)
    pods = view_pods(observed.pods, wanted=deployment.spec.replicas, inputs_hash=inputs.digest, now=now)
    nudges = plan_nudges(observed.pods, sets, now)
    status, events = _conclude(deployment, observed, adapters, pods, template, inputs, now)
    times = [at for at in (nudges.due, pods.grace_ends) if at is not None]
    return Plan(
        status=status,
        apply=(*written, *_changed_children(deployment, observed, template)),
        delete=surplus_sets(observed, sets, deployment.metadata.namespace),
        nudge=nudges.now,
        events=events,
        requeue_after=max(0.0, (min(times) - now).total_seconds()) if times else None,
    )


def _conclude(
    deployment: AdapterDeployment,
    observed: ObservedDeployment,
    adapters: tuple[ResolvedAdapter, ...],
    pods: PodsView,
    template: ChosenTemplate,
    inputs: ServerInputs,
    now: datetime,
) -> tuple[JSON | None, tuple[Any, ...]]:
    """Status and events; nothing while pods that were heard before have not answered yet, or where all is as it was."""
    if pods.unheard and _speaks_of_this_generation(deployment):
        return None, ()
    views = view_adapters(adapters, pods)
    conclusion = judge(deployment, observed.deployment, pods, views)
    facts = Facts(pods, views, template, inputs.digest)
    status = full_status(deployment, conclusion, judge_sources(views), facts, now)
    if deployment.status is not None and status == deployment.status.to_dict():
        return None, ()
    return status, transition_events(deployment, conclusion, views)


def _refused(
    deployment: AdapterDeployment, observed: ObservedDeployment, conclusion: Conclusion, now: datetime
) -> Plan:
    status = refused_status(deployment, conclusion, observed.pods, now)
    # Nothing tells when an object of somebody else is gone.
    again = _LOOK_AGAIN_SECONDS if observed.conflicts else None
    if deployment.status is not None and status == deployment.status.to_dict():
        return Plan(requeue_after=again)
    return Plan(status=status, events=transition_events(deployment, conclusion, ()), requeue_after=again)


def _speaks_of_this_generation(deployment: AdapterDeployment) -> bool:
    status = deployment.status
    return (
        status is not None and status.observed_generation == deployment.metadata.generation and bool(status.conditions)
    )


def _refuse_conflicts(observed: ObservedDeployment, sets: tuple[PlannedSet, ...]) -> None:
    """Touch nothing while an object of somebody else has the name of a child.

    Raises:
        RefusedSpecError: there is one.

    """
    planned = {one.name for one in sets}
    found = [one for one in observed.conflicts if one.kind != "ConfigMap" or one.name in planned]
    if not found:
        return
    names = ", ".join(f"{one.kind} {one.name}" for one in found)
    if all(one.leaving for one in found):
        raise RefusedSpecError(Conclusion("Pending", f"{names} of an earlier object is still being deleted"))
    raise RefusedSpecError(
        Conclusion(
            "NameConflict",
            f"{names} belongs to somebody else: delete or rename it, or create the AdapterDeployment under another "
            "name",
        )
    )


def _changed_sets(deployment: AdapterDeployment, sets: tuple[PlannedSet, ...], version: int) -> Iterator[JSON]:
    for one in sets:
        if one.changed:
            yield adapter_set_config_map(deployment, one.name, one.document, version=version)


def _changed_children(
    deployment: AdapterDeployment, observed: ObservedDeployment, template: ChosenTemplate
) -> Iterator[JSON]:
    live: Mapping[str, Any] | None = observed.deployment.manifest if observed.deployment is not None else None
    children = (
        (template.manifest, live),
        (serving_service(deployment), observed.service),
        (disruption_budget(deployment), observed.disruption_budget),
    )
    for wanted, found in children:
        if differs(wanted, found):
            yield wanted
