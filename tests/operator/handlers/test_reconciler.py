"""One reconciliation: strangers are found before anything is written, and plans end somewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.handlers.kinds import index_words
from adapter_operator.handlers.planners import Around, DeploymentPlanner, TrainingPlanner
from adapter_operator.handlers.pod_reports import PodReports
from adapter_operator.handlers.reconciler import Reconciler
from adapter_operator.handlers.waiting_events import WaitingEvents
from adapter_operator.plan.plan import Plan
from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.connection import Kubeconfig
from adapter_operator.runtime.errors import Conflict
from adapter_operator.runtime.event_recorder import EventRecorder
from adapter_operator.runtime.executor import Executor
from adapter_operator.runtime.objects import Key, Object
from adapter_operator.runtime.pod_streams import HttpTransport, PodStreams
from adapter_operator.runtime.resources import CONFIG_MAPS, Resources
from adapter_operator.runtime.store import Store
from adapter_testing.api_client_lab import WIDGETS, config_map, install_widgets, widget
from adapter_testing.manifests import changed, example
from adapter_testing.operator_lab import SETTINGS

pytestmark = pytest.mark.integration

KEY = Key("Widget", "default", "one")


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False) as found:
        install_widgets(found)
        yield found


class Handmade:
    """Plans as the test has it, and keeps what it was shown."""

    def __init__(self, *plans: Plan) -> None:
        self.plans = list(plans)
        self.shown: list[list[str]] = []

    async def plan(self, owner: Object, strangers: Sequence[Object]) -> Plan:
        assert owner["kind"] == "Widget"
        self.shown.append([one["metadata"]["name"] for one in strangers])
        return self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]


def reconcile(cluster: DevCluster, planner: Handmade, key: Key = KEY, **metadata: Any) -> float | None:
    async def scene() -> float | None:
        resources = Resources([WIDGETS])
        async with ApiClient(Kubeconfig(cluster.kubeconfig), resources) as client:
            store = Store(index_words)
            live = await client.find(WIDGETS, "default", "one")
            live = live or await client.create(widget("one"))
            store.put({**live, "metadata": {**live["metadata"], **metadata}})
            executor = Executor(client, store, resources, EventRecorder(client))
            return await Reconciler(store, executor, {"Widget": planner})(key)

    return asyncio.run(scene())


def test_what_is_gone_or_going_is_left_alone(cluster: DevCluster) -> None:
    planner = Handmade(Plan())
    assert reconcile(cluster, planner, Key("Widget", "default", "nobody")) is None
    assert reconcile(cluster, planner, deletionTimestamp="2026-01-01T00:00:00Z") is None
    assert planner.shown == []


def test_a_plan_is_made_again_with_strangers_in_view(cluster: DevCluster) -> None:
    async def make() -> None:
        async with ApiClient(Kubeconfig(cluster.kubeconfig), Resources()) as client:
            for name in ("stranger-applied", "stranger-created"):
                await client.create(config_map(name))

    asyncio.run(make())
    before = len(cluster.audit())
    planner = Handmade(
        Plan(apply=(config_map("stranger-applied"),)),
        Plan(create=(config_map("stranger-created"),), status={"words": ["never"]}),
        Plan(requeue_after=9.0),
    )
    assert reconcile(cluster, planner) == 9.0
    assert planner.shown == [[], ["stranger-applied"], ["stranger-applied", "stranger-created"]]
    ours = [one for one in cluster.audit()[before:] if one.user_agent == "adapter-operator"]
    assert not [one for one in ours if one.verb == "patch"]


def test_plans_that_lead_nowhere_end(cluster: DevCluster) -> None:
    planner = Handmade(Plan(create=(config_map("stranger-created"),)))
    with pytest.raises(Conflict, match="8 plans in a row"):
        reconcile(cluster, planner)
    assert len(planner.shown) == 8


def test_in_a_namespace_that_ends_there_is_nothing_to_do(cluster: DevCluster) -> None:
    store = cluster.cluster.api.client("test")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}}
    cluster.call(lambda: store.create("namespaces", namespace))
    held = config_map("held", "going", finalizers=["example.dev/hold"])
    cluster.call(lambda: store.create("configmaps", held))
    cluster.call(lambda: store.delete("namespaces", "", "going"))
    assert reconcile(cluster, Handmade(Plan(create=(config_map("late", "going"),), requeue_after=5.0))) is None


@pytest.mark.parametrize(
    ("kind", "planner_class"), [("AdapterTraining", TrainingPlanner), ("AdapterDeployment", DeploymentPlanner)]
)
def test_a_resource_that_can_not_be_read_is_told_of(cluster: DevCluster, kind: str, planner_class: Any) -> None:
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    owner = changed(example("minimal", kind), {"metadata.namespace": "lab", "metadata.generation": 3})
    owner["spec"]["baseModel"] = {"name": 7}

    async def scene() -> Plan:
        async with ApiClient(Kubeconfig(cluster.kubeconfig), Resources()) as client:
            streams = PodStreams(HttpTransport(), lambda _: None)
            parts = (Store(index_words), PodReports(streams), WaitingEvents(client, lambda: now))
            planner = planner_class(*parts, OperatorSettings.read(SETTINGS), lambda: now)
            found: Plan = await planner.plan(owner, [])
            return found

    plan = asyncio.run(scene())
    assert plan.status is not None
    conditions = {one["type"]: one for one in plan.status["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Stalled"]["reason"]) == ("False", "InvalidSpec")
    assert conditions["Ready"]["message"].startswith("spec.baseModel.name: ")
    assert plan.status["observedGeneration"] == 3
    assert [event.reason for event in plan.events] == ["InvalidSpec"]


def test_around_a_resource_the_store_counts_more_than_a_stranger() -> None:
    store = Store(index_words)
    owner = {"metadata": {"uid": "uid-owner"}}
    known = config_map("a", uid="uid-a", resourceVersion="5", labels={"adapters.dev/training": "bot"})
    owned = config_map("b", uid="uid-b", resourceVersion="6", ownerReferences=[{"uid": "uid-owner"}])
    for one in (known, owned):
        store.put(one)
    strangers = [config_map("a", uid="uid-old"), config_map("c", uid="uid-c"), {**config_map("d"), "kind": "Service"}]
    found = Around(store, owner, "training/default/bot", strangers).of(CONFIG_MAPS)
    assert sorted(one["metadata"]["uid"] for one in found) == ["uid-a", "uid-b", "uid-c"]
