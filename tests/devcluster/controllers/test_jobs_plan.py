"""What a sync of a job does, in tables of situations."""

import pytest

from adapter_devcluster.controllers.jobs.plan import make_plan, with_fewer_active
from adapter_devcluster.controllers.jobs.situation import Memory, assess
from adapter_devcluster.controllers.jobs.spec import JobSpec, is_managed_elsewhere
from adapter_testing.job_simulation import START, JobSimulation, job_manifest, started

pytestmark = pytest.mark.unit

DISRUPTED = {"type": "DisruptionTarget", "status": "True"}
POLICY = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1, 2]}},
    ]
}


def test_a_new_job_gets_a_pod_of_its_template():
    plan = make_plan(job_manifest(), [], Memory(), START)
    labels = {"batch.kubernetes.io/controller-uid": "uid-job"}
    assert plan.create == (
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": "train-",
                "namespace": "lab",
                "labels": labels,
                "finalizers": ["batch.kubernetes.io/job-tracking"],
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": "train",
                        "uid": "uid-job",
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app:1"}]},
        },
    )
    assert plan.status == {
        "active": 1,
        "ready": 0,
        "terminating": 0,
        "startTime": "2026-05-04T12:00:00Z",
        "uncountedTerminatedPods": {},
    }
    assert (plan.delete, plan.untrack, plan.events, plan.wake_after) == ((), (), (), None)


def test_annotations_and_finalizers_of_the_template_come_along():
    job = job_manifest()
    job["spec"]["template"]["metadata"] |= {"annotations": {"a": "b"}, "finalizers": ["example.test/mine"]}
    metadata = make_plan(job, [], Memory(), START).create[0]["metadata"]
    assert metadata["annotations"] == {"a": "b"}
    assert metadata["finalizers"] == ["example.test/mine", "batch.kubernetes.io/job-tracking"]
    job["spec"]["template"]["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    assert make_plan(job, [], Memory(), START).create[0]["metadata"]["finalizers"] == [
        "batch.kubernetes.io/job-tracking"
    ]


def test_a_success_is_listed_then_counted_and_then_the_job_is_complete():
    simulation = started()
    [name] = simulation.active
    simulation.run(name)
    simulation.settle()
    assert (simulation.status["active"], simulation.status["ready"]) == (1, 1)
    simulation.finish(name)
    simulation.advance(5)
    simulation.sync()
    assert simulation.status == {
        "ready": 0,
        "terminating": 0,
        "startTime": "2026-05-04T12:00:00Z",
        "uncountedTerminatedPods": {"succeeded": ["uid-1"]},
        "conditions": [
            {
                "type": "SuccessCriteriaMet",
                "status": "True",
                "lastProbeTime": "2026-05-04T12:00:05Z",
                "lastTransitionTime": "2026-05-04T12:00:05Z",
                "reason": "CompletionsReached",
                "message": "Reached expected number of succeeded pods",
            }
        ],
    }
    assert "finalizers" not in simulation.pods[name]["metadata"]
    simulation.settle()
    assert simulation.status["succeeded"] == 1
    assert simulation.status["uncountedTerminatedPods"] == {}
    assert simulation.status["completionTime"] == "2026-05-04T12:00:05Z"
    assert simulation.conditions == [
        ("SuccessCriteriaMet", "True", "CompletionsReached"),
        ("Complete", "True", "CompletionsReached"),
    ]
    assert simulation.status["conditions"][1]["message"] == "Reached expected number of succeeded pods"
    assert simulation.events == ["Completed"]


def test_a_refused_finalizer_removal_counts_nothing_twice():
    simulation = started()
    [name] = simulation.active
    simulation.finish(name, 1)
    pod = simulation.pods[name]
    simulation.sync()
    simulation.pods[name] = pod
    simulation.sync()
    assert simulation.status["uncountedTerminatedPods"] == {"failed": ["uid-1"]}
    assert "failed" not in simulation.status
    simulation.settle()
    assert simulation.status["uncountedTerminatedPods"] == {}
    assert simulation.status["failed"] == 1
    assert simulation.memory.backoff.failures == 1


def test_no_retries_left():
    simulation = started(backoffLimit=0)
    simulation.finish(simulation.active[0], 1)
    simulation.sync()
    assert simulation.conditions == [("FailureTarget", "True", "BackoffLimitExceeded")]
    assert simulation.status["conditions"][0]["message"] == "Job has reached the specified backoff limit"
    simulation.settle()
    assert simulation.conditions == [
        ("FailureTarget", "True", "BackoffLimitExceeded"),
        ("Failed", "True", "BackoffLimitExceeded"),
    ]
    assert simulation.status["failed"] == 1
    assert "completionTime" not in simulation.status
    assert simulation.events == ["BackoffLimitExceeded"]


def test_failed_pods_are_replaced_later_each_time():
    simulation = started(backoffLimit=10)
    waits = []
    for _ in range(9):
        simulation.finish(simulation.active[0], 1)
        simulation.settle()
        assert simulation.active == []
        waits.append(round(simulation.wake_after))
        simulation.advance(simulation.wake_after - 0.01)
        simulation.settle()
        assert simulation.active == []
        simulation.advance(0.02)
        simulation.settle()
        assert len(simulation.active) == 1
    # Ends are written in whole seconds, so the wait may be shorter by part of one.
    assert [
        wait in (expected, expected - 1)
        for wait, expected in zip(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600], strict=True)
    ] == [True] * 9


def test_a_success_ends_the_backoff():
    simulation = started(completions=2, parallelism=1)
    simulation.finish(simulation.active[0], 1)
    simulation.settle()
    simulation.advance(10)
    simulation.settle()
    simulation.advance(2)
    simulation.finish(simulation.active[0])
    simulation.settle()
    assert len(simulation.active) == 1


def test_other_pods_stay_active_during_a_backoff():
    simulation = started(completions=2, parallelism=2)
    first, second = simulation.active
    simulation.run(second)
    simulation.finish(first, 1)
    simulation.settle()
    assert simulation.active == [second]
    assert (simulation.status["active"], simulation.status["ready"]) == (1, 1)


def test_the_other_pods_of_a_failed_job_end_and_count_as_failed():
    simulation = started(parallelism=2, completions=2, backoffLimit=0)
    first, second = simulation.active
    simulation.run(second)
    simulation.finish(first, 1)
    simulation.settle()
    assert simulation.conditions == [("FailureTarget", "True", "BackoffLimitExceeded")]
    assert (simulation.status["terminating"], simulation.status["ready"], simulation.status["failed"]) == (1, 0, 2)
    simulation.finish(second, 143)
    simulation.settle()
    assert simulation.conditions[1] == ("Failed", "True", "BackoffLimitExceeded")
    assert simulation.status["failed"] == 2


@pytest.mark.parametrize(
    ("limit", "restarts", "phase", "failed"),
    [(0, 0, "Running", False), (0, 1, "Running", True), (2, 1, "Running", False), (2, 2, "Pending", True)],
)
def test_container_restarts_count_towards_the_backoff_limit(limit, restarts, phase, failed):
    simulation = started(backoffLimit=limit, restart="OnFailure")
    [name] = simulation.active
    simulation.pods[name]["status"] = {
        "phase": phase,
        "containerStatuses": [{"name": "main", "restartCount": restarts}],
    }
    simulation.sync()
    assert (("FailureTarget", "True", "BackoffLimitExceeded") in simulation.conditions) is failed


def test_restarts_of_init_containers_count_and_those_of_other_policies_do_not():
    pod = {"phase": "Running", "initContainerStatuses": [{"name": "init", "restartCount": 3}]}
    for restart, failed in (("OnFailure", True), ("Never", False)):
        simulation = started(backoffLimit=3, restart=restart)
        simulation.pods[simulation.active[0]]["status"] = pod
        simulation.sync()
        assert bool(simulation.conditions) is failed


def test_a_deadline_comes_to_the_moment_though_the_start_is_written_in_seconds():
    simulation = started(activeDeadlineSeconds=2)
    assert simulation.wake_after == 2
    simulation.run(simulation.active[0])
    simulation.advance(1.9)
    simulation.settle()
    assert simulation.conditions == []
    assert simulation.wake_after == pytest.approx(0.1)
    simulation.advance(0.1)
    simulation.settle()
    assert simulation.conditions == [("FailureTarget", "True", "DeadlineExceeded")]
    assert simulation.status["conditions"][0]["message"] == "Job was active longer than specified deadline"
    simulation.finish(next(iter(simulation.pods)), 143)
    simulation.settle()
    assert simulation.conditions[1] == ("Failed", "True", "DeadlineExceeded")


def test_the_start_of_a_job_that_is_not_remembered_is_the_written_one():
    job = job_manifest(activeDeadlineSeconds=2)
    job["status"] = {"startTime": "2026-05-04T11:59:59Z"}
    assert make_plan(job, [], Memory(), START).wake_after == pytest.approx(0.3)
    assert make_plan(job, [], Memory(started=START), START).wake_after == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("code", "conditions", "reason", "failed"),
    [(42, (), "PodFailurePolicy", 1), (1, (DISRUPTED,), None, 0), (1, (), None, 1), (7, (DISRUPTED,), None, 0)],
)
def test_a_failure_policy_fails_ignores_and_counts(code, conditions, reason, failed):
    simulation = started(backoffLimit=3, podFailurePolicy=POLICY)
    simulation.finish(simulation.active[0], code, conditions)
    simulation.settle()
    assert simulation.status.get("failed", 0) == failed
    assert [found[2] for found in simulation.conditions] == ([reason, reason] if reason else [])
    assert all("finalizers" not in pod["metadata"] for pod in simulation.pods.values())


def test_a_failed_policy_says_which_container_and_rule():
    simulation = started(podFailurePolicy=POLICY)
    [name] = simulation.active
    simulation.finish(name, 42)
    simulation.settle()
    message = f"Container main for pod lab/{name} failed with exit code 42 matching FailJob rule at index 0"
    assert {found["message"] for found in simulation.status["conditions"]} == {message}


def test_an_ignored_failure_is_replaced_with_the_same_delay():
    simulation = started(backoffLimit=0, podFailurePolicy=POLICY)
    simulation.finish(simulation.active[0], 1, (DISRUPTED,))
    simulation.settle()
    assert simulation.active == []
    assert 9 <= simulation.wake_after <= 10
    simulation.advance(10)
    simulation.settle()
    assert len(simulation.active) == 1
    assert "failed" not in simulation.status


def test_a_deleted_pod_counts_as_failed_at_once_and_is_replaced():
    simulation = started()
    [name] = simulation.active
    simulation.run(name)
    simulation.delete(name)
    simulation.settle()
    assert (simulation.status["failed"], simulation.status["terminating"]) == (1, 1)
    simulation.advance(10)
    simulation.settle()
    assert len(simulation.active) == 1
    assert simulation.status["terminating"] == 1


@pytest.mark.parametrize("policy", [{"podReplacementPolicy": "Failed"}, {"podFailurePolicy": {"rules": []}}])
def test_the_end_of_a_deleted_pod_is_awaited_where_only_failed_ones_are_replaced(policy):
    simulation = started(**policy)
    [name] = simulation.active
    simulation.run(name)
    simulation.delete(name)
    simulation.advance(60)
    simulation.settle()
    assert simulation.active == []
    assert "failed" not in simulation.status
    assert simulation.status["terminating"] == 1
    simulation.finish(name, 143)
    simulation.settle()
    assert simulation.status["failed"] == 1
    simulation.advance(10)
    simulation.settle()
    assert len(simulation.active) == 1


def test_a_work_queue_is_done_when_one_has_succeeded_and_the_rest_has_ended():
    simulation = started(parallelism=3, completions=None)
    first, second, third = simulation.active
    simulation.finish(first)
    simulation.settle()
    assert simulation.active == [second, third]
    simulation.finish(second, 1)
    simulation.settle()
    assert simulation.conditions == []
    simulation.finish(third)
    simulation.settle()
    assert simulation.conditions[-1][0] == "Complete"
    assert (simulation.status["succeeded"], simulation.status["failed"]) == (2, 1)


def test_a_work_queue_without_a_success_goes_on():
    simulation = started(parallelism=1, completions=None)
    simulation.finish(simulation.active[0], 1)
    simulation.settle()
    assert (simulation.active, simulation.conditions) == ([], [])


def test_listed_pods_count_for_what_the_job_does_next():
    job = job_manifest(completions=4, parallelism=4, backoffLimit=2)
    job["status"] = {"succeeded": 1, "failed": 1, "uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["b"]}}
    situation = assess(job, [], Memory(), START)
    assert (situation.succeeded, situation.failed) == (2, 2)
    assert len(make_plan(job, [], Memory(), START).create) == 2
    assert make_plan(job, [], Memory(), START).status["succeeded"] == 2


def test_lower_parallelism_removes_the_pods_that_cost_least():
    simulation = started(parallelism=3, completions=5)
    first, second, third = simulation.active
    simulation.run(second)
    simulation.run(third, ready=False)
    simulation.job["spec"]["parallelism"] = 1
    simulation.settle()
    assert simulation.active == [second]
    assert first not in simulation.pods
    assert simulation.status["active"] == 1
    assert "failed" not in simulation.status


def test_many_pods_come_in_portions():
    simulation = JobSimulation(parallelism=501, completions=501)
    simulation.sync()
    assert len(simulation.pods) == 500
    simulation.sync()
    assert len(simulation.pods) == 501
    simulation.job["spec"]["parallelism"] = 0
    simulation.sync()
    assert len(simulation.pods) == 1


def test_too_many_successes_are_reported():
    simulation = started(parallelism=2, completions=2)
    simulation.job["spec"]["completions"] = 1
    for name in simulation.active:
        simulation.finish(name)
    simulation.settle()
    assert simulation.events == ["TooManySucceededPods", "Completed"]


def test_a_job_that_is_being_deleted_lets_its_pods_go_and_makes_none():
    simulation = started()
    [name] = simulation.active
    simulation.job["metadata"]["deletionTimestamp"] = "2026-05-04T12:00:00Z"
    plan = simulation.sync()
    assert (plan.create, plan.delete) == ((), ())
    assert "finalizers" not in simulation.pods[name]["metadata"]
    assert simulation.status["uncountedTerminatedPods"] == {}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, {"parallelism": 1, "completions": 1, "backoff_limit": 6}),
        ({"parallelism": 3}, {"parallelism": 3, "completions": None}),
        ({"completions": 3}, {"parallelism": 1, "completions": 3}),
        ({"backoffLimitPerIndex": 0}, {"backoff_limit": 2**31 - 1, "backoff_limit_per_index": 0}),
        ({"backoffLimit": 0}, {"backoff_limit": 0, "replaces_terminating": True}),
        ({"podFailurePolicy": {}}, {"failure_rules": (), "replaces_terminating": False}),
    ],
)
def test_values_that_hold_where_a_field_is_absent(spec, expected):
    found = JobSpec.of({"spec": spec})
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("manager", "elsewhere"), [(None, False), ("kubernetes.io/job-controller", False), ("example.test/other", True)]
)
def test_who_manages_a_job(manager, elsewhere):
    assert is_managed_elsewhere({"spec": {} if manager is None else {"managedBy": manager}}) is elsewhere


def test_defaults_hold_where_the_server_filled_nothing_in():
    job = job_manifest()
    job["spec"] = {"template": job["spec"]["template"]}
    plan = make_plan(job, [], Memory(), START)
    assert len(plan.create) == 1
    assert plan.status["active"] == 1


@pytest.mark.parametrize(("missing", "active"), [(0, 3), (2, 1), (3, None)])
def test_pods_that_could_not_be_made_are_not_active(missing, active):
    assert with_fewer_active({"active": 3, "ready": 0}, missing).get("active") == active
