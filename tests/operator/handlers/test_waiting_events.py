"""Events that explain why something waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.serving.faults import CallFault, FaultPlan
from adapter_operator.handlers.waiting_events import WaitingEvents
from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.connection import Kubeconfig
from adapter_operator.runtime.event_recorder import EventRecorder
from adapter_operator.runtime.resources import Resources
from adapter_testing.plan_stub import News

pytestmark = pytest.mark.integration

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
OLD, YOUNG = "2026-05-04T11:59:00Z", "2026-05-04T11:59:58Z"


def waits(kind: str, created: str = OLD, uid: str = "", **parts: Any) -> dict[str, Any]:
    metadata = {"name": kind.lower(), "namespace": "default", "uid": uid or f"uid-{kind}", "creationTimestamp": created}
    return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata, **parts.pop("metadata", {})}, **parts}


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False) as found:
        yield found


class Scene:
    def __init__(self, client: ApiClient, cluster: DevCluster) -> None:
        self.client = client
        self.cluster = cluster
        self.now = NOW
        self.events = WaitingEvents(client, lambda: self.now)

    def lists(self) -> int:
        return sum(one.verb == "list" and "/events?" in one.uri for one in self.cluster.audit())


@pytest.fixture
def play(cluster: DevCluster) -> Iterator[Callable[[Callable[[Scene], Awaitable[None]]], None]]:
    def played(acts: Callable[[Scene], Awaitable[None]]) -> None:
        async def scene() -> None:
            async with ApiClient(Kubeconfig(cluster.kubeconfig), Resources()) as client:
                await acts(Scene(client, cluster))

        asyncio.run(scene())

    yield played
    cluster.set_faults(FaultPlan())


def test_what_waits_is_explained_and_asked_about_once_in_ten_seconds(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        pod = waits("Pod")
        await EventRecorder(scene.client).post(pod, News("Warning", "FailedMount", 'secret "keys" not found'))
        await EventRecorder(scene.client).post(waits("Pod", uid="another"), News("Warning", "Other", "x"))
        before = scene.lists()
        found = await scene.events.about([pod])
        assert found.waiting
        assert [one["reason"] for one in found.events] == ["FailedMount"]
        scene.now += timedelta(seconds=9)
        assert await scene.events.about([pod]) == found
        assert scene.lists() - before == 1
        scene.now += timedelta(seconds=1)
        await scene.events.about([pod])
        assert scene.lists() - before == 2

    play(acts)


@pytest.mark.parametrize(
    ("obj", "waiting"),
    [
        (waits("Pod", status={"phase": "Pending"}), True),
        (waits("Pod", status={"phase": "Running"}), False),
        (waits("Pod", metadata={"deletionTimestamp": OLD}), False),
        (waits("Job"), True),
        (waits("Job", status={"active": 1}), False),
        (waits("Job", spec={"suspend": True}), False),
        (waits("Job", status={"conditions": [{"type": "Failed", "status": "True"}]}), False),
        (waits("ReplicaSet", spec={"replicas": 2}, status={"replicas": 1}), True),
        (waits("ReplicaSet", spec={"replicas": 2}, status={"replicas": 2}), False),
        (waits("ConfigMap"), False),
    ],
)
def test_only_what_waits_is_asked_about(play: Any, obj: dict[str, Any], waiting: bool) -> None:
    async def acts(scene: Scene) -> None:
        before = scene.lists()
        assert (await scene.events.about([obj])).waiting is waiting
        assert scene.lists() - before == int(waiting)

    play(acts)


def test_what_has_just_begun_is_given_time(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        before = scene.lists()
        found = await scene.events.about([waits("Pod", created=YOUNG)])
        assert (found.events, found.waiting, scene.lists()) == ((), True, before)

    play(acts)


def test_a_server_that_does_not_tell_is_no_error(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def acts(scene: Scene) -> None:
        scene.cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("list",), times=1, code=500),)))
        pod = waits("Pod", uid="untold")
        assert (await scene.events.about([pod])).events == ()
        before = scene.lists()
        await scene.events.about([pod])
        assert scene.lists() == before + 1

    with caplog.at_level(logging.WARNING):
        play(acts)
    assert "events about Pod default/pod can't be listed" in caplog.text
