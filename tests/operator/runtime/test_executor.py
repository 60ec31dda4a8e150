"""The executor: its order, its fence, and what it makes of objects that are there already."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.serving.faults import CallFault, FaultPlan
from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.errors import Conflict, Forbidden, Invalid, NamespaceTerminating, NotFound, Unavailable
from adapter_operator.runtime.event_recorder import EventRecorder
from adapter_operator.runtime.executor import FENCE_SECONDS, Executor, NameTaken
from adapter_operator.runtime.objects import Object, owner_uids, uid_of, version_of
from adapter_operator.runtime.resources import CONFIG_MAPS, EVENTS, JOBS, PODS, Resources
from adapter_operator.runtime.store import Store
from adapter_testing.api_client_lab import WIDGETS, ApiClientLab, config_map, widget
from adapter_testing.plan_stub import Deletion, Fenced, HandmadePlan, News, Nudge

pytestmark = pytest.mark.integration

T = TypeVar("T")


class Scene:
    """An executor with the objects that a plan is made for."""

    def __init__(self, client: ApiClient, cluster: DevCluster) -> None:
        self.client = client
        self.cluster = cluster
        self.store = Store(owner_uids)
        resources = Resources([WIDGETS])
        self.executor = Executor(client, self.store, resources, EventRecorder(client))

    async def owner(self, name: str) -> Object:
        created = await self.client.create(widget(name))
        self.store.put(created)
        return created

    async def events(self, about: Object) -> list[Object]:
        found = await self.client.list(EVENTS, "default", field_selector=f"involvedObject.uid={uid_of(about)}")
        return list(found.items)

    def calls(self, since: int) -> list[tuple[str, str]]:
        """Verb and resource of each of our calls since an entry of the audit log."""
        ours = [one for one in self.cluster.audit()[since:] if one.user_agent == "adapter-operator"]
        return [(one.verb, one.uri.partition("?")[0].rpartition("default/")[2]) for one in ours]


@pytest.fixture
def play(api: ApiClientLab) -> Callable[[Callable[[Scene], Awaitable[T]]], T]:
    return lambda acts: api.play(lambda client: acts(Scene(client, api.cluster)))


def owned(owner: Object, manifest: Object) -> Object:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {**manifest["metadata"], "ownerReferences": [reference]}
    labels = {**manifest["metadata"].get("labels", {}), "owner": uid_of(owner)}
    return {**manifest, "metadata": {**metadata, "labels": labels}}


def job(owner: Object, name: str) -> Object:
    template = {
        "metadata": {"labels": {"owner": uid_of(owner)}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.test/app:1"}]},
    }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"backoffLimit": 0, "template": template},
    }
    return owned(owner, manifest)


def pod(owner: Object, name: str) -> Object:
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "example.test/app:1"}]},
    }
    return owned(owner, manifest)


def fenced(owner: Object, name: str) -> Fenced:
    return Fenced(job(owner, name), f"owner={uid_of(owner)}")


async def finish(scene: Scene, name: str) -> None:
    """Let a Job count as failed without anybody's doing."""
    time = "2026-01-01T00:00:00Z"
    common = {"status": "True", "reason": "x", "message": "", "lastTransitionTime": time}
    conditions = [{"type": type_, **common} for type_ in ("FailureTarget", "Failed")]
    status = {"startTime": time, "failed": 1, "conditions": conditions}
    await scene.client.merge_patch(JOBS, "default", name, {"status": status}, subresource="status")


def test_the_order_is_such_that_a_crash_does_no_harm(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("order")
        surplus = await scene.client.create(owned(owner, config_map("order-surplus")))
        runner = await scene.client.create(pod(owner, "order-pod"))
        await scene.client.merge_patch(
            PODS, "default", "order-pod", {"status": {"phase": "Failed"}}, subresource="status"
        )
        scene.store.put(runner)
        start = len(scene.cluster.audit())
        plan = HandmadePlan(
            create=(owned(owner, config_map("order-created")),),
            status={"words": ["started"]},
            fenced=fenced(owner, "order-job"),
            apply=(owned(owner, config_map("order-applied")),),
            delete=(Deletion("v1", "ConfigMap", "default", "order-surplus", uid_of(surplus)),),
            nudge=(Nudge("order-pod", uid_of(runner), {"example.dev/seen": "2"}),),
            events=(News("Normal", "Started", "It has begun."),),
            requeue_after=7.0,
        )
        assert await scene.executor.execute(owner, plan) == 7.0
        assert scene.calls(start) == [
            ("create", "configmaps"),
            ("patch", "widgets/order/status"),
            ("list", "jobs"),
            ("list", "pods"),
            ("create", "jobs"),
            ("patch", "configmaps/order-applied"),
            ("delete", "configmaps/order-surplus"),
            ("patch", "pods/order-pod/status"),
            ("create", "events"),
        ]
        # What was written is known without a watch.
        for kind, name in (("ConfigMap", "order-created"), ("Job", "order-job"), ("ConfigMap", "order-applied")):
            assert scene.store.get(kind, "default", name) is not None
        assert scene.store.get("Widget", "default", "order")["status"] == {"words": ["started"]}
        assert scene.store.get("ConfigMap", "default", "order-surplus") is None
        assert scene.store.get("Pod", "default", "order-pod")["metadata"]["annotations"] == {"example.dev/seen": "2"}

    play(acts)


def test_an_equal_status_is_not_written(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("equal")
        await scene.executor.execute(owner, HandmadePlan(status={"words": ["a"]}))
        known = scene.store.get("Widget", "default", "equal")
        await scene.executor.execute(known, HandmadePlan(status={"words": ["a"]}))
        await scene.executor.execute(known, HandmadePlan())
        assert scene.store.get("Widget", "default", "equal") is known
        assert version_of(await scene.client.get(WIDGETS, "default", "equal")) == version_of(known)

    play(acts)


def test_a_status_for_what_has_changed_is_refused_and_the_news_taken_in(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("changed")
        live = await scene.client.merge_patch(WIDGETS, "default", "changed", {"spec": {"size": 2}})
        plan = HandmadePlan(
            status={"words": ["old"]},
            apply=(owned(owner, config_map("changed-child")),),
            events=(News("Normal", "Never", "Nobody hears of it."),),
        )
        with pytest.raises(Conflict):
            await scene.executor.execute(owner, plan)
        assert version_of(scene.store.get("Widget", "default", "changed")) == version_of(live)
        assert await scene.client.find(CONFIG_MAPS, "default", "changed-child") is None
        assert await scene.events(owner) == []

    play(acts)


def test_a_status_for_what_is_gone(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("gone")
        await scene.client.delete(WIDGETS, "default", "gone", uid=uid_of(owner), propagation="Background")
        with pytest.raises(NotFound):
            await scene.executor.execute(owner, HandmadePlan(status={"words": ["late"]}))
        assert scene.store.get("Widget", "default", "gone") is None
        successor = await scene.client.create(widget("gone"))
        with pytest.raises(Conflict):
            await scene.executor.execute(owner, HandmadePlan(status={"words": ["late"]}))
        assert uid_of(scene.store.get("Widget", "default", "gone")) == uid_of(successor)

    play(acts)


def test_a_status_that_the_server_prunes_is_complained_of(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def acts(scene: Scene) -> None:
        await scene.executor.execute(await scene.owner("pruned"), HandmadePlan(status={"words": [], "unknown": "x"}))

    with caplog.at_level(logging.ERROR):
        play(acts)
    assert "the server keeps another status than was written" in caplog.text


def test_creating_twice_is_success_and_another_thing_is_not(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("twice")
        plan = HandmadePlan(create=(owned(owner, config_map("twice-child")),), status={"words": ["done"]})
        await scene.executor.execute(owner, plan)
        await scene.executor.execute(scene.store.get("Widget", "default", "twice"), plan)

        changed = {**owned(owner, config_map("twice-child")), "data": {"word": "two"}}
        later = HandmadePlan(create=(changed,), status={"words": ["never"]})
        with pytest.raises(NameTaken) as taken:
            await scene.executor.execute(scene.store.get("Widget", "default", "twice"), later)
        assert taken.value.live["data"] == {"word": "one"}

        await scene.client.create(config_map("twice-foreign"))
        foreign = HandmadePlan(create=(owned(owner, config_map("twice-foreign")),), status={"words": ["never"]})
        with pytest.raises(NameTaken, match="ConfigMap default/twice-foreign exists"):
            await scene.executor.execute(scene.store.get("Widget", "default", "twice"), foreign)
        assert (await scene.client.get(WIDGETS, "default", "twice"))["status"] == {"words": ["done"]}

    play(acts)


def test_strangers_under_names_that_are_to_be_written(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("strange")
        known = await scene.client.create(owned(owner, config_map("strange-known")))
        scene.store.put(known)
        stranger = await scene.client.create(config_map("strange-map"))
        plan = HandmadePlan(
            apply=tuple(owned(owner, config_map(f"strange-{name}")) for name in ("known", "map", "new")),
            fenced=fenced(owner, "strange-job"),
        )
        assert await scene.executor.unseen(plan) == [stranger]
        assert await scene.executor.unseen(plan, known=[stranger]) == []
        assert await scene.executor.unseen(HandmadePlan()) == []

    play(acts)


@pytest.mark.parametrize("alive", ["job", "pod"])
def test_the_fence_holds_while_something_lives(play: Any, alive: str) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner(f"fence-{alive}")
        name = f"fence-{alive}-before"
        if alive == "job":
            # Suspended, so that no pod of it is in the way.
            suspended = job(owner, name)
            suspended["spec"]["suspend"] = True
            await scene.client.create(suspended)
        else:
            await scene.client.create(pod(owner, name))
        plan = HandmadePlan(status={"words": ["starting"]}, fenced=fenced(owner, f"fence-{alive}-next"))
        assert await scene.executor.execute(owner, plan) == FENCE_SECONDS
        assert await scene.client.find(JOBS, "default", f"fence-{alive}-next") is None
        # The planner sees it from now on.
        assert scene.store.get("Job" if alive == "job" else "Pod", "default", name) is not None

        if alive == "job":
            await finish(scene, name)
        else:
            over = {"status": {"phase": "Failed"}}
            await scene.client.merge_patch(PODS, "default", name, over, subresource="status")
        again = scene.store.get("Widget", "default", f"fence-{alive}")
        assert await scene.executor.execute(again, plan) is None
        assert await scene.client.find(JOBS, "default", f"fence-{alive}-next") is not None

    play(acts)


def test_a_fence_that_is_closed_asks_for_no_later_time_than_the_plan(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("sooner")
        await scene.client.create(pod(owner, "sooner-pod"))
        for given, expected in ((2.0, 2.0), (60.0, FENCE_SECONDS)):
            plan = HandmadePlan(fenced=fenced(owner, "sooner-job"), requeue_after=given)
            assert await scene.executor.execute(owner, plan) == expected

    play(acts)


def test_the_job_is_created_once_however_often_it_is_planned(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("once")
        plan = HandmadePlan(status={"words": ["starting"]}, fenced=fenced(owner, "once-job"))
        await scene.executor.execute(owner, plan)
        first = await scene.client.get(JOBS, "default", "once-job")
        await scene.executor.execute(scene.store.get("Widget", "default", "once"), plan)
        assert uid_of(await scene.client.get(JOBS, "default", "once-job")) == uid_of(first)

    play(acts)


@pytest.mark.parametrize("effect", ["Drop", "Lose"])
def test_a_lost_answer_starts_no_second_job(play: Any, effect: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner(f"lost-{effect.lower()}")
        name = owner["metadata"]["name"]
        losing = CallFault(verbs=("create",), resources=("jobs.batch",), times=1, effect=effect)
        scene.cluster.set_faults(FaultPlan(calls=(losing,)))
        plan = HandmadePlan(status={"words": ["starting"]}, fenced=fenced(owner, f"{name}-job"))
        with pytest.raises(Unavailable):
            await scene.executor.execute(owner, plan)
        await scene.executor.execute(scene.store.get("Widget", "default", name), plan)
        jobs = await scene.client.list(JOBS, "default", label_selector=f"owner={uid_of(owner)}")
        assert [one["metadata"]["name"] for one in jobs.items] == [f"{name}-job"]

    play(acts)


def test_no_job_for_what_has_changed_meanwhile(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("stale")
        live = await scene.client.replace_status(owner, {"words": ["somebody was here"]})
        with pytest.raises(Conflict, match="no Job is created"):
            await scene.executor.execute(owner, HandmadePlan(fenced=fenced(owner, "stale-job")))
        assert version_of(scene.store.get("Widget", "default", "stale")) == version_of(live)
        assert await scene.client.find(JOBS, "default", "stale-job") is None

    play(acts)


def test_a_foreign_job_of_the_name(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner, other = await scene.owner("mine"), await scene.owner("other")
        foreign = await scene.client.create(job(other, "mine-job"))
        plan = HandmadePlan(fenced=fenced(owner, "mine-job"))
        assert [uid_of(one) for one in await scene.executor.unseen(plan)] == [uid_of(foreign)]
        # It came after we looked.
        with pytest.raises(NameTaken) as taken:
            await scene.executor.execute(owner, plan)
        assert uid_of(taken.value.live) == uid_of(foreign)

    play(acts)


def test_deleting_what_is_gone_or_replaced_is_success(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("deleting")
        first = await scene.client.create(owned(owner, config_map("deleting-child")))
        scene.store.put(first)
        deletion = Deletion("v1", "ConfigMap", "default", "deleting-child", uid_of(first))
        await scene.client.delete(CONFIG_MAPS, "default", "deleting-child", uid=uid_of(first), propagation="Background")
        await scene.executor.execute(owner, HandmadePlan(delete=(deletion,)))
        assert scene.store.get("ConfigMap", "default", "deleting-child") is None

        second = await scene.client.create(owned(owner, config_map("deleting-child")))
        await scene.executor.execute(owner, HandmadePlan(delete=(deletion,)))
        assert await scene.client.get(CONFIG_MAPS, "default", "deleting-child") == second

    play(acts)


def test_what_takes_time_to_go_is_known_as_going(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("slowly")
        held = await scene.client.create(owned(owner, config_map("slowly-child", finalizers=["example.dev/hold"])))
        scene.store.put(held)
        deletion = Deletion("v1", "ConfigMap", "default", "slowly-child", uid_of(held), "Foreground")
        await scene.executor.execute(owner, HandmadePlan(delete=(deletion,)))
        assert "deletionTimestamp" in scene.store.get("ConfigMap", "default", "slowly-child")["metadata"]

    play(acts)


def test_nudging_a_pod_that_is_gone_or_unknown(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        owner = await scene.owner("nudge")
        known = await scene.client.create(pod(owner, "nudge-pod"))
        nudge = Nudge("nudge-pod", uid_of(known), {"example.dev/seen": "1"})
        await scene.executor.execute(owner, HandmadePlan(nudge=(nudge,)))
        assert "annotations" not in (await scene.client.get(PODS, "default", "nudge-pod"))["metadata"]
        scene.store.put(known)
        await scene.client.delete(PODS, "default", "nudge-pod", uid=uid_of(known), propagation="Background")
        await scene.executor.execute(owner, HandmadePlan(nudge=(nudge,)))
        assert scene.store.get("Pod", "default", "nudge-pod") is None

    play(acts)


def test_people_hear_of_a_child_that_is_refused(play: Any) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": "default"},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }

    async def acts(scene: Scene) -> None:
        store = scene.cluster.cluster.api.client("test")
        owner = await scene.owner("refused")
        wrong = {**owned(owner, config_map("refused-child")), "data": {"no key of a map": "x"}}
        right = owned(owner, config_map("refused-sibling"))
        plan = HandmadePlan(apply=(wrong, right), events=(News("Normal", "Applied", "As far as it goes."),))
        with pytest.raises(Invalid):
            await scene.executor.execute(owner, plan)
        # One child that can't be had keeps none of the others waiting.
        assert scene.store.get("ConfigMap", "default", "refused-sibling") is not None
        scene.cluster.call(lambda: store.create("resourcequotas", quota))
        try:
            with pytest.raises(Forbidden, match="exceeded quota"):
                await scene.executor.execute(owner, HandmadePlan(fenced=fenced(owner, "refused-job")))
        finally:
            scene.cluster.call(lambda: store.delete("resourcequotas", "default", "few"))
        told = [one for one in await scene.events(owner) if one["reason"] != "Applied"]
        assert len(told) == 2
        assert {(one["type"], one["reason"]) for one in told} == {("Warning", "ChildRefused")}
        messages = sorted(one["message"] for one in told)
        assert messages[0].startswith("ConfigMap refused-child: ")
        assert messages[1].startswith("Job refused-job: ")
        assert "exceeded quota: few" in messages[1]

    play(acts)


def test_in_a_namespace_that_ends_nobody_is_told(play: Any) -> None:
    async def acts(scene: Scene) -> None:
        store = scene.cluster.cluster.api.client("test")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}}
        scene.cluster.call(lambda: store.create("namespaces", namespace))
        manifest = widget("last", namespace="going", finalizers=["example.dev/hold"])
        owner = await scene.client.create(manifest)
        scene.cluster.call(lambda: store.delete("namespaces", "", "going"))
        child = owned(owner, config_map("child", "going"))
        for plan in (HandmadePlan(create=(child,)), HandmadePlan(apply=(child,))):
            with pytest.raises(NamespaceTerminating):
                await scene.executor.execute(owner, plan)
        told = await scene.client.list(EVENTS, "going", field_selector="reason=ChildRefused")
        assert told.items == ()

    play(acts)
