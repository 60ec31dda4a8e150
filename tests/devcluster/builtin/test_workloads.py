from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, deployment, manifest, refusal, template, updated

pytestmark = pytest.mark.unit

SELECTOR = {"matchLabels": {"app": "a"}}


def _workload(kind: str, **spec: Any) -> Object:
    return manifest("apps/v1", kind, spec={"selector": SELECTOR, "template": template(), **spec})


def _without_template(obj: Object) -> Object:
    return {name: value for name, value in obj["spec"].items() if name not in ("template", "selector")}


def test_what_every_deployment_gets() -> None:
    found = created({**deployment(), "status": {"replicas": 3}})
    assert _without_template(found) == {
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
    }
    assert found["status"] == {}
    assert found["metadata"]["generation"] == 1
    recreate = created(deployment(strategy={"type": "Recreate"}, replicas=0))["spec"]
    assert (recreate["strategy"], recreate["replicas"]) == ({"type": "Recreate"}, 0)


def test_what_every_replica_set_gets() -> None:
    found = created(manifest("apps/v1", "ReplicaSet", spec={"selector": SELECTOR, "template": template()}))
    assert _without_template(found) == {"replicas": 1}
    assert found["status"] == {"replicas": 0}


def test_what_every_stateful_set_gets() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1024Mi"}}}}]
    found = created(_workload("StatefulSet", volumeClaimTemplates=claims))
    assert _without_template(found) == {
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "podManagementPolicy": "OrderedReady",
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "serviceName": "",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "volumeClaimTemplates": [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data"},
                "spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"},
                "status": {"phase": "Pending"},
            }
        ],
    }
    other = created(_workload("StatefulSet", updateStrategy={"type": "OnDelete"}))
    assert other["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_what_every_daemon_set_gets() -> None:
    found = created(_workload("DaemonSet"))
    assert _without_template(found) == {
        "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    }
    note = "deprecated.daemonset.template.generation"
    assert found["metadata"]["annotations"] == {note: "1"}
    changed = updated(found, lambda one: one["spec"]["template"]["metadata"].update(annotations={"a": "b"}))
    assert changed["metadata"]["annotations"] == {note: "2"}
    other = created(_workload("DaemonSet", updateStrategy={"type": "OnDelete"}))
    assert other["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert (
        change_refusal(found, lambda one: one["spec"].update(selector={"matchLabels": {}}))
        == [("spec.selector", "Invalid")] * 3
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"selector": None}, [("spec.selector", "Required"), ("spec.template.metadata.labels", "Invalid")]),
        ({"selector": {}}, [("spec.selector", "Invalid")]),
        ({"selector": {"matchLabels": {"app": "b"}}}, [("spec.template.metadata.labels", "Invalid")]),
        (
            {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}},
            [("spec.selector", "Invalid"), ("spec.selector.matchExpressions[0].values", "Required")],
        ),
        (
            {"selector": {"matchExpressions": [{"key": "-", "operator": "Exists", "values": ["-"]}]}},
            [
                ("spec.selector", "Invalid"),
                ("spec.selector.matchExpressions[0].key", "Invalid"),
                ("spec.selector.matchExpressions[0].values", "Forbidden"),
                ("spec.selector.matchExpressions[0].values[0]", "Invalid"),
            ],
        ),
        (
            {"selector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "app", "operator": "x"}]}},
            [("spec.selector", "Invalid"), ("spec.selector.matchExpressions[0].operator", "Invalid")],
        ),
        ({"replicas": -1}, [("spec.replicas", "Invalid")]),
        ({"minReadySeconds": -1}, [("spec.minReadySeconds", "Invalid")]),
        ({"minReadySeconds": 600}, [("spec.progressDeadlineSeconds", "Invalid")]),
        ({"revisionHistoryLimit": -1}, [("spec.revisionHistoryLimit", "Invalid")]),
        (
            {"template": template(restartPolicy="Never", activeDeadlineSeconds=5)},
            [
                ("spec.template.spec.activeDeadlineSeconds", "Forbidden"),
                ("spec.template.spec.restartPolicy", "NotSupported"),
            ],
        ),
        (
            {"template": {**template(), "metadata": {"labels": {"app": "a", "b": "-"}, "annotations": {"-": ""}}}},
            [("spec.template.annotations", "Invalid"), ("spec.template.labels", "Invalid")],
        ),
        ({"strategy": {"type": "x"}}, [("spec.strategy.type", "NotSupported")]),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {}}},
            [("spec.strategy.rollingUpdate", "Forbidden")],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
            [("spec.strategy.rollingUpdate.maxUnavailable", "Invalid")],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": "many", "maxUnavailable": "101%"}}},
            [
                ("spec.strategy.rollingUpdate.maxSurge", "Invalid"),
                ("spec.strategy.rollingUpdate.maxUnavailable", "Invalid"),
            ],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": -1}}},
            [("spec.strategy.rollingUpdate.maxSurge", "Invalid")],
        ),
    ],
)
def test_what_is_wrong_with_a_deployment(spec: Object, expected: Any) -> None:
    assert refusal(deployment(**spec)) == expected


def test_annotations_of_a_deployment_count_as_content() -> None:
    old = created(deployment())
    assert updated(old, lambda one: one["metadata"].update(annotations={"a": "b"}))["metadata"]["generation"] == 2
    assert updated(old, lambda one: one["metadata"].update(labels={"a": "b"}))["metadata"]["generation"] == 1
    assert updated(old, lambda one: one["spec"].update(replicas=3))["metadata"]["generation"] == 2
    assert updated(old, lambda one: one["spec"].update(replicas=None))["spec"]["replicas"] == 1


def test_selectors_can_not_change() -> None:
    def change(one: Object) -> None:
        one["spec"]["selector"] = {"matchLabels": {"app": "b"}}
        one["spec"]["template"]["metadata"]["labels"] = {"app": "b"}

    for kind in ("Deployment", "ReplicaSet", "DaemonSet"):
        assert change_refusal(created(_workload(kind)), change) == [("spec.selector", "Invalid")]
    assert change_refusal(created(_workload("StatefulSet")), change) == [("spec", "Forbidden")]


def test_what_may_change_in_a_stateful_set() -> None:
    old = created(_workload("StatefulSet"))
    assert change_refusal(old, lambda one: one["spec"].update(replicas=3, minReadySeconds=1)) == []
    assert change_refusal(old, lambda one: one["spec"].update(serviceName="x")) == [("spec", "Forbidden")]
    assert refusal(_workload("StatefulSet", podManagementPolicy="x")) == [("spec.podManagementPolicy", "NotSupported")]


def test_labels_of_a_deployment_do_not_change_with_its_status() -> None:
    old = created(deployment())

    def change(one: Object) -> None:
        one["metadata"] |= {"labels": {"a": "b"}, "annotations": {"c": "d"}}
        one["status"] = {"replicas": 1, "observedGeneration": 1}

    found = updated(old, change, "status")
    assert "labels" not in found["metadata"]
    assert found["metadata"]["annotations"] == {"c": "d"}
    assert found["metadata"]["generation"] == 1
    assert found["status"] == {"replicas": 1, "observedGeneration": 1}
    old["metadata"]["labels"] = {"kept": "yes"}
    assert updated(old, change, "status")["metadata"]["labels"] == {"kept": "yes"}
    replica_set = created(_workload("ReplicaSet"))
    assert updated(replica_set, change, "status")["metadata"]["labels"] == {"a": "b"}


def test_numbers_of_a_status() -> None:
    def refused(**status: int) -> Any:
        return change_refusal(created(deployment()), lambda one: one.update(status=status), "status")

    assert refused(unavailableReplicas=1) == []
    assert refused(observedGeneration=-1) == [("status.observedGeneration", "Invalid")]
    assert refused(replicas=1, readyReplicas=2) == [("status.readyReplicas", "Invalid")]
    assert refused(replicas=2, readyReplicas=1, availableReplicas=2) == [("status.availableReplicas", "Invalid")]
    assert refused(replicas=2, readyReplicas=2, availableReplicas=2, updatedReplicas=2) == []
