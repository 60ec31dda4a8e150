"""How many pods of a budget may be disrupted."""

import datetime as dt

import pytest

from adapter_devcluster.controllers.disruption import budget_status, failed_status
from adapter_devcluster.objects import timestamp

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def budget(**status):
    return {"metadata": {"name": "b", "namespace": "ns", "generation": 4}, "spec": {}, "status": status}


def pod(name, *, ready=True, **meta):
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"metadata": {"name": name, "namespace": "ns", **meta}, "status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("healthy", "expected", "desired", "allowed"),
    [(3, 3, 2, 1), (2, 3, 2, 0), (1, 3, 2, 0), (3, 0, 0, 0), (3, 3, 0, 3)],
)
def test_what_is_over_the_wanted_health_may_go(healthy, expected, desired, allowed):
    pods = [pod(str(i)) for i in range(healthy)] + [pod("x", ready=False), pod("y", deletionTimestamp="now")]
    found = budget_status(budget(), pods, expected, desired, NOW)
    assert found == {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": 4,
        "conditions": [
            {
                "type": "DisruptionAllowed",
                "status": "True" if allowed else "False",
                "observedGeneration": 4,
                "lastTransitionTime": timestamp(NOW),
                "reason": "SufficientPods" if allowed else "InsufficientPods",
                "message": "",
            }
        ],
    }


def test_a_condition_keeps_the_time_of_its_transition():
    later = NOW + dt.timedelta(minutes=1)
    first = budget_status(budget(), [pod("a")], 1, 0, NOW)
    again = budget_status(budget(**first), [pod("a"), pod("b")], 2, 0, later)
    assert again["conditions"] == first["conditions"]
    changed = budget_status(budget(**again), [], 2, 0, later)
    assert changed["conditions"][0]["lastTransitionTime"] == timestamp(later)


def test_an_evicted_pod_counts_as_gone_until_it_is_or_two_minutes_have_passed():
    evicted = {"a": timestamp(NOW), "b": timestamp(NOW - dt.timedelta(minutes=2)), "gone": timestamp(NOW)}
    found = budget_status(budget(disruptedPods=evicted), [pod("a"), pod("b"), pod("c")], 3, 1, NOW)
    assert found["disruptedPods"] == {"a": timestamp(NOW)}
    assert (found["currentHealthy"], found["disruptionsAllowed"]) == (2, 1)


def test_a_failure_allows_nothing_and_keeps_the_counts():
    present = budget_status(budget(), [pod("a")], 1, 0, NOW)
    failed = failed_status(budget(**present), "found no controllers", NOW)
    assert (failed["currentHealthy"], failed["disruptionsAllowed"]) == (1, 0)
    assert [(one["reason"], one["message"]) for one in failed["conditions"]] == [("SyncFailed", "found no controllers")]
    assert failed_status(budget(), "x", NOW)["expectedPods"] == 0
