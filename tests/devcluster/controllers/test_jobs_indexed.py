"""Indexed jobs: completion indexes, limits per index, the success policy."""

import pytest

from adapter_devcluster.controllers.jobs.indexes import format_indexes, matching_success_rule, parse_indexes
from adapter_devcluster.controllers.jobs.situation import Memory, assess
from adapter_devcluster.objects import copy
from adapter_testing.job_simulation import START, JobSimulation

pytestmark = pytest.mark.unit

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"


def indexed(completions=3, **spec):
    simulation = JobSimulation(completionMode="Indexed", completions=completions, parallelism=completions, **spec)
    simulation.settle()
    return simulation


def by_index(simulation):
    return {int(simulation.pods[name]["metadata"]["annotations"][INDEX]): name for name in simulation.active}


@pytest.mark.parametrize(
    ("text", "indexes"),
    [("", []), ("0", [0]), ("0,1", [0, 1]), ("0-2", [0, 1, 2]), ("1,3-5,7", [1, 3, 4, 5, 7])],
)
def test_the_text_form_of_indexes(text, indexes):
    assert format_indexes(indexes) == text
    assert parse_indexes(text, 10) == frozenset(indexes)


@pytest.mark.parametrize(("text", "indexes"), [("8-12,14", [8, 9]), ("x,2,3-y,-", [2])])
def test_what_is_no_index_of_the_job_is_left_out(text, indexes):
    assert parse_indexes(text, 10) == frozenset(indexes)


@pytest.mark.parametrize(
    ("rules", "succeeded", "position"),
    [
        ([], {0}, None),
        ([{"succeededCount": 2}], {0}, None),
        ([{"succeededCount": 2}], {0, 5}, 0),
        ([{"succeededIndexes": "0-2"}], {0, 1}, None),
        ([{"succeededIndexes": "0-2"}], {0, 1, 2, 4}, 0),
        ([{"succeededIndexes": "7"}, {"succeededIndexes": "0-2", "succeededCount": 1}], {1}, 1),
        ([{"succeededIndexes": "20"}], {1}, None),
        ([{"succeededCount": 0}], set(), None),
    ],
)
def test_rules_of_the_success_policy(rules, succeeded, position):
    assert matching_success_rule(rules, 10, frozenset(succeeded)) == position


def test_each_index_has_a_pod_that_knows_it():
    simulation = JobSimulation(completionMode="Indexed", completions=2, parallelism=2, name="a" * 60)
    containers = [{"name": "main"}, {"name": "told", "env": [{"name": "JOB_COMPLETION_INDEX", "value": "x"}]}]
    simulation.job["spec"]["template"]["spec"] |= {"containers": containers, "initContainers": [{"name": "init"}]}
    variable = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}},
    }
    first, second = simulation.sync().create
    assert [pod["metadata"]["generateName"] for pod in (first, second)] == [f"{'a' * 55}-0-", f"{'a' * 55}-1-"]
    assert second["metadata"]["annotations"] == {INDEX: "1"}
    assert second["metadata"]["labels"][INDEX] == "1"
    assert second["spec"]["hostname"] == f"{'a' * 60}-1"
    assert second["spec"]["initContainers"] == [{"name": "init", "env": [variable]}]
    assert second["spec"]["containers"] == [{"name": "main", "env": [variable]}, containers[1]]


def test_succeeded_indexes_are_shown_and_complete_the_job():
    simulation = indexed()
    pods = by_index(simulation)
    for index in (2, 0):
        simulation.finish(pods[index])
    simulation.settle()
    assert (simulation.status["completedIndexes"], simulation.status["succeeded"]) == ("0,2", 2)
    assert simulation.status["uncountedTerminatedPods"] == {}
    assert "failedIndexes" not in simulation.status
    assert list(by_index(simulation)) == [1]
    simulation.finish(pods[1], 1)
    simulation.settle()
    simulation.advance(10)
    simulation.settle()
    assert list(by_index(simulation)) == [1]
    simulation.finish(by_index(simulation)[1])
    simulation.settle()
    assert simulation.status["completedIndexes"] == "0-2"
    assert (simulation.status["succeeded"], simulation.status["failed"]) == (3, 1)
    assert simulation.conditions[-1] == ("Complete", "True", "CompletionsReached")


def test_pods_without_an_index_of_their_own_are_removed():
    simulation = indexed()
    pods = by_index(simulation)
    for index, value in ((0, "1"), (2, "7")):
        simulation.pods[pods[index]]["metadata"]["annotations"][INDEX] = value
    simulation.run(pods[1])
    simulation.settle()
    assert sorted(by_index(simulation)) == [0, 1, 2]
    assert by_index(simulation)[1] == pods[1]
    assert pods[0] not in simulation.pods
    assert pods[2] not in simulation.pods
    simulation.pods[pods[1]]["metadata"]["annotations"][INDEX] = "one"
    simulation.settle()
    assert sorted(by_index(simulation)) == [0, 1, 2]
    assert by_index(simulation)[1] != pods[1]


def test_failures_of_pods_without_a_valid_index_do_not_count():
    simulation = indexed(completions=1, backoffLimit=0)
    [name] = simulation.active
    simulation.pods[name]["metadata"]["annotations"][INDEX] = "9"
    simulation.finish(name, 1)
    simulation.settle()
    assert "failed" not in simulation.status
    assert "finalizers" not in simulation.pods[name]["metadata"]
    assert list(by_index(simulation)) == [0]


def test_an_index_waits_for_the_end_of_its_deleted_pod_where_only_failed_ones_are_replaced():
    simulation = indexed(completions=2, podReplacementPolicy="Failed")
    pods = by_index(simulation)
    simulation.run(pods[0])
    simulation.delete(pods[0])
    simulation.finish(pods[1], 1)
    simulation.settle()
    simulation.advance(20)
    simulation.settle()
    assert list(by_index(simulation)) == [1]


def test_failures_are_limited_per_index():
    simulation = indexed(completions=2, backoffLimitPerIndex=1, backoffLimit=2**31 - 1)
    pods = by_index(simulation)
    assert simulation.pods[pods[0]]["metadata"]["annotations"] == {INDEX: "0", FAILURES: "0"}
    simulation.finish(pods[0], 1)
    simulation.settle()
    assert simulation.status["failedIndexes"] == ""
    assert "finalizers" in simulation.pods[pods[0]]["metadata"]
    assert 9 <= simulation.wake_after <= 10
    simulation.advance(10)
    simulation.settle()
    again = by_index(simulation)[0]
    assert simulation.pods[again]["metadata"]["annotations"][FAILURES] == "1"
    assert "finalizers" not in simulation.pods[pods[0]]["metadata"]
    assert simulation.status["failed"] == 1
    simulation.finish(again, 1)
    simulation.settle()
    assert simulation.status["failedIndexes"] == "0"
    assert simulation.conditions == []
    assert simulation.active == [pods[1]]
    simulation.finish(pods[1])
    simulation.settle()
    assert simulation.conditions == [("FailureTarget", "True", "FailedIndexes"), ("Failed", "True", "FailedIndexes")]
    assert (simulation.status["completedIndexes"], simulation.status["failedIndexes"]) == ("1", "0")
    assert simulation.status["conditions"][0]["message"] == "Job has failed indexes"


def test_of_failed_pods_those_count_that_are_tracked_and_have_a_valid_index():
    simulation = indexed(completions=2, backoffLimitPerIndex=1)
    first, second = (simulation.pods[name] for name in by_index(simulation).values())
    found = []
    for uid, index, failures, ignored, tracked in (
        ("counted", 0, 5, 0, False),
        ("invalid", 2, 5, 0, True),
        ("earlier", 1, 0, 1, True),
        ("latest", 1, 0, 2, True),
        ("last try", 0, 1, 0, True),
    ):
        pod = copy(first)
        pod["metadata"] |= {"name": uid, "uid": uid}
        pod["metadata"]["annotations"] = {INDEX: str(index), FAILURES: str(failures), IGNORED: str(ignored)}
        pod["metadata"]["finalizers"] = first["metadata"]["finalizers"] if tracked else []
        pod["status"] = {"phase": "Failed"}
        found.append(pod)
    situation = assess(simulation.job, found, Memory(), START)
    assert situation.failed_indexes == {0}
    assert {index: pod["metadata"]["uid"] for index, pod in situation.delayed.items()} == {1: "latest"}
    assert assess(simulation.job, [*found[:4], second], Memory(), START).failed_indexes == frozenset()


def test_indexes_wait_for_themselves_alone():
    simulation = indexed(completions=2, backoffLimitPerIndex=3)
    pods = by_index(simulation)
    simulation.finish(pods[0], 1)
    simulation.advance(5)
    simulation.finish(pods[1], 1)
    simulation.settle()
    simulation.advance(5)
    simulation.settle()
    assert list(by_index(simulation)) == [0]
    assert 4 <= simulation.wake_after <= 5


def test_ignored_failures_are_kept_apart_and_delay_all_the_same():
    policy = {
        "rules": [
            {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [5]}},
            {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [6]}},
        ]
    }
    simulation = indexed(completions=2, backoffLimitPerIndex=0, podFailurePolicy=policy)
    simulation.finish(by_index(simulation)[0], 5)
    simulation.settle()
    simulation.advance(10)
    simulation.settle()
    again = by_index(simulation)[0]
    assert simulation.pods[again]["metadata"]["annotations"] == {INDEX: "0", FAILURES: "0", IGNORED: "1"}
    simulation.finish(again, 5)
    simulation.settle()
    assert 19 <= simulation.wake_after <= 20
    simulation.finish(by_index(simulation)[1], 6)
    simulation.settle()
    assert simulation.status["failedIndexes"] == "1"
    assert simulation.status["failed"] == 1


def test_too_many_failed_indexes_fail_the_job():
    simulation = indexed(completions=4, backoffLimitPerIndex=0, maxFailedIndexes=1)
    pods = by_index(simulation)
    simulation.finish(pods[0], 1)
    simulation.settle()
    assert simulation.conditions == []
    simulation.finish(pods[3], 1)
    simulation.settle()
    assert simulation.conditions == [
        ("FailureTarget", "True", "MaxFailedIndexesExceeded"),
        ("Failed", "True", "MaxFailedIndexesExceeded"),
    ]
    assert simulation.status["failedIndexes"] == "0,3"
    assert simulation.status["failed"] == 4


def test_the_success_policy_ends_the_job_before_all_indexes_are_done():
    simulation = indexed(successPolicy={"rules": [{"succeededIndexes": "1"}]})
    pods = by_index(simulation)
    simulation.run(pods[0])
    simulation.finish(pods[1])
    simulation.settle()
    assert simulation.conditions == [("SuccessCriteriaMet", "True", "SuccessPolicy")]
    assert simulation.status["conditions"][0]["message"] == "Matched rules at index 0"
    assert simulation.status["terminating"] == 1
    simulation.finish(pods[0], 143)
    simulation.settle()
    assert simulation.conditions[-1] == ("Complete", "True", "SuccessPolicy")
    assert simulation.status["succeeded"] == 1
    assert "failed" not in simulation.status
    assert simulation.pods == {pods[1]: simulation.pods[pods[1]]}
