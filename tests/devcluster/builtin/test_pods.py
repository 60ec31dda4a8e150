from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import Admitted
from adapter_devcluster.builtin import graceful_seconds
from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, create, created, findings, pod, refusal, update, updated

pytestmark = pytest.mark.unit

LIMITED = {"cpu": "1", "memory": "1Gi"}


def _container(found: Object, name: str = "containers") -> Object:
    one: Object = found["spec"][name][0]
    return one


def _with_container(**fields: Any) -> Object:
    return pod(containers=[{"name": "main", "image": "example.test/app:1", **fields}])


# --- defaults ---------------------------------------------------------------------------------------------------


def test_what_every_pod_gets() -> None:
    found = created(pod())
    assert found["metadata"]["generation"] == 1
    assert found["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert found["spec"] == {
        "containers": [
            {
                "name": "main",
                "image": "example.test/app:1",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "tolerations": [
            {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        ],
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("app", "Always"),
        ("app:latest", "Always"),
        ("host:5000/app", "Always"),
        ("host:5000/app:1", "IfNotPresent"),
        ("app@sha256:00", "IfNotPresent"),
        ("app:latest@sha256:00", "Always"),
    ],
)
def test_when_images_are_pulled(image: str, policy: str) -> None:
    assert _container(created(pod(containers=[{"name": "a", "image": image}])))["imagePullPolicy"] == policy


def test_a_pod_that_tolerates_already_gets_nothing_more() -> None:
    mine = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 5, "effect": "NoExecute"}
    found = created(pod(tolerations=[mine]))["spec"]["tolerations"]
    assert [one["key"] for one in found] == ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    assert found[0] == mine
    everything = [{"operator": "Exists"}]
    assert created(pod(tolerations=everything))["spec"]["tolerations"] == everything


def test_requests_come_from_limits() -> None:
    limits = {"cpu": "0.0001", "memory": "1024Mi"}
    found = created(_with_container(resources={"limits": limits, "requests": {"memory": "1Mi"}}))
    assert _container(found)["resources"] == {
        "limits": {"cpu": "1m", "memory": "1Gi"},
        "requests": {"cpu": "1m", "memory": "1Mi"},
    }


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"limits": {"nvidia.com/gpu": "1"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": LIMITED, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": LIMITED}, "Guaranteed"),
    ],
)
def test_the_class_of_service(resources: Object, expected: str) -> None:
    assert created(_with_container(resources=resources))["status"]["qosClass"] == expected
    assert created(pod(initContainers=[{"name": "i", "image": "x", "resources": resources}]))["status"]["qosClass"] == (
        "BestEffort" if expected == "BestEffort" else "Burstable"
    )


def test_resources_of_the_whole_pod_decide_its_class() -> None:
    assert created(pod(resources={"limits": LIMITED, "requests": LIMITED}))["status"]["qosClass"] == "Guaranteed"


def test_the_defaults_of_volumes() -> None:
    field = {"fieldRef": {"fieldPath": "metadata.name"}, "path": "name"}
    volumes = [
        {"name": "nothing"},
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "config", "configMap": {"name": "c", "defaultMode": 0}},
        {"name": "down", "downwardAPI": {"items": [field]}},
        {"name": "host", "hostPath": {"path": "/x"}},
        {"name": "image", "image": {"reference": "app:1"}},
        {"name": "claim", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
        {
            "name": "all",
            "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"downwardAPI": {"items": [field]}}]},
        },
    ]
    found = {one.pop("name"): one for one in created(pod(volumes=volumes))["spec"]["volumes"]}
    full = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}, "path": "name"}
    assert found["nothing"] == {"emptyDir": {}}
    assert found["secret"] == {"secret": {"secretName": "s", "defaultMode": 420}}
    assert found["config"] == {"configMap": {"name": "c", "defaultMode": 0}}
    assert found["down"] == {"downwardAPI": {"items": [full], "defaultMode": 420}}
    assert found["host"] == {"hostPath": {"path": "/x", "type": ""}}
    assert found["image"] == {"image": {"reference": "app:1", "pullPolicy": "IfNotPresent"}}
    assert found["claim"]["ephemeral"]["volumeClaimTemplate"] == {
        "metadata": {},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {}, "volumeMode": "Filesystem"},
    }
    assert found["all"]["projected"] == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}},
            {"downwardAPI": {"items": [full]}},
        ],
    }


def test_the_defaults_of_probes_ports_and_variables() -> None:
    found = _container(
        created(
            _with_container(
                livenessProbe={"httpGet": {"port": 80}},
                readinessProbe={"grpc": {"port": 80}, "periodSeconds": 2},
                lifecycle={"preStop": {"httpGet": {"port": "http"}}, "stopSignal": "SIGTERM"},
                ports=[{"containerPort": 80}],
                env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
            )
        )
    )
    numbers = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    assert found["livenessProbe"] == {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, **numbers}
    assert found["readinessProbe"] == {"grpc": {"port": 80, "service": ""}, **numbers, "periodSeconds": 2}
    assert found["lifecycle"]["preStop"] == {"httpGet": {"port": "http", "path": "/", "scheme": "HTTP"}}
    assert found["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert found["env"][0]["valueFrom"]["fieldRef"] == {"apiVersion": "v1", "fieldPath": "metadata.uid"}


def test_ports_on_the_network_of_the_host() -> None:
    found = created(pod(hostNetwork=True, containers=[{"name": "a", "image": "b", "ports": [{"containerPort": 80}]}]))
    assert _container(found)["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_both_names_of_the_service_account() -> None:
    for given in ("serviceAccountName", "serviceAccount"):
        found = created(pod(**{given: "robot"}))["spec"]
        assert (found["serviceAccountName"], found["serviceAccount"]) == ("robot", "robot")
    assert "serviceAccountName" not in created(pod())["spec"]


def test_priorities_of_the_system() -> None:
    assert created(pod(priorityClassName="system-node-critical"))["spec"]["priority"] == 2_000_001_000


def test_a_gated_pod_is_not_scheduled() -> None:
    found = created(pod(schedulingGates=[{"name": "example.test/wait"}], overhead={"cpu": "0.1"}))
    condition = found["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "SchedulingGated")
    assert found["spec"]["overhead"] == {"cpu": "100m"}


# --- updates -------------------------------------------------------------------------------------------------------


def test_an_image_may_change() -> None:
    found = updated(created(pod()), lambda one: _container(one).update(image="example.test/app:2"))
    assert _container(found)["image"] == "example.test/app:2"
    assert found["metadata"]["generation"] == 2


def test_labels_change_no_generation() -> None:
    found = updated(created(pod()), lambda one: one["metadata"].update(labels={"a": "b"}))
    assert found["metadata"]["generation"] == 1
    assert found["metadata"]["labels"] == {"a": "b"}


def test_a_status_in_an_update_is_ignored() -> None:
    found = updated(created(pod()), lambda one: one["status"].update(phase="Running"))
    assert found["status"]["phase"] == "Pending"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: _container(one).update(command=["x"]), [("spec", "Forbidden")]),
        (lambda one: one["spec"].update(nodeName="n"), [("spec", "Forbidden")]),
        (lambda one: one["spec"]["containers"].append(_container(one)), [("spec.containers", "Forbidden")]),
        (lambda one: _container(one).update(image=""), [("spec.containers[0].image", "Required")]),
        (lambda one: _container(one).update(image=" x"), [("spec.containers[0].image", "Invalid")]),
        (lambda one: one["spec"].update(activeDeadlineSeconds=-1), [("spec.activeDeadlineSeconds", "Invalid")]),
        (lambda one: one["spec"].update(activeDeadlineSeconds=60), [("spec.activeDeadlineSeconds", "Invalid")]),
        (lambda one: one["spec"].pop("activeDeadlineSeconds"), [("spec.activeDeadlineSeconds", "Invalid")]),
        (lambda one: one["spec"].update(activeDeadlineSeconds=20), []),
        (lambda one: one["spec"].update(tolerations=one["spec"]["tolerations"][:1]), []),
        (lambda one: one["spec"]["tolerations"].pop(0), [("spec.tolerations", "Forbidden")]),
        (
            lambda one: one["spec"]["tolerations"][0].update(effect="x"),
            [("spec.tolerations[0].effect", "NotSupported")],
        ),
        (lambda one: one["spec"]["tolerations"].append({"key": "x", "operator": "Exists"}), []),
        (lambda one: one["spec"]["tolerations"][1].update(tolerationSeconds=1), []),
        (lambda one: one["spec"].update(terminationGracePeriodSeconds=1), [("spec", "Forbidden")]),
        (
            lambda one: one["spec"].update(schedulingGates=[{"name": "a"}]),
            [("spec.schedulingGates[0]", "Forbidden")],
        ),
        (lambda one: one["spec"].pop("priority"), []),
    ],
)
def test_what_an_update_may_change(change: Any, expected: Any) -> None:
    old = created(pod(activeDeadlineSeconds=30, tolerations=[{"key": "mine", "operator": "Exists"}]))
    assert set(expected) <= set(change_refusal(old, change))
    assert bool(change_refusal(old, change)) is bool(expected)


def test_a_negative_grace_period_may_become_one() -> None:
    old = created(pod(terminationGracePeriodSeconds=-5))
    assert change_refusal(old, lambda one: one["spec"].update(terminationGracePeriodSeconds=1)) == []


def test_a_gated_pod_may_be_told_where_to_run() -> None:
    old = created(pod(schedulingGates=[{"name": "a"}], nodeSelector={"x": "1"}))
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert change_refusal(old, lambda one: one["spec"].update(nodeSelector={"x": "1", "y": "2"})) == []
    assert change_refusal(old, lambda one: one["spec"].update(nodeSelector={"x": "2"})) == [("spec", "Forbidden")]
    assert change_refusal(old, lambda one: one["spec"].update(affinity=affinity)) == []
    assert change_refusal(old, lambda one: one["spec"].pop("schedulingGates")) == []
    placed = created(pod(schedulingGates=[{"name": "a"}], affinity=affinity))
    assert change_refusal(placed, lambda one: one["spec"].pop("affinity")) == [("spec", "Forbidden")]
    loose = created(pod(schedulingGates=[{"name": "a"}], affinity={"podAffinity": {}}))
    assert change_refusal(loose, lambda one: one["spec"]["affinity"].update(affinity)) == []


def test_init_containers_are_compared_too() -> None:
    old = created(pod(initContainers=[{"name": "i", "image": "x:1"}]))
    assert change_refusal(old, lambda one: _container(one, "initContainers").update(image="x:2")) == []
    expected = [("spec", "Forbidden")]
    assert change_refusal(old, lambda one: _container(one, "initContainers").update(args=["x"])) == expected
    assert change_refusal(old, lambda one: one["spec"].pop("initContainers")) == [("spec.initContainers", "Forbidden")]


def test_a_deleted_pod_gets_no_tolerations() -> None:
    old = created(pod())
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:10Z"
    del old["spec"]["tolerations"]
    assert "tolerations" not in updated(old, lambda _: None)["spec"]


# --- status ----------------------------------------------------------------------------------------------------------


def test_a_status_update_takes_metadata_but_no_spec() -> None:
    old = created(pod())
    old["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u"}]

    def change(one: Object) -> None:
        one["metadata"] |= {"annotations": {"a": "b"}, "labels": {"c": "d"}, "ownerReferences": []}
        _container(one)["image"] = "evil"
        one["spec"]["nodeName"] = "n"
        one["status"] = {"phase": "Running", "podIP": "10.0.0.1"}

    found = updated(old, change, "status")
    assert found["spec"] == old["spec"]
    assert found["metadata"]["annotations"] == {"a": "b"}
    assert found["metadata"]["labels"] == {"c": "d"}
    assert found["metadata"]["ownerReferences"] == old["metadata"]["ownerReferences"]
    assert found["metadata"]["generation"] == 1
    assert found["status"] == {
        "phase": "Running",
        "qosClass": "BestEffort",
        "podIP": "10.0.0.1",
        "podIPs": [{"ip": "10.0.0.1"}],
    }


def test_addresses_in_a_status_are_kept_equal() -> None:
    def change(one: Object) -> None:
        one["status"] = {"podIPs": [{"ip": "10.0.0.2"}], "podIP": "10.0.0.1", "hostIP": "10.0.0.3"}

    old = created(pod())
    old["status"]["observedGeneration"] = 1
    found = updated(old, change, "status")["status"]
    assert (found["podIP"], found["hostIPs"]) == ("10.0.0.2", [{"ip": "10.0.0.3"}])
    assert (found["phase"], found["observedGeneration"]) == ("Pending", 1)


def test_the_class_of_service_is_fixed() -> None:
    expected = [("status.qosClass", "Invalid")]
    assert change_refusal(created(pod()), lambda one: one["status"].update(qosClass="Burstable"), "status") == expected


def _ended(name: str, code: int) -> Object:
    return {
        "name": name,
        "image": "x",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": {"exitCode": code}},
    }


@pytest.mark.parametrize(
    ("policy", "code", "refused"),
    [("Always", 0, False), ("OnFailure", 1, False), ("OnFailure", 0, True), ("Never", 1, True)],
)
def test_a_container_that_has_ended_stays_so(policy: str, code: int, *, refused: bool) -> None:
    old = created(pod(restartPolicy=policy))
    old["status"]["containerStatuses"] = [_ended("main", code), _ended("gone", 0)]

    def run_again(one: Object) -> None:
        one["status"]["containerStatuses"] = [{**_ended("main", 0), "state": {"running": {}}}]

    expected = [("status.containerStatuses[0].state", "Forbidden")] if refused else []
    assert change_refusal(old, run_again, "status") == expected
    assert change_refusal(old, lambda _: None, "status") == []


def test_a_sidecar_may_start_again() -> None:
    old = created(pod(restartPolicy="Never", initContainers=[{"name": "s", "image": "x", "restartPolicy": "Always"}]))
    old["status"]["initContainerStatuses"] = [_ended("s", 1)]

    def run_again(one: Object) -> None:
        one["status"]["initContainerStatuses"][0]["state"] = {"running": {}}

    assert change_refusal(old, run_again, "status") == []


def test_a_binding_is_taken_as_it_is() -> None:
    def bind(one: Object) -> None:
        one["spec"]["nodeName"] = "n"
        one["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]

    found = updated(created(pod()), bind, "binding")
    assert found["spec"]["nodeName"] == "n"
    assert found["status"]["conditions"][0]["status"] == "True"
    assert found["metadata"]["generation"] == 1


# --- deletion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "phase", "requested", "expected"),
    [
        ("n", "Running", None, 30),
        ("n", "Running", 5, 5),
        ("n", "Running", 0, 0),
        ("n", "Running", -1, 1),
        ("", "Running", 5, 0),
        ("n", "Succeeded", 5, 0),
        ("n", "Failed", None, 0),
    ],
)
def test_how_long_a_deletion_waits(node: str, phase: str, requested: int | None, expected: int) -> None:
    found = created(pod(**({"nodeName": node} if node else {})))
    found["status"]["phase"] = phase
    assert graceful_seconds("pods", found, requested) == expected
    assert graceful_seconds("configmaps", {}, 30) == 0


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_names_and_labels() -> None:
    bad = pod()
    bad["metadata"] = {"name": "Bad_Name", "labels": {"a": "not valid"}}
    assert refusal(bad) == [("metadata.labels", "Invalid"), ("metadata.name", "Invalid")]
    outcome = update(created(pod()), lambda one: one["metadata"].update(labels={"a": "not valid"}))
    # Found by what all kinds have in common, and by the kind's own validation.
    assert findings(outcome) == [("metadata.labels", "Invalid")] * 2


def test_nothing_that_the_server_owns_is_taken() -> None:
    sent = pod()
    sent["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3}
    outcome = create({**sent, "status": {"phase": "Running"}})
    assert isinstance(outcome, Admitted)
    assert outcome.object["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert not {"deletionTimestamp", "deletionGracePeriodSeconds"} & outcome.object["metadata"].keys()  # type: ignore[attr-defined]
