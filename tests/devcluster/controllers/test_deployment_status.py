import datetime as dt

import pytest

from adapter_devcluster.controllers.deployments import status
from adapter_devcluster.objects import copy, timestamp
from adapter_testing.rollouts import NOW, deployment, replica_set

pytestmark = pytest.mark.unit


# --- status --------------------------------------------------------------------------------------


def judged(found, new, old=(), now=NOW, *, rollout=True):
    """Return the Deployment after one look at it."""
    after = copy(found)
    status.set_counts(after, new, list(old), now)
    if rollout:
        status.set_progress(after, found, new, list(old), now)
    return after


def conditions(found):
    return {one["type"]: (one["status"], one["reason"]) for one in found["status"].get("conditions", [])}


def test_counts_come_from_the_replica_sets():
    new = replica_set("n", 3, 1, readyReplicas=2, replicas=3, terminatingReplicas=1)
    old = [replica_set("o", 2, 2, readyReplicas=2, terminatingReplicas=2)]
    found = judged(deployment(4, 1, 0), new, old, rollout=False)["status"]
    assert {field: value for field, value in found.items() if field != "conditions"} == {
        "observedGeneration": 2,
        "replicas": 5,
        "updatedReplicas": 3,
        "readyReplicas": 4,
        "availableReplicas": 3,
        "unavailableReplicas": 2,
        "terminatingReplicas": 3,
    }


def test_a_rollout_from_its_beginning_to_its_end_and_after():
    found = deployment(2, 1, 0, progressDeadlineSeconds=60)
    status.set_condition(found, "Progressing", "True", "NewReplicaSetCreated", "made", NOW)
    found = judged(found, replica_set("n", 2, 0, replicas=0))
    assert conditions(found)["Progressing"] == ("True", "NewReplicaSetCreated")
    assert conditions(found)["Available"] == ("False", "MinimumReplicasUnavailable")
    found = judged(found, replica_set("n", 2, 0))
    assert conditions(found)["Progressing"] == ("True", "ReplicaSetUpdated")
    found = judged(found, replica_set("n", 2, 2))
    assert conditions(found) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    # A pod that fails later is no lack of progress, however long it takes.
    found = judged(found, replica_set("n", 2, 1), now=NOW + dt.timedelta(hours=1))
    assert conditions(found) == {
        "Available": ("False", "MinimumReplicasUnavailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert status.seconds_left(found, NOW) is None


def test_progress_renews_the_time_but_not_that_of_the_transition():
    found = deployment(2, 1, 0, progressDeadlineSeconds=60)
    status.set_condition(found, "Progressing", "True", "NewReplicaSetCreated", "made", NOW)
    later = NOW + dt.timedelta(seconds=50)
    found = judged(found, replica_set("n", 2, 1), now=later)
    (progressing,) = [one for one in found["status"]["conditions"] if one["type"] == "Progressing"]
    assert progressing["lastUpdateTime"] == timestamp(later)
    assert progressing["lastTransitionTime"] == timestamp(NOW)
    assert progressing["message"] == 'ReplicaSet "n" is progressing.'
    assert status.seconds_left(found, later) == 60


def test_a_rollout_that_stands_still_times_out_once():
    found = deployment(2, 1, 0, progressDeadlineSeconds=60)
    status.set_condition(found, "Progressing", "True", "NewReplicaSetCreated", "made", NOW)
    found = judged(found, replica_set("n", 2, 0))
    late = NOW + dt.timedelta(seconds=61)
    found = judged(found, replica_set("n", 2, 0), now=late)
    assert conditions(found)["Progressing"] == ("False", "ProgressDeadlineExceeded")
    assert status.seconds_left(found, late) is None
    assert judged(found, replica_set("n", 2, 0), now=late + dt.timedelta(hours=1)) == found
    # It may succeed late all the same.
    assert conditions(judged(found, replica_set("n", 2, 2), now=late))["Progressing"] == (
        "True",
        "NewReplicaSetAvailable",
    )


@pytest.mark.parametrize("limit", [None, 2**31 - 1])
def test_without_a_deadline_progress_is_not_reported(limit):
    found = deployment(2, progressDeadlineSeconds=limit)
    status.set_condition(found, "Progressing", "True", "NewReplicaSetCreated", "made", NOW)
    assert "Progressing" not in conditions(judged(found, replica_set("n", 2, 0)))
    status.note_pause({**found, "spec": {**found["spec"], "paused": True}}, NOW)
    assert status.seconds_left(found, NOW) is None


def test_a_pause_is_noted_and_its_end_starts_the_deadline_anew():
    found = deployment(2, progressDeadlineSeconds=60, paused=True)
    status.note_pause(found, NOW)
    assert conditions(found)["Progressing"] == ("Unknown", "DeploymentPaused")
    found["spec"]["paused"] = False
    status.note_pause(found, NOW + dt.timedelta(hours=1))
    assert conditions(found)["Progressing"] == ("Unknown", "DeploymentResumed")
    status.note_pause(found, NOW + dt.timedelta(hours=2))
    assert conditions(found)["Progressing"] == ("Unknown", "DeploymentResumed")


def test_a_pause_does_not_hide_that_the_deadline_was_missed():
    found = deployment(2, progressDeadlineSeconds=60, paused=True)
    status.set_condition(found, "Progressing", "False", "ProgressDeadlineExceeded", "late", NOW)
    status.note_pause(found, NOW)
    assert conditions(found)["Progressing"] == ("False", "ProgressDeadlineExceeded")


def test_a_failure_of_a_replica_set_shows_until_it_ends():
    failing = replica_set("n", 2, 0, replicas=0)
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    failing["status"]["conditions"] = [{**failure, "lastTransitionTime": timestamp(NOW)}]
    found = judged(deployment(2, progressDeadlineSeconds=60), failing)
    assert conditions(found)["ReplicaFailure"] == ("True", "FailedCreate")
    assert judged(found, failing, now=NOW + dt.timedelta(seconds=5)) == found
    assert "ReplicaFailure" not in conditions(judged(found, replica_set("n", 2, 0)))


def test_a_deployment_without_its_replica_set_speaks_of_itself():
    found = deployment(0, progressDeadlineSeconds=60)
    status.set_condition(found, "Progressing", "True", "NewReplicaSetCreated", "made", NOW)
    (progressing,) = [one for one in judged(found, None)["status"]["conditions"] if one["type"] == "Progressing"]
    assert progressing["message"] == 'Deployment "d" has successfully progressed.'
