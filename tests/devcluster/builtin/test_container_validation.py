from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import pod, refusal

pytestmark = pytest.mark.unit

CONTAINER = "spec.containers[0]"


def _with_container(**fields: Any) -> Object:
    return pod(containers=[{"name": "main", "image": "example.test/app:1", **fields}])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": ""}, [(f"{CONTAINER}.name", "Required")]),
        ({"name": "Main"}, [(f"{CONTAINER}.name", "Invalid")]),
        ({"image": ""}, [(f"{CONTAINER}.image", "Required")]),
        ({"image": " x"}, [(f"{CONTAINER}.image", "Invalid")]),
        ({"imagePullPolicy": "Sometimes"}, [(f"{CONTAINER}.imagePullPolicy", "NotSupported")]),
        ({"terminationMessagePolicy": "x"}, [(f"{CONTAINER}.terminationMessagePolicy", "NotSupported")]),
        ({"restartPolicy": "x"}, [(f"{CONTAINER}.restartPolicy", "NotSupported")]),
        ({"ports": [{}]}, [(f"{CONTAINER}.ports[0].containerPort", "Required")]),
        ({"ports": [{"containerPort": 70000}]}, [(f"{CONTAINER}.ports[0].containerPort", "Invalid")]),
        ({"ports": [{"containerPort": 1, "hostPort": -1}]}, [(f"{CONTAINER}.ports[0].hostPort", "Invalid")]),
        ({"ports": [{"containerPort": 1, "protocol": "x"}]}, [(f"{CONTAINER}.ports[0].protocol", "NotSupported")]),
        ({"ports": [{"containerPort": 1, "name": "A"}]}, [(f"{CONTAINER}.ports[0].name", "Invalid")] * 2),
        ({"ports": [{"containerPort": 1, "name": "a" * 16}]}, [(f"{CONTAINER}.ports[0].name", "Invalid")]),
        ({"ports": [{"containerPort": 1, "name": "-a--b"}]}, [(f"{CONTAINER}.ports[0].name", "Invalid")] * 2),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            [(f"{CONTAINER}.ports[1].name", "Duplicate")],
        ),
        ({"env": [{"value": "x"}]}, [(f"{CONTAINER}.env[0].name", "Required")]),
        ({"env": [{"name": "a=b"}]}, [(f"{CONTAINER}.env[0].name", "Invalid")]),
        ({"env": [{"name": "a", "valueFrom": {}}]}, [(f"{CONTAINER}.env[0].valueFrom", "Invalid")]),
        (
            {"env": [{"name": "a", "value": "x", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]},
            [(f"{CONTAINER}.env[0].valueFrom", "Invalid")],
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "c"}, "configMapKeyRef": {"key": "k"}}}]},
            [
                (f"{CONTAINER}.env[0].valueFrom", "Invalid"),
                (f"{CONTAINER}.env[0].valueFrom.configMapKeyRef.name", "Required"),
                (f"{CONTAINER}.env[0].valueFrom.secretKeyRef.key", "Required"),
            ],
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "c", "key": "/"}}}]},
            [(f"{CONTAINER}.env[0].valueFrom.secretKeyRef.key", "Invalid")],
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]},
            [(f"{CONTAINER}.env[0].valueFrom.fieldRef.fieldPath", "NotSupported")],
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"fieldRef": {}}}]},
            [(f"{CONTAINER}.env[0].valueFrom.fieldRef.fieldPath", "Required")],
        ),
        ({"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['x']"}}}]}, []),
        (
            {"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['/']"}}}]},
            [(f"{CONTAINER}.env[0].valueFrom.fieldRef.fieldPath", "Invalid")] * 3,
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {"resource": "limits.x"}}}]},
            [(f"{CONTAINER}.env[0].valueFrom.resourceFieldRef.resource", "NotSupported")],
        ),
        (
            {"env": [{"name": "a", "valueFrom": {"resourceFieldRef": {}}}]},
            [(f"{CONTAINER}.env[0].valueFrom.resourceFieldRef.resource", "Required")],
        ),
        ({"envFrom": [{}]}, [(f"{CONTAINER}.envFrom[0]", "Invalid")]),
        (
            {"envFrom": [{"configMapRef": {}, "secretRef": {"name": "A"}}]},
            [
                (f"{CONTAINER}.envFrom[0]", "Invalid"),
                (f"{CONTAINER}.envFrom[0].configMapRef.name", "Required"),
                (f"{CONTAINER}.envFrom[0].secretRef.name", "Invalid"),
            ],
        ),
        (
            {"volumeMounts": [{"name": "x", "mountPath": "/a"}]},
            [(f"{CONTAINER}.volumeMounts[0].name", "NotFound")],
        ),
        (
            {"volumeMounts": [{}]},
            [
                (f"{CONTAINER}.volumeMounts[0].mountPath", "Required"),
                (f"{CONTAINER}.volumeMounts[0].name", "NotFound"),
                (f"{CONTAINER}.volumeMounts[0].name", "Required"),
            ],
        ),
        (
            {"resources": {"requests": {"x": "1"}}},
            [(f"{CONTAINER}.resources.requests[x]", "Invalid")] * 2,
        ),
        ({"resources": {"requests": {"cpu": "-1"}}}, [(f"{CONTAINER}.resources.requests[cpu]", "Invalid")]),
        (
            # Limits are requests as well.
            {"resources": {"limits": {"nvidia.com/gpu": "500m"}}},
            [
                (f"{CONTAINER}.resources.limits[nvidia.com/gpu]", "Invalid"),
                (f"{CONTAINER}.resources.requests[nvidia.com/gpu]", "Invalid"),
            ],
        ),
        (
            {"resources": {"requests": {"nvidia.com/gpu": "1"}}},
            [(f"{CONTAINER}.resources.limits", "Required")],
        ),
        (
            {"resources": {"limits": {"nvidia.com/gpu": "2"}, "requests": {"nvidia.com/gpu": "1"}}},
            [(f"{CONTAINER}.resources.requests", "Invalid")],
        ),
        (
            {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1001m"}}},
            [(f"{CONTAINER}.resources.requests", "Invalid")],
        ),
        ({"securityContext": {"runAsUser": -1}}, [(f"{CONTAINER}.securityContext.runAsUser", "Invalid")]),
        (
            {"securityContext": {"privileged": True, "allowPrivilegeEscalation": False}},
            [(f"{CONTAINER}.securityContext", "Invalid")],
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "Localhost"}}},
            [(f"{CONTAINER}.securityContext.seccompProfile.localhostProfile", "Required")],
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "x"}}},
            [(f"{CONTAINER}.securityContext.seccompProfile.localhostProfile", "Invalid")],
        ),
        ({"livenessProbe": {}}, [(f"{CONTAINER}.livenessProbe", "Required")]),
        ({"livenessProbe": {"exec": {}}}, [(f"{CONTAINER}.livenessProbe.exec.command", "Required")]),
        (
            {"livenessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}},
            [(f"{CONTAINER}.livenessProbe.tcpSocket", "Forbidden")],
        ),
        ({"livenessProbe": {"tcpSocket": {}}}, [(f"{CONTAINER}.livenessProbe.tcpSocket.port", "Invalid")]),
        (
            {"livenessProbe": {"grpc": {"port": 0}, "successThreshold": 2, "terminationGracePeriodSeconds": 0}},
            [
                (f"{CONTAINER}.livenessProbe.grpc.port", "Invalid"),
                (f"{CONTAINER}.livenessProbe.successThreshold", "Invalid"),
                (f"{CONTAINER}.livenessProbe.terminationGracePeriodSeconds", "Invalid"),
            ],
        ),
        (
            {"readinessProbe": {"httpGet": {"port": "A", "scheme": "FTP", "httpHeaders": [{}]}, "timeoutSeconds": -1}},
            [
                (f"{CONTAINER}.readinessProbe.httpGet.httpHeaders[0].name", "Required"),
                (f"{CONTAINER}.readinessProbe.httpGet.port", "Invalid"),
                (f"{CONTAINER}.readinessProbe.httpGet.port", "Invalid"),
                (f"{CONTAINER}.readinessProbe.httpGet.scheme", "NotSupported"),
                (f"{CONTAINER}.readinessProbe.timeoutSeconds", "Invalid"),
            ],
        ),
        (
            {"readinessProbe": {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 5, "successThreshold": 3}},
            [(f"{CONTAINER}.readinessProbe.terminationGracePeriodSeconds", "Invalid")],
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": -1}}}},
            [(f"{CONTAINER}.lifecycle.preStop.sleep.seconds", "Invalid")],
        ),
    ],
)
def test_what_is_wrong_with_a_container(fields: Object, expected: Any) -> None:
    assert refusal(_with_container(**fields)) == expected


def test_containers_are_told_apart_by_name() -> None:
    twice = pod(containers=[{"name": "a", "image": "x"}, {"name": "a", "image": "x"}])
    assert refusal(twice) == [("spec.containers[1].name", "Duplicate")]
    init = pod(initContainers=[{"name": "main", "image": "x"}])
    assert refusal(init) == [("spec.initContainers[0].name", "Duplicate")]
    assert refusal(pod(containers=[])) == [("spec.containers", "Required")]


def test_what_only_sidecars_may_have() -> None:
    probe = {"exec": {"command": ["x"]}}
    hook = {"postStart": probe}
    plain = {"name": "i", "image": "x", "readinessProbe": probe, "lifecycle": hook}
    at = "spec.initContainers[0]"
    assert refusal(pod(initContainers=[plain])) == [
        (f"{at}.lifecycle", "Forbidden"),
        (f"{at}.readinessProbe", "Forbidden"),
    ]
    assert refusal(pod(initContainers=[{**plain, "restartPolicy": "Always"}])) == []
    assert refusal(pod(initContainers=[{"name": "i", "image": "x", "restartPolicy": "Never"}])) == [
        (f"{at}.restartPolicy", "NotSupported")
    ]


def test_mounts() -> None:
    def refused(*mounts: Object) -> Any:
        found = _with_container(volumeMounts=list(mounts))
        found["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
        return refusal(found)

    at = f"{CONTAINER}.volumeMounts"
    mount = {"name": "v", "mountPath": "/a"}
    assert refused(mount, mount) == [(f"{at}[1].mountPath", "Invalid")]
    assert refused({**mount, "subPath": "/x"}) == [(f"{at}[0].subPath", "Invalid")]
    assert refused({**mount, "subPath": "a/../b"}) == [(f"{at}[0].subPath", "Invalid")]
    assert refused({**mount, "subPath": "a", "subPathExpr": "b"}) == [(f"{at}[0].subPathExpr", "Invalid")]
    assert refused({**mount, "mountPropagation": "x"}) == [(f"{at}[0].mountPropagation", "NotSupported")]
