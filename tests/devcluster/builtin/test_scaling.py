from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit

TARGET = {"type": "AverageValue", "averageValue": "5"}
METRIC = "spec.metrics[0]"


def _autoscaler(**spec: Any) -> Object:
    found = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 3, **spec}
    return manifest("autoscaling/v2", "HorizontalPodAutoscaler", spec=found)


def _budget(**spec: Any) -> Object:
    return manifest("policy/v1", "PodDisruptionBudget", spec=spec)


def test_what_every_autoscaler_gets() -> None:
    found = created(_autoscaler())
    assert found["spec"]["minReplicas"] == 1
    assert found["spec"]["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    ]
    assert found["status"] == {"currentMetrics": None, "desiredReplicas": 0}
    assert "generation" not in found["metadata"]


def test_the_defaults_of_behavior() -> None:
    assert created(_autoscaler(behavior={}))["spec"]["behavior"] == {}
    behavior = created(_autoscaler(behavior={"scaleUp": {}, "scaleDown": {}}))["spec"]["behavior"]
    assert behavior == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        },
        "scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
    }


def _rules(**rules: Any) -> Object:
    policies = [{"type": "Pods", "value": 1, "periodSeconds": 1}]
    return {"behavior": {"scaleDown": {"policies": policies, **rules}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minReplicas": 0}, [("spec.minReplicas", "Invalid")]),
        ({"maxReplicas": 0}, [("spec.maxReplicas", "Invalid")] * 2),
        ({"minReplicas": 4}, [("spec.maxReplicas", "Invalid")]),
        (
            {"scaleTargetRef": {"kind": "", "name": "a/b"}},
            [("spec.scaleTargetRef.kind", "Required"), ("spec.scaleTargetRef.name", "Invalid")],
        ),
        ({"metrics": [{}]}, [(f"{METRIC}.type", "Required")]),
        ({"metrics": [{"type": "x"}]}, [(f"{METRIC}.type", "NotSupported")]),
        ({"metrics": [{"type": "Pods"}]}, [(f"{METRIC}.pods", "Required")]),
        ({"metrics": [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target": TARGET}}]}, []),
        (
            {"metrics": [{"type": "External", "external": {"metric": {}, "target": {"type": "x", "value": "0"}}}]},
            [
                (f"{METRIC}.external.metric.name", "Required"),
                (f"{METRIC}.external.target.type", "NotSupported"),
                (f"{METRIC}.external.target.value", "Invalid"),
            ],
        ),
        (
            {"metrics": [{"type": "Resource", "resource": {"name": "", "target": {"type": "Utilization"}}}]},
            [(f"{METRIC}.resource.name", "Required"), (f"{METRIC}.resource.target.averageValue", "Required")],
        ),
        (
            {
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 0}},
                    }
                ]
            },
            [(f"{METRIC}.resource.target.averageUtilization", "Invalid")],
        ),
        (
            _rules(stabilizationWindowSeconds=3601, selectPolicy="x"),
            [
                ("spec.behavior.scaleDown.selectPolicy", "NotSupported"),
                ("spec.behavior.scaleDown.stabilizationWindowSeconds", "Invalid"),
            ],
        ),
        (
            _rules(stabilizationWindowSeconds=-1, policies=[{"type": "x", "value": 0, "periodSeconds": 1801}]),
            [
                ("spec.behavior.scaleDown.policies[0].periodSeconds", "Invalid"),
                ("spec.behavior.scaleDown.policies[0].type", "NotSupported"),
                ("spec.behavior.scaleDown.policies[0].value", "Invalid"),
                ("spec.behavior.scaleDown.stabilizationWindowSeconds", "Invalid"),
            ],
        ),
    ],
)
def test_what_is_wrong_with_an_autoscaler(spec: Object, expected: Any) -> None:
    assert refusal(_autoscaler(**spec)) == expected


def test_what_every_budget_shows() -> None:
    found = created(_budget(maxUnavailable=0, selector={}))
    assert found["spec"] == {"maxUnavailable": 0, "selector": {}}
    assert found["status"] == {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}
    assert found["metadata"]["generation"] == 1
    assert updated(found, lambda one: one["spec"].update(maxUnavailable=1))["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 1, "maxUnavailable": 1}, [("spec", "Invalid")]),
        ({"minAvailable": -1}, [("spec.minAvailable", "Invalid")]),
        ({"minAvailable": "half"}, [("spec.minAvailable", "Invalid")]),
        ({"maxUnavailable": "101%"}, [("spec.maxUnavailable", "Invalid")]),
        ({"selector": {"matchLabels": {"-": ""}}}, [("spec.selector.matchLabels", "Invalid")]),
        ({"unhealthyPodEvictionPolicy": "x"}, [("spec.unhealthyPodEvictionPolicy", "NotSupported")]),
    ],
)
def test_what_is_wrong_with_a_budget(spec: Object, expected: Any) -> None:
    assert refusal(_budget(**spec)) == expected


def test_the_metadata_of_a_budget_is_checked_once() -> None:
    bad = change_refusal(created(_budget()), lambda one: one["metadata"].update(labels={"a": "-"}))
    assert bad == [("metadata.labels", "Invalid")]
