"""What jobs read off pods, and the failure policy."""

import datetime as dt

import pytest

from adapter_devcluster.controllers.jobs.backoff import Backoff, remaining
from adapter_devcluster.controllers.jobs.failure_policy import Verdict, judge
from adapter_devcluster.controllers.jobs.pods import failures_before, finished_at, index_of, removal_order
from adapter_devcluster.objects import parse_time

pytestmark = pytest.mark.unit

NOON = "2026-05-04T12:00:00Z"
LATER = "2026-05-04T12:00:30Z"
LAST = "2026-05-04T12:01:00Z"


def ended(finished=NOON, code=1, name="main"):
    return {"name": name, "state": {"terminated": {"exitCode": code, "finishedAt": finished}}}


def pod(status=None, spec=None, **metadata):
    about = {"namespace": "lab", "name": "p", "uid": "u", "creationTimestamp": NOON, **metadata}
    return {"metadata": about, "spec": spec or {}, "status": status or {}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod({"containerStatuses": [ended(LAST), ended(LATER)]}), LAST),
        (
            pod(
                {
                    "containerStatuses": [ended(LAST), {"name": "b", "state": {"running": {}}}],
                    "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": LATER}],
                }
            ),
            LATER,
        ),
        (
            pod(
                {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": LATER}]},
                deletionTimestamp=LAST,
                deletionGracePeriodSeconds=30,
            ),
            LATER,
        ),
        (pod(deletionTimestamp=LAST), LAST),
        (pod(), NOON),
    ],
)
def test_when_a_pod_ended(found, expected):
    assert finished_at(found) == parse_time(expected)


def test_the_pods_that_cost_least_are_removed_first():
    def ready(since):
        return [{"type": "Ready", "status": "True", "lastTransitionTime": since}]

    node = {"nodeName": "n"}
    order = [
        pod({"phase": "Running"}, name="unscheduled"),
        pod({"phase": "Pending"}, node, name="pending"),
        pod({"phase": "Unknown"}, node, name="unknown"),
        pod({"phase": "Running", "containerStatuses": [{"restartCount": 2}]}, node, name="restarted"),
        pod({"phase": "Running"}, node, name="younger", creationTimestamp=LATER),
        pod({"phase": "Running"}, node, name="older"),
        pod({"phase": "Running", "conditions": ready(LATER)}, node, name="just ready"),
        pod({"phase": "Running", "conditions": ready(NOON)}, node, name="long ready"),
    ]
    shuffled = [*order[5:], *order[:5]]
    names = [one["metadata"]["name"] for one in sorted(shuffled, key=removal_order)]
    assert names == [one["metadata"]["name"] for one in order]


@pytest.mark.parametrize(("text", "count"), [("3", 3), ("-1", None), ("x", None), (str(2**31), None), ("", None)])
def test_counts_that_pods_carry_may_be_nonsense(text, count):
    annotations = {
        "batch.kubernetes.io/job-completion-index": text,
        "batch.kubernetes.io/job-index-failure-count": text,
    }
    assert index_of(pod(annotations=annotations)) == count
    assert failures_before(pod(annotations=annotations)) == (count or 0)


def exit_codes(operator, *values, **more):
    return {"action": "FailIndex", "onExitCodes": {"operator": operator, "values": list(values), **more}}


@pytest.mark.parametrize(
    ("rule", "statuses", "matches"),
    [
        (exit_codes("In", 3, 4), {"containerStatuses": [ended(code=4)]}, True),
        (exit_codes("In", 3, 4), {"containerStatuses": [ended(code=5)]}, False),
        (exit_codes("NotIn", 3, 4), {"containerStatuses": [ended(code=5)]}, True),
        (exit_codes("NotIn", 3, 4), {"containerStatuses": [ended(code=3)]}, False),
        (exit_codes("NotIn", 3), {"containerStatuses": [ended(code=0)]}, False),
        (exit_codes("In", 3), {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}, False),
        (exit_codes("In", 3, containerName="other"), {"containerStatuses": [ended(code=3)]}, False),
        (exit_codes("In", 3, containerName="main"), {"containerStatuses": [ended(code=3)]}, True),
        (exit_codes("In", 3), {"initContainerStatuses": [ended(code=3)]}, True),
        (
            {"action": "FailIndex", "onPodConditions": [{"type": "A"}]},
            {"conditions": [{"type": "A", "status": "True"}]},
            True,
        ),
        (
            {"action": "FailIndex", "onPodConditions": [{"type": "A", "status": "False"}]},
            {"conditions": [{"type": "A", "status": "True"}]},
            False,
        ),
        ({"action": "FailIndex"}, {}, False),
    ],
)
def test_rules_of_the_failure_policy(rule, statuses, matches):
    assert judge([rule], pod(statuses)).action == ("FailIndex" if matches else "")


def test_the_first_rule_that_matches_decides():
    rules = [
        {"action": "Count", "onPodConditions": [{"type": "Other"}]},
        {"action": "FailJob", "onPodConditions": [{"type": "A", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1]}},
    ]
    found = pod({"conditions": [{"type": "A", "status": "True"}], "containerStatuses": [ended()]})
    message = "Pod lab/p has condition A matching FailJob rule at index 1"
    assert judge(rules, found) == Verdict("FailJob", message)
    assert judge(rules, pod()) == Verdict()
    assert judge(None, found) == Verdict()


def test_failures_before_a_success_are_forgotten():
    def at(moment):
        return pod({"containerStatuses": [ended(moment)]})

    earlier = Backoff(4, parse_time(NOON))
    assert earlier.after([], []) is earlier
    assert earlier.after([at(LATER)], []) == Backoff()
    assert earlier.after([at(LATER)], [at(NOON), at(LATER)]) == Backoff()
    assert earlier.after([at(LATER)], [at(NOON), at(LAST)]) == Backoff(1, parse_time(LAST))
    assert earlier.after([], [at(LAST), at(LATER)]) == Backoff(6, parse_time(LAST))


def test_the_wait_after_failures_has_a_bound():
    now = parse_time(LATER)
    assert remaining(0, None, now, 10) == 0
    assert remaining(1, now, now, 10) == 10
    assert remaining(3, now - dt.timedelta(seconds=15), now, 10) == 25
    assert remaining(1, parse_time(NOON), now, 10) == 0
    assert remaining(5000, now, now, 10) == 600
