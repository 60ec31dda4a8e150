"""What the status tells beside its conditions, when it stands still, and which events go with it."""

from datetime import timedelta

import pytest

from adapter_contract import AdapterState, AdapterStatus
from adapter_operator.observe.deployment import PodReport
from adapter_operator.plan.plan import EventRecord
from adapter_testing.serving_world import BASE, NOW, ServingWorld, digest, follows, record, serving, training

pytestmark = pytest.mark.unit

D1, D2 = digest("support-bot 1"), digest("support-bot 2")


def served() -> ServingWorld:
    return serving(follows(), trainings=[training()])


def restart_operator(world: ServingWorld) -> None:
    """Streams are opened anew: no pod has answered yet."""
    world.reports = {f"uid-{pod}": PodReport(None, world.now, unreachable_since=world.now) for pod in world.pods}


def test_a_serving_deployment_tells_all_that_it_is() -> None:
    status = served().status
    assert status["replicas"] == status["readyReplicas"] == 1
    assert status["adaptersReady"] == "1/1"
    assert status["selector"] == "adapters.dev/deployment-uid=11111111-aaaa-4bbb-8ccc-000000000001"
    assert status["endpoint"] == "http://support.team-a.svc/v1"
    assert status["resolved"]["image"] == "registry.example/adapter-server:1.0"
    assert status["adapters"] == [
        {
            "name": "support-bot",
            "desiredDigest": D1,
            "servedDigest": D1,
            "uri": record("support-bot", 1)["uri"],
            "version": 1,
            "readyReplicas": 1,
            "reason": "Served",
            "message": f"{D1[:19]} is verified, loaded and probed",
            "since": "2030-01-31T12:00:00Z",
        }
    ]


def test_the_endpoint_names_a_port_other_than_80() -> None:
    world = ServingWorld.of(service={"port": 8080})
    world.settle()
    assert world.status["endpoint"] == "http://support.team-a.svc:8080/v1"


def test_since_changes_with_the_state_and_not_with_time() -> None:
    world = served()
    world.wait(100)
    world.edit(replicas=2)
    world.settle()
    assert world.adapter()["since"] == "2030-01-31T12:00:00Z"
    world.set_trainings(training(version=2))
    world.settle()
    assert world.adapter()["since"] == "2030-01-31T12:01:40Z"
    assert world.adapter()["reason"] == "Loading"


def test_served_digest_is_what_all_ready_pods_serve() -> None:
    world = serving(follows(), trainings=[training()], replicas=2)
    assert (world.adapter()["servedDigest"], world.adapter()["readyReplicas"]) == (D1, 2)
    world.set_trainings(training(version=2))
    world.settle()
    assert (world.adapter()["servedDigest"], world.adapter()["readyReplicas"]) == (D1, 0)
    world.sync("support-1")
    world.settle()
    assert "servedDigest" not in world.adapter()
    assert world.adapter()["readyReplicas"] == 1
    assert world.status["adaptersReady"] == "0/1"


def test_a_pod_that_is_not_ready_counts_for_nothing() -> None:
    world = served()
    world.set_ready("support-1", ready=False)
    world.settle()
    assert world.ready == ("False", "PodsStarting")
    assert "servedDigest" not in world.adapter()
    assert (world.status["replicas"], world.status["readyReplicas"]) == (1, 0)
    assert world.adapter()["reason"] == "Pending"


class TestAfterARestartOfTheOperator:
    def test_the_stored_status_stands_until_the_pods_answer(self) -> None:
        world = served()
        restart_operator(world)
        for seconds in (0, 30, 29):
            world.wait(seconds)
            assert world.plan().is_empty
        assert world.plan().requeue_after == 1
        world.sync()
        assert world.plan().is_empty

    def test_after_60_seconds_it_does_not(self) -> None:
        world = served()
        restart_operator(world)
        world.wait(60)
        world.settle()
        assert world.ready == ("Unknown", "PodUnreachable")
        assert world.adapter()["reason"] == "PodUnreachable"
        assert world.adapter()["servedDigest"] == D1
        world.sync()
        world.settle()
        assert world.ready == ("True", "AdaptersServed")

    def test_a_pod_that_nobody_has_asked_yet_is_waited_for(self) -> None:
        world = served()
        world.reports.clear()
        plan = world.plan()
        assert plan.is_empty
        assert plan.requeue_after == 60

    def test_a_new_generation_is_concluded_by_what_was_stored(self) -> None:
        world = served()
        restart_operator(world)
        world.edit(service={"port": 8080})
        world.settle()
        assert world.status["observedGeneration"] == 2
        assert world.ready == ("True", "AdaptersServed")


def test_the_last_state_of_a_pod_stands_for_60_seconds() -> None:
    world = served()
    report = world.reports["uid-support-1"].report
    world.reports["uid-support-1"] = PodReport(report, world.now, unreachable_since=world.now)
    world.wait(59)
    plan = world.plan()
    assert plan.is_empty
    assert plan.requeue_after == 1
    world.wait(1)
    world.settle()
    assert world.ready == ("Unknown", "PodUnreachable")
    assert world.adapter()["readyReplicas"] == 0


def test_a_silent_pod_hides_nothing_that_others_say_of_a_refusal() -> None:
    world = serving(follows(), trainings=[training()], replicas=2)
    world.set_trainings(training(version=2))
    world.settle()
    world.sync("support-2", refuse={D2: ("AdapterRefused", "torn")})
    report = world.reports["uid-support-1"].report
    world.reports["uid-support-1"] = PodReport(report, world.now, world.now - timedelta(seconds=60))
    world.settle()
    assert world.ready == ("False", "AdapterRefused")


class TestEvents:
    def test_a_version_that_is_served_is_an_event_once(self) -> None:
        world = served()
        world.set_trainings(training(version=2))
        world.settle()
        world.sync()
        events = world.reconcile().events
        assert (
            EventRecord("Normal", "AdapterServed", f"support-bot: version 2, {D2[:19]} is served by all pods") in events
        )
        assert [one.reason for one in events] == ["AdapterServed", "AdaptersServed"]
        world.sync()
        assert world.reconcile().events == ()

    def test_an_artifact_has_no_version(self) -> None:
        source = {"s3": {"uri": record("legacy", 1)["uri"], "digest": record("legacy", 1)["digest"]}}
        world = ServingWorld.of({"name": "legacy", "source": source})
        world.settle()
        world.sync(world.start_pod())
        [served_event, _] = world.reconcile().events
        assert served_event.message == f"legacy: {digest('legacy 1')[:19]} is served by all pods"

    def test_a_refusal_is_one_warning_though_ready_says_the_same(self) -> None:
        world = served()
        world.set_trainings(training(version=2))
        world.settle()
        world.sync(refuse={D2: ("AdapterRefused", "torn")})
        [event] = world.reconcile().events
        assert (event.type, event.reason) == ("Warning", "AdapterRefused")
        assert event.message.startswith("support-bot: pod support-1 refuses support-bot: torn")

    def test_a_training_that_is_gone_is_a_warning(self) -> None:
        world = served()
        world.set_trainings()
        assert [(one.type, one.reason) for one in world.reconcile().events] == [("Warning", "LastVersionServed")]

    def test_a_refused_spec_is_a_warning(self) -> None:
        world = ServingWorld({"baseModel": {"name": BASE}, "engine": {"type": "VLLM"}})
        assert [(one.type, one.reason) for one in world.reconcile().events] == [("Warning", "InvalidSpec")]
        assert world.reconcile().is_empty

    def test_first_sight_and_progress_are_normal(self) -> None:
        world = ServingWorld.of(follows(), trainings=[training()])
        assert [(one.type, one.reason) for one in world.reconcile().events] == [("Normal", "Pending")]
        assert [(one.type, one.reason) for one in world.reconcile().events] == [("Normal", "PodsStarting")]


def test_a_message_that_is_longer_than_a_status_may_hold_is_cut() -> None:
    world = ServingWorld.of(follows(), trainings=[training()])
    world.settle()
    pod = world.start_pod()
    refused = AdapterStatus(
        name="support-bot",
        state=AdapterState.REFUSED,
        desired_digest=D1,
        reason="AdapterRefused",
        message="x" * 5000,
        since=NOW,
    )
    world.report(pod, refused)
    world.settle()
    assert len(world.adapter()["message"]) == 1024
    assert world.resource.status is not None


def test_a_refusal_without_words_is_told_all_the_same() -> None:
    world = ServingWorld.of(follows(), trainings=[training()])
    world.settle()
    world.report(
        world.start_pod(),
        AdapterStatus(name="support-bot", state=AdapterState.REFUSED, desired_digest=D1, since=NOW),
    )
    world.settle()
    assert world.ready == ("False", "AdapterRefused")
    assert "no reason given" in world.message
