from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import pod, refusal

pytestmark = pytest.mark.unit

VOLUME = "spec.volumes[0]"


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"name": ""}, [(f"{VOLUME}.name", "Required")]),
        ({"name": "V"}, [(f"{VOLUME}.name", "Invalid")]),
        ({"emptyDir": {}, "secret": {"secretName": "s"}}, [(f"{VOLUME}.secret", "Forbidden")]),
        ({"emptyDir": {"sizeLimit": "-1"}}, [(f"{VOLUME}.emptyDir.sizeLimit", "Forbidden")]),
        ({"hostPath": {}}, [(f"{VOLUME}.hostPath.path", "Required")]),
        (
            {"hostPath": {"path": "/a/..", "type": "x"}},
            [(f"{VOLUME}.hostPath.path", "Invalid"), (f"{VOLUME}.hostPath.type", "NotSupported")],
        ),
        (
            {"secret": {"defaultMode": 512}},
            [(f"{VOLUME}.secret.defaultMode", "Invalid"), (f"{VOLUME}.secret.secretName", "Required")],
        ),
        (
            {"configMap": {"items": [{"path": "/x", "mode": -1}]}},
            [
                (f"{VOLUME}.configMap.items[0].key", "Required"),
                (f"{VOLUME}.configMap.items[0].mode", "Invalid"),
                (f"{VOLUME}.configMap.items[0].path", "Invalid"),
                (f"{VOLUME}.configMap.name", "Required"),
            ],
        ),
        ({"persistentVolumeClaim": {}}, [(f"{VOLUME}.persistentVolumeClaim.claimName", "Required")]),
        ({"downwardAPI": {"items": [{"path": "x"}]}}, [(f"{VOLUME}.downwardAPI.items[0]", "Required")]),
        (
            {"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "status.podIP"}}]}},
            [(f"{VOLUME}.downwardAPI.items[0].fieldRef.fieldPath", "NotSupported")],
        ),
        (
            {"downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"resource": "limits.cpu"}}]}},
            [(f"{VOLUME}.downwardAPI.items[0].resourceFieldRef.containerName", "Required")],
        ),
        (
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "x",
                            "fieldRef": {"fieldPath": "metadata.name"},
                            "resourceFieldRef": {"resource": "limits.cpu"},
                        }
                    ]
                }
            },
            [(f"{VOLUME}.downwardAPI.items[0]", "Invalid")],
        ),
        ({"projected": {"sources": [{}]}}, [(f"{VOLUME}.projected.sources[0]", "Required")]),
        (
            {"projected": {"sources": [{"secret": {"name": "s"}, "configMap": {"name": "c"}}]}},
            [(f"{VOLUME}.projected.sources[0].configMap", "Forbidden")],
        ),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 5}}]}},
            [
                (f"{VOLUME}.projected.sources[0].serviceAccountToken.expirationSeconds", "Invalid"),
                (f"{VOLUME}.projected.sources[0].serviceAccountToken.path", "Required"),
            ],
        ),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 2**33}}]}},
            [(f"{VOLUME}.projected.sources[0].serviceAccountToken.expirationSeconds", "Invalid")],
        ),
        ({"projected": {"sources": [{"downwardAPI": {}}, {"clusterTrustBundle": {"path": "x"}}]}}, []),
        ({"image": {}}, [(f"{VOLUME}.image.reference", "Required")]),
        ({"image": {"reference": "x", "pullPolicy": "y"}}, [(f"{VOLUME}.image.pullPolicy", "NotSupported")]),
        ({"nfs": {"server": "s", "path": "/"}}, []),
    ],
)
def test_what_is_wrong_with_a_volume(volume: Object, expected: Any) -> None:
    assert refusal(pod(volumes=[{"name": "v", **volume}])) == expected


def test_volumes_are_told_apart_by_name() -> None:
    assert refusal(pod(volumes=[{"name": "v"}, {"name": "v"}])) == [("spec.volumes[1].name", "Duplicate")]


NODE_TERM = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _node_affinity(*expressions: Object) -> Object:
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"restartPolicy": "x"}, [("spec.restartPolicy", "NotSupported")]),
        ({"dnsPolicy": "x"}, [("spec.dnsPolicy", "NotSupported")]),
        ({"nodeSelector": {"-": "-"}}, [("spec.nodeSelector", "Invalid")] * 2),
        ({"serviceAccountName": "A"}, [("spec.serviceAccountName", "Invalid")]),
        ({"nodeName": "A"}, [("spec.nodeName", "Invalid")]),
        ({"hostname": "a.b"}, [("spec.hostname", "Invalid")]),
        ({"preemptionPolicy": "x"}, [("spec.preemptionPolicy", "NotSupported")]),
        ({"activeDeadlineSeconds": 0}, [("spec.activeDeadlineSeconds", "Invalid")]),
        ({"securityContext": {"fsGroup": -1}}, [("spec.securityContext.fsGroup", "Invalid")]),
        (
            {"securityContext": {"fsGroupChangePolicy": "x"}},
            [("spec.securityContext.fsGroupChangePolicy", "NotSupported")],
        ),
        ({"readinessGates": [{"conditionType": "/"}]}, [("spec.readinessGates[0].conditionType", "Invalid")] * 3),
        ({"resources": {"limits": {"cpu": "-1"}}}, [("spec.resources.limits[cpu]", "Invalid")]),
        ({"ephemeralContainers": [{"name": "e", "image": "x"}]}, [("spec.ephemeralContainers", "Forbidden")]),
        ({"schedulingGates": [{"name": "a"}, {"name": "a"}]}, [("spec.schedulingGates[1].name", "Duplicate")]),
        ({"schedulingGates": [{"name": "-"}]}, [("spec.schedulingGates[0].name", "Invalid")]),
        ({"tolerations": [{"key": "x", "tolerationSeconds": 1}]}, [("spec.tolerations[0].effect", "Invalid")]),
        ({"tolerations": [{"value": "x"}]}, [("spec.tolerations[0].operator", "Invalid")]),
        ({"tolerations": [{"key": "-", "operator": "Exists"}]}, [("spec.tolerations[0].key", "Invalid")]),
        ({"tolerations": [{"key": "x", "value": "-"}]}, [("spec.tolerations[0].operator", "Invalid")]),
        (
            {"tolerations": [{"key": "x", "operator": "Exists", "value": "y"}]},
            [("spec.tolerations[0].operator", "Invalid")],
        ),
        ({"tolerations": [{"key": "x", "operator": "y"}]}, [("spec.tolerations[0].operator", "NotSupported")]),
        (
            {"tolerations": [{"key": "x", "operator": "Exists", "effect": "y"}]},
            [("spec.tolerations[0].effect", "NotSupported")],
        ),
        ({"affinity": {"nodeAffinity": {REQUIRED: {}}}}, [(NODE_TERM, "Required")]),
        (
            _node_affinity({"key": "a", "operator": "In"}, {"key": "-", "operator": "Exists"}),
            [
                (f"{NODE_TERM}[0].matchExpressions[0].values", "Required"),
                (f"{NODE_TERM}[0].matchExpressions[1].key", "Invalid"),
            ],
        ),
        (
            _node_affinity({"key": "a", "operator": "Gt"}, {"key": "a", "operator": "x"}),
            [
                (f"{NODE_TERM}[0].matchExpressions[0].values", "Required"),
                (f"{NODE_TERM}[0].matchExpressions[1].operator", "Invalid"),
            ],
        ),
        (
            {"affinity": {"nodeAffinity": {PREFERRED: [{"weight": 0, "preference": {}}]}}},
            [(f"spec.affinity.nodeAffinity.{PREFERRED}[0].weight", "Invalid")],
        ),
        (
            {"affinity": {"podAffinity": {REQUIRED: [{}]}}},
            [(f"spec.affinity.podAffinity.{REQUIRED}[0].topologyKey", "Required")],
        ),
        (
            {"affinity": {"podAntiAffinity": {PREFERRED: [{"weight": 101, "podAffinityTerm": {"topologyKey": "-"}}]}}},
            [
                (f"spec.affinity.podAntiAffinity.{PREFERRED}[0].podAffinityTerm.topologyKey", "Invalid"),
                (f"spec.affinity.podAntiAffinity.{PREFERRED}[0].weight", "Invalid"),
            ],
        ),
        (
            {"topologySpreadConstraints": [{}]},
            [
                ("spec.topologySpreadConstraints[0].maxSkew", "Invalid"),
                ("spec.topologySpreadConstraints[0].topologyKey", "Required"),
                ("spec.topologySpreadConstraints[0].whenUnsatisfiable", "NotSupported"),
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_spec(spec: Object, expected: Any) -> None:
    assert refusal(pod(**spec)) == expected
