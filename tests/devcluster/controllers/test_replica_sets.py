"""Which pods a ReplicaSet creates, deletes first, and counts."""

import datetime as dt

import pytest

from adapter_devcluster.controllers.replica_sets import deletion_order, new_status, pod_from_template
from adapter_devcluster.objects import timestamp
from adapter_devcluster.statuses import StatusError, forbidden

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def ago(seconds):
    return timestamp(NOW - dt.timedelta(seconds=seconds))


def pod(name, *, node="n", phase="Running", ready=100, created=100, restarts=0, labels=None, **meta):
    """``ready`` is for how many seconds, None for not at all."""
    condition = {"type": "Ready", "status": "False" if ready is None else "True"}
    if ready is not None:
        condition["lastTransitionTime"] = ago(ready)
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": ago(created), "labels": labels or {}, **meta},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": [condition], "containerStatuses": [{"restartCount": restarts}]},
    }


def replica_set(replicas=2, min_ready=0, **more):
    template = {
        "metadata": {"labels": {"app": "a"}, "annotations": {"k": "v"}},
        "spec": {"containers": [{"name": "c"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "r", "namespace": "ns", "uid": "rs", "generation": 3},
        "spec": {"replicas": replicas, "minReadySeconds": min_ready, "template": template},
        **more,
    }


def names(pods, related=()):
    return [one["metadata"]["name"] for one in deletion_order(pods, related, NOW)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("b", node=""), pod("a", phase="Pending", ready=None)),
        (pod("b", phase="Pending"), pod("a", phase="Unknown")),
        (pod("b", phase="Unknown"), pod("a")),
        (pod("b", ready=None), pod("a")),
        (pod("b", annotations={"controller.kubernetes.io/pod-deletion-cost": "-1"}), pod("a")),
        (pod("b"), pod("a", annotations={"controller.kubernetes.io/pod-deletion-cost": "7"})),
        (pod("b", ready=5), pod("a", ready=100)),
        (pod("b", restarts=3), pod("a", restarts=1)),
        (pod("b", created=2), pod("a", created=100)),
        # Of the same order of magnitude, so the uid decides.
        (pod("a", created=100), pod("b", created=99)),
        # A cost that is no number counts as none.
        (pod("a", annotations={"controller.kubernetes.io/pod-deletion-cost": "cheap"}), pod("b")),
    ],
)
def test_what_is_least_missed_goes_first(first, second):
    expected = [first["metadata"]["name"], second["metadata"]["name"]]
    assert names([first, second]) == names([second, first]) == expected


def test_pods_on_crowded_nodes_go_before_others():
    crowded, alone = pod("b", node="full"), pod("a", node="empty")
    related = [crowded, alone, pod("c", node="full")]
    assert names([alone, crowded], related) == ["b", "a"]


def test_a_pod_is_the_template_under_a_generated_name_and_a_controller():
    made = pod_from_template(replica_set())
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "rs"}
    assert made == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {"app": "a"},
            "annotations": {"k": "v"},
            "namespace": "ns",
            "generateName": "r-",
            "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"containers": [{"name": "c"}]},
    }


def test_status_counts_labels_readiness_and_availability():
    pods = [
        pod("a", labels={"app": "a", "more": "x"}, ready=9),
        pod("b", labels={"app": "a"}, ready=10),
        pod("c", labels={}, ready=None),
    ]
    assert new_status(replica_set(3, 10), pods, [pod("d")], None, NOW) == {
        "replicas": 3,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 3,
    }


def test_a_ready_pod_of_unknown_time_is_not_available_while_time_counts():
    unknown = pod("a")
    del unknown["status"]["conditions"][0]["lastTransitionTime"]
    assert "availableReplicas" not in new_status(replica_set(1, 10), [unknown], [], None, NOW)
    assert new_status(replica_set(1, 0), [unknown], [], None, NOW)["availableReplicas"] == 1


def test_a_failure_becomes_a_condition_that_keeps_its_beginning_and_ends_with_it():
    refusal: StatusError = forbidden("pods", "", "exceeded quota")
    failed = new_status(replica_set(), [], [], refusal, NOW)
    assert failed["conditions"] == [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": timestamp(NOW),
            "reason": "FailedCreate",
            "message": "pods is forbidden: exceeded quota",
        }
    ]
    later = NOW + dt.timedelta(minutes=1)
    again = new_status(replica_set(status=failed), [], [], forbidden("pods", "", "other"), later)
    assert again["conditions"] == failed["conditions"]
    assert "conditions" not in new_status(replica_set(status=again), [pod("a"), pod("b")], [], None, later)


def test_too_many_pods_that_stay_are_a_failure_to_delete():
    failed = new_status(replica_set(0), [pod("a")], [], forbidden("pods", "a", "no"), NOW)
    assert [one["reason"] for one in failed["conditions"]] == ["FailedDelete"]
