"""The AdapterSets of a deployment: their content, and a generation that grows exactly when the content changes."""

from collections.abc import Iterable
from dataclasses import dataclass

from adapter_contract import AdapterEntry, AdapterLimits, AdapterSet, AdapterVersion
from adapter_operator.api.v1alpha1.deployment import DeploymentSpec
from adapter_operator.build.storage import ResolvedAccess
from adapter_operator.observe.deployment import LiveSet, ObservedDeployment
from adapter_operator.observe.served_trainings import Version
from adapter_operator.plan.deployment_adapters import ResolvedAdapter
from adapter_operator.plan.plan import Deletion


@dataclass(frozen=True)
class PlannedSet:
    """An AdapterSet as it should be, and whether it must be written."""

    name: str
    document: AdapterSet
    changed: bool


def plan_sets(
    spec: DeploymentSpec,
    observed: ObservedDeployment,
    adapters: tuple[ResolvedAdapter, ...],
    access: ResolvedAccess,
    name: str,
) -> tuple[PlannedSet, ...]:
    """The set of the pod template, and every other one that pods still mount.

    Pods of an earlier template keep the storage and the limits that they were started with; what they serve
    follows the spec like that of all others.

    Args:
        spec: of the deployment.
        observed: with the live sets.
        adapters: what to serve.
        access: how the pods of the template reach the store.
        name: config map that the template mounts.

    """
    entries = tuple(_entry(adapter) for adapter in adapters if adapter.servable)
    content = AdapterSet(
        generation=0,
        base_model_name=spec.base_model.name,
        storage=access.in_pod("adapters"),
        limits=_limits(spec),
        adapters=entries,
    )
    following = _newest_generation(observed) + 1
    planned = [_planned(name, content, observed.live_set(name), following)]
    for other in sorted(observed.mounted_sets - {name}):
        live = observed.live_set(other)
        before = live.content if live is not None and live.content is not None else content
        kept = before.model_copy(update={"adapters": entries, "generation": 0})
        planned.append(_planned(other, kept, live, following))
    return tuple(planned)


def surplus_sets(observed: ObservedDeployment, planned: Iterable[PlannedSet], namespace: str) -> tuple[Deletion, ...]:
    """Sets that no template, no ReplicaSet with replicas and no pod names."""
    wanted = {one.name for one in planned} | observed.mounted_sets
    if observed.deployment is not None:
        wanted |= set(observed.deployment.set_names)
    return tuple(
        Deletion("v1", "ConfigMap", namespace, one.name, one.uid)
        for one in sorted(observed.sets, key=lambda one: one.name)
        if one.name not in wanted
    )


def _planned(name: str, content: AdapterSet, live: LiveSet | None, following: int) -> PlannedSet:
    if live is not None and live.content is not None:
        document = content.model_copy(update={"generation": live.content.generation})
        if document == live.content:
            return PlannedSet(name, document, changed=False)
    return PlannedSet(name, content.model_copy(update={"generation": following}), changed=True)


def _newest_generation(observed: ObservedDeployment) -> int:
    """The newest that anybody has seen, so that a set which was deleted by hand does not begin anew."""
    written = [one.content.generation for one in observed.sets if one.content is not None]
    applied = [report.generation for report in observed.reports() if report.generation is not None]
    told = [pod.nudge.generation for pod in observed.pods if pod.nudge is not None]
    return max([0, *written, *applied, *told])


def _limits(spec: DeploymentSpec) -> AdapterLimits:
    return AdapterLimits(
        max_active_adapters=spec.engine.max_active_adapters,
        max_cached_adapters=spec.engine.max_cached_adapters,
        max_rank=spec.engine.max_rank,
        request_timeout_seconds=spec.limits.request_timeout_seconds,
    )


def _entry(adapter: ResolvedAdapter) -> AdapterEntry:
    version = adapter.version
    return AdapterEntry(
        name=adapter.name,
        policy=adapter.policy,
        digest=version.digest if version is not None else None,
        uri=version.uri if version is not None else None,
        fallback=_fallback(adapter.fallback),
    )


def _fallback(version: Version | None) -> AdapterVersion | None:
    return None if version is None else AdapterVersion(digest=version.digest, uri=version.uri)
