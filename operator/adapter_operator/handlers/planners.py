"""From a key's objects to a plan: parse, observe, plan. What differs between the two kinds is here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from adapter_operator.api.schema.model import InvalidResourceError
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.handlers.kinds import ADAPTER_TRAININGS, of_deployment, of_training
from adapter_operator.handlers.pod_reports import PodReports
from adapter_operator.handlers.waiting_events import PATIENCE, Explained, WaitingEvents
from adapter_operator.handlers.wakeups import referred_trainings
from adapter_operator.observe.deployment import observe_deployment
from adapter_operator.observe.training import observe_training
from adapter_operator.plan.deployment import plan_deployment
from adapter_operator.plan.invalid import plan_invalid
from adapter_operator.plan.plan import Plan
from adapter_operator.plan.training import plan_training
from adapter_operator.runtime.objects import Object, key_of, uid_of
from adapter_operator.runtime.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    ResourceType,
)
from adapter_operator.runtime.store import Store

_RECHECK_SECONDS: Final = PATIENCE.total_seconds() + 5


class Planner(Protocol):
    """Makes plans for one kind."""

    async def plan(self, owner: Object, strangers: Sequence[Object]) -> Plan:
        """Plan one reconciliation.

        Args:
            owner: the resource as it is known.
            strangers: live objects under names of children that no watch shows.

        """


class Around:
    """The objects of one resource: from the store, with strangers beside them."""

    def __init__(self, store: Store, owner: Object, word: str, strangers: Iterable[Object]) -> None:
        self._store = store
        self._words = (word, uid_of(owner))
        self._strangers = tuple(strangers)

    def of(self, kind: ResourceType) -> list[Object]:
        """All of a kind."""
        found = {key_of(one): one for word in self._words for one in self._store.indexed(kind.kind, word)}
        beside = {key_of(one): one for one in self._strangers if one["kind"] == kind.kind}
        return [*(beside | found).values()]


class _Informed:
    """What every planner knows beside the resource itself."""

    def __init__(
        self,
        store: Store,
        reports: PodReports,
        events: WaitingEvents,
        settings: OperatorSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._reports = reports
        self._events = events
        self._settings = settings
        self._now = now


class TrainingPlanner(_Informed):
    """Plans AdapterTrainings."""

    async def plan(self, owner: Object, strangers: Sequence[Object]) -> Plan:
        """See `Planner`."""
        try:
            training = AdapterTraining.parse(owner)
        except InvalidResourceError as error:
            return plan_invalid("AdapterTraining", owner, error, self._now())
        namespace, name = training.metadata.namespace, training.metadata.name
        around = Around(self._store, owner, of_training(namespace, name), strangers)
        jobs, pods = around.of(JOBS), around.of(PODS)
        explained = await self._events.about([*jobs, *pods])
        referred = [self._store.get(ADAPTER_TRAININGS.kind, *place) for place in referred_trainings(owner)]
        observed = observe_training(
            training,
            jobs=jobs,
            pods=pods,
            config_maps=around.of(CONFIG_MAPS),
            revisions=around.of(CONTROLLER_REVISIONS),
            progress=self._reports.progress(pods),
            trainings={one["metadata"]["name"]: one for one in referred if one is not None},
            events=explained.events,
        )
        return _look_again(plan_training(training, observed, self._settings, self._now()), explained)


class DeploymentPlanner(_Informed):
    """Plans AdapterDeployments."""

    async def plan(self, owner: Object, strangers: Sequence[Object]) -> Plan:
        """See `Planner`."""
        try:
            deployment = AdapterDeployment.parse(owner)
        except InvalidResourceError as error:
            return plan_invalid("AdapterDeployment", owner, error, self._now())
        namespace, name = deployment.metadata.namespace, deployment.metadata.name
        around = Around(self._store, owner, of_deployment(namespace, name), strangers)
        replica_sets, pods = around.of(REPLICA_SETS), around.of(PODS)
        explained = await self._events.about([*replica_sets, *pods])
        trainings = self._trainings(owner, namespace)
        observed = observe_deployment(
            deployment,
            deployments=around.of(DEPLOYMENTS),
            replica_sets=replica_sets,
            pods=pods,
            config_maps=around.of(CONFIG_MAPS),
            services=around.of(SERVICES),
            disruption_budgets=around.of(POD_DISRUPTION_BUDGETS),
            events=explained.events,
            reports=self._reports.adapters(pods),
            trainings={(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in trainings},
            revisions=[
                revision
                for training in trainings
                for revision in self._store.indexed(CONTROLLER_REVISIONS.kind, uid_of(training))
            ],
        )
        return _look_again(plan_deployment(deployment, observed, self._settings, self._now()), explained)

    def _trainings(self, owner: Object, namespace: str) -> list[Object]:
        """Those that the deployment names, and all of its namespace where it selects by labels."""
        named = [self._store.get(ADAPTER_TRAININGS.kind, *place) for place in referred_trainings(owner)]
        found = {key_of(one): one for one in named if one is not None}
        if (owner.get("spec") or {}).get("adapterSelector"):
            for one in self._store.of_kind(ADAPTER_TRAININGS.kind):
                if one["metadata"]["namespace"] == namespace:
                    found[key_of(one)] = one
        return [*found.values()]


def _look_again(plan: Plan, explained: Explained) -> Plan:
    """Nothing wakes us for an event, so while something waits the events are read again."""
    if not explained.waiting:
        return plan
    after = _RECHECK_SECONDS if plan.requeue_after is None else min(plan.requeue_after, _RECHECK_SECONDS)
    return replace(plan, requeue_after=after)
