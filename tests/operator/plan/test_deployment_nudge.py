"""Telling kubelets of a new AdapterSet: at once, then after growing pauses, until the pod reports it."""

from datetime import timedelta

import pytest

from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_testing.serving_world import ServingWorld, digest, follows, serving, training

pytestmark = pytest.mark.unit


def promoted() -> ServingWorld:
    world = serving(follows(), trainings=[training()])
    world.set_trainings(training(version=2))
    return world


def test_a_new_generation_is_told_in_the_plan_that_writes_it() -> None:
    world = promoted()
    plan = world.plan()
    generation = str(world.current_set.generation + 1)
    assert [one["kind"] for one in plan.apply] == ["ConfigMap"]
    assert [(one.name, one.uid, dict(one.annotations)) for one in plan.nudge] == [
        (
            "support-1",
            "uid-support-1",
            {keys.SET_GENERATION: generation, keys.SET_NUDGE: "1@2030-01-31T12:00:00Z"},
        )
    ]
    assert plan.requeue_after == 2


def test_it_is_told_again_after_growing_pauses_until_the_pod_reports_it() -> None:
    world = promoted()
    start, times = world.now, []
    for _ in range(9):
        plan = world.reconcile()
        if plan.nudge:
            times.append((world.now - start).total_seconds())
        assert not world.reconcile().nudge
        world.wait(world.plan().requeue_after)
    assert times == [0, 2, 6, 14, 30, 62, 122, 182, 242]
    world.sync()
    world.settle()
    world.sync()
    world.settle()
    assert world.plan().requeue_after is None


def test_a_pod_that_turns_ready_is_told_after_the_first_pause() -> None:
    world = promoted()
    for pause in (0, 2, 4):
        world.wait(pause)
        assert len(world.reconcile().nudge) == 1
    world.wait(3)
    assert world.plan().nudge == ()
    world.set_ready("support-1")
    assert [one.annotations[keys.SET_NUDGE] for one in world.plan().nudge] == ["4@2030-01-31T12:00:09Z"]


def test_a_pod_whose_readiness_lies_in_the_future_is_not_told_in_a_hot_loop() -> None:
    world = promoted()
    world.wait(60)
    world.set_ready("support-1")
    world.wait(-60)
    assert len(world.reconcile().nudge) == 1
    plan = world.plan()
    assert (plan.nudge, plan.requeue_after) == ((), 2)
    world.wait(2)
    assert len(world.plan().nudge) == 1


def test_a_pod_that_has_not_applied_any_set_is_told() -> None:
    world = ServingWorld.of(follows(), trainings=[training()])
    world.settle()
    world.report(world.start_pod())
    assert [one.name for one in world.plan().nudge] == ["support-1"]


@pytest.mark.parametrize("state", ["never heard", "not running", "newer"])
def test_nobody_else_is_told(state: str) -> None:
    world = promoted()
    if state == "never heard":
        world.reports.clear()
    elif state == "not running":
        world.pods["support-1"]["status"]["phase"] = "Pending"
    else:
        world.report("support-1", generation=1000)
        world.settle()
        assert world.current_set.generation == 1001
        world.report("support-1", generation=1001)
    assert world.plan().nudge == ()


@pytest.mark.parametrize(
    ("generation", "nudge"),
    [
        ("x", "1@2030-01-31T12:00:00Z"),
        ("3", "once"),
        ("3", "1@2030-99-31T12:00:00Z"),
        ("٣", "1@2030-01-31T12:00:00Z"),
    ],
)
def test_annotations_that_make_no_sense_count_for_nothing(generation: str, nudge: str) -> None:
    world = promoted()
    world.pods["support-1"]["metadata"]["annotations"] |= {keys.SET_GENERATION: generation, keys.SET_NUDGE: nudge}
    assert world.plan().nudge[0].annotations[keys.SET_NUDGE] == "1@2030-01-31T12:00:00Z"


def test_old_pods_are_told_of_their_own_set() -> None:
    world = promoted()
    world.settle()
    world.sync()
    world.settle()
    world.edit(engine={"maxRank": 128})
    world.settle()
    world.set_trainings(training(version=3))
    plan = world.reconcile()
    assert len([one for one in plan.apply if one["kind"] == "ConfigMap"]) == 2
    assert [one.name for one in plan.nudge] == ["support-1"]
    assert world.mounted_set("support-1").adapters[0].digest == digest("support-bot 3")
    assert world.mounted_set("support-1").limits.max_rank == 64
    assert world.current_set.limits.max_rank == 128


def test_the_next_look_is_when_the_first_of_several_things_is_due() -> None:
    world = promoted()
    world.reconcile()
    report = world.reports["uid-support-1"].report
    world.reports["uid-support-1"] = type(world.reports["uid-support-1"])(
        report, received=world.now, unreachable_since=world.now - timedelta(seconds=59)
    )
    assert world.plan().requeue_after == 1
