from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit

ASKED = {"requests": {"storage": "1Gi"}}


def _claim(**spec: Any) -> Object:
    found = {"accessModes": ["ReadWriteOnce"], "resources": ASKED, **spec}
    return manifest("v1", "PersistentVolumeClaim", spec=found)


def _volume(**spec: Any) -> Object:
    found = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}, **spec}
    return manifest("v1", "PersistentVolume", spec=found)


def _bound() -> Object:
    found = created(_claim(volumeName="v", storageClassName="c"))
    found["status"] = {"phase": "Bound"}
    return found


def test_what_every_claim_gets() -> None:
    found = created(_claim(storageClassName=""))
    assert found["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert found["spec"]["volumeMode"] == "Filesystem"
    assert found["spec"]["storageClassName"] == ""
    assert found["status"] == {"phase": "Pending"}
    assert "generation" not in found["metadata"]
    assert created(found)["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"accessModes": []}, [("spec.accessModes", "Required")]),
        ({"accessModes": ["x"]}, [("spec.accessModes", "NotSupported")]),
        ({"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]}, [("spec.accessModes", "Forbidden")]),
        ({"resources": {}}, [("spec.resources[storage]", "Required")]),
        ({"resources": {"requests": {"storage": "0"}}}, [("spec.resources[storage]", "Invalid")]),
        ({"volumeMode": "x"}, [("spec.volumeMode", "NotSupported")]),
        ({"storageClassName": "A"}, [("spec.storageClassName", "Invalid")]),
        ({"selector": {"matchLabels": {"-": ""}}}, [("spec.selector.matchLabels", "Invalid")]),
    ],
)
def test_what_is_wrong_with_a_claim(spec: Object, expected: Any) -> None:
    assert refusal(_claim(**spec)) == expected


def test_a_claim_s_spec_stays() -> None:
    def grow(one: Object) -> None:
        one["spec"]["resources"] = {"requests": {"storage": "2Gi"}}

    old = created(_claim())
    assert change_refusal(old, grow) == [("spec", "Forbidden")]
    assert change_refusal(old, lambda one: one["spec"].update(accessModes=["ReadOnlyMany"])) == [("spec", "Forbidden")]
    # Once only, by whoever binds it or knows the default class.
    assert change_refusal(old, lambda one: one["spec"].update(volumeName="v", storageClassName="c")) == []
    assert change_refusal(_bound(), lambda one: one["spec"].update(volumeName="w")) == [("spec", "Forbidden")]
    assert change_refusal(_bound(), grow) == []
    assert change_refusal(updated(_bound(), grow), lambda one: one["spec"].update(resources=ASKED)) == [
        ("spec.resources.requests.storage", "Forbidden")
    ]


def test_volumes() -> None:
    found = created(_volume())
    assert found["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    assert (found["spec"]["persistentVolumeReclaimPolicy"], found["spec"]["volumeMode"]) == ("Retain", "Filesystem")
    assert found["status"] == {"phase": "Pending"}
    assert refusal(_volume(capacity={})) == [("spec.capacity", "Required")]
    assert refusal(_volume(capacity={"storage": "-1"})) == [("spec.capacity[storage]", "Invalid")]
    assert refusal(_volume(hostPath=None)) == [("spec", "Required")]
    assert refusal(_volume(nfs={"server": "s", "path": "/"})) == [("spec.nfs", "Forbidden")]
    assert refusal(_volume(persistentVolumeReclaimPolicy="x")) == [
        ("spec.persistentVolumeReclaimPolicy", "NotSupported")
    ]
    assert change_refusal(found, lambda one: one["spec"].update(hostPath={"path": "/y"})) == [
        ("spec.persistentvolumesource", "Forbidden")
    ]
    assert change_refusal(found, lambda one: one["spec"].update(volumeMode="Block")) == [("spec.volumeMode", "Invalid")]


def test_classes() -> None:
    content = {"provisioner": "example.test/p", "parameters": {"a": "b"}}
    found = created(manifest("storage.k8s.io/v1", "StorageClass", **content))
    assert (found["reclaimPolicy"], found["volumeBindingMode"]) == ("Delete", "Immediate")
    wrong = manifest("storage.k8s.io/v1", "StorageClass", parameters={"": ""}, reclaimPolicy="x", volumeBindingMode="x")
    assert refusal(wrong) == [
        ("parameters[]", "Invalid"),
        ("provisioner", "Required"),
        ("reclaimPolicy", "NotSupported"),
        ("volumeBindingMode", "NotSupported"),
    ]

    def change(one: Object) -> None:
        one |= {"parameters": {}, "provisioner": "p", "reclaimPolicy": "Retain"}
        one["volumeBindingMode"] = "WaitForFirstConsumer"

    assert change_refusal(found, change) == [
        ("parameters", "Forbidden"),
        ("provisioner", "Forbidden"),
        ("reclaimPolicy", "Forbidden"),
        ("volumeBindingMode", "Invalid"),
    ]
