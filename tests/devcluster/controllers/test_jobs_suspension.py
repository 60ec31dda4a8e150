"""Jobs that are suspended, from the start or later."""

import pytest

from adapter_testing.job_simulation import started

pytestmark = pytest.mark.unit


def test_a_job_suspended_from_the_start_has_neither_pods_nor_a_start():
    simulation = started(suspend=True, activeDeadlineSeconds=5)
    assert simulation.pods == {}
    assert simulation.wake_after is None
    assert simulation.status == {
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
        "conditions": [
            {
                "type": "Suspended",
                "status": "True",
                "lastProbeTime": "2026-05-04T12:00:00Z",
                "lastTransitionTime": "2026-05-04T12:00:00Z",
                "reason": "JobSuspended",
                "message": "Job suspended",
            }
        ],
    }
    simulation.job["spec"]["suspend"] = False
    simulation.advance(60)
    simulation.settle()
    assert simulation.conditions == [("Suspended", "False", "JobResumed")]
    assert simulation.status["startTime"] == "2026-05-04T12:01:00Z"
    assert len(simulation.active) == 1
    assert simulation.wake_after == 5
    assert simulation.events == ["Suspended", "Resumed"]


def test_suspension_removes_pods_that_count_as_nothing():
    simulation = started()
    [name] = simulation.active
    simulation.run(name)
    simulation.settle()
    simulation.job["spec"]["suspend"] = True
    plan = simulation.sync()
    assert plan.uncounted_removal
    assert "startTime" not in simulation.status
    assert "active" not in simulation.status
    assert (simulation.status["ready"], simulation.status["terminating"]) == (0, 1)
    assert "finalizers" not in simulation.pods[name]["metadata"]
    simulation.finish(name, 143)
    simulation.settle()
    assert simulation.pods == {}
    assert (simulation.status["terminating"], simulation.status.get("failed")) == (0, None)


def test_an_end_in_suspension_gets_the_start_time_that_the_api_wants():
    simulation = started(suspend=True, completions=0)
    assert simulation.conditions[-1] == ("Complete", "True", "CompletionsReached")
    assert simulation.status["startTime"] == simulation.status["completionTime"]
