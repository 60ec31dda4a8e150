"""What holds for every stored kind."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import Refused
from adapter_devcluster.builtin import BUILTIN
from adapter_devcluster.objects import Object, copy
from adapter_devcluster.resource_types import ResourceType
from adapter_testing.judge_lab import UID, create, created, judge_of, manifest, template, updated

pytestmark = pytest.mark.unit

SELECTOR = {"matchLabels": {"app": "a"}}
WORKLOAD = {"spec": {"selector": SELECTOR, "template": template()}}
NEVER = {"template": template(restartPolicy="Never")}
STORAGE = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
# The least that each kind asks for.
CONTENT: dict[str, dict[str, Any]] = {
    "ControllerRevision": {"data": {"a": 1}, "revision": 1},
    "CronJob": {"spec": {"schedule": "@daily", "jobTemplate": {"spec": NEVER}}},
    "ClusterRoleBinding": {"roleRef": {"kind": "ClusterRole", "name": "view"}},
    "DaemonSet": WORKLOAD,
    "Deployment": WORKLOAD,
    "EndpointSlice": {"addressType": "IPv4", "endpoints": []},
    "HorizontalPodAutoscaler": {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 1}},
    "Ingress": {"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}},
    "IngressClass": {"spec": {"controller": "example.test/c"}},
    "Job": {"spec": NEVER},
    "PersistentVolume": {
        "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}
    },
    "PersistentVolumeClaim": {"spec": STORAGE},
    "Pod": {"spec": template()["spec"]},
    "ReplicaSet": WORKLOAD,
    "RoleBinding": {"roleRef": {"kind": "Role", "name": "r"}},
    "RuntimeClass": {"handler": "h"},
    "Service": {"spec": {"ports": [{"port": 80}]}},
    "StatefulSet": WORKLOAD,
    "StorageClass": {"provisioner": "example.test/p"},
    "ValidatingAdmissionPolicyBinding": {"spec": {"policyName": "p"}},
}


def _sample(found: ResourceType) -> Object:
    match found.api_version, found.kind:
        case _, "CustomResourceDefinition":
            versions = [{"name": "v1", "served": True, "storage": True}]
            versions[0]["schema"] = {"openAPIV3Schema": {"type": "object"}}
            names = {"kind": "Thing", "plural": "things"}
            spec = {"group": "example.test", "scope": "Cluster", "names": names, "versions": versions}
            return manifest(found.api_version, found.kind, "things.example.test", spec=spec)
        case "v1", "Event":
            return manifest("v1", "Event", involvedObject={"kind": "Pod", "name": "p", "namespace": "ns"})
        case _, "Event":
            about = {
                "regarding": {"kind": "Pod", "name": "p", "namespace": "ns"},
                "eventTime": "2026-01-01T00:00:00.000000Z",
            }
            by = {"reportingController": "c", "reportingInstance": "c", "action": "a", "reason": "r", "type": "Normal"}
            return manifest(found.api_version, "Event", **about, **by)
    return manifest(found.api_version, found.kind, **CONTENT.get(found.kind, {}))


SAMPLES = [pytest.param(_sample(one), id=one.resource) for one in BUILTIN if one.verbs != ("create",)]


@pytest.mark.parametrize("sample", SAMPLES)
def test_an_update_without_changes_changes_nothing(sample: Object) -> None:
    stored = created(sample)
    assert updated(stored, lambda _: None) == stored
    assert updated(stored, lambda _: None, "status") == stored


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_was_stored_is_taken_again_as_it_is(sample: Object) -> None:
    stored = created(sample)
    again = created(stored)
    assert again == stored


@pytest.mark.parametrize("sample", SAMPLES)
def test_judges_change_nothing_that_they_are_given(sample: Object) -> None:
    stored = created(sample)
    before, sent = copy(stored), copy(sample)
    found = updated(stored, lambda one: one["metadata"].update(labels={"changed": "yes"}))
    assert (stored, sample) == (before, sent)
    assert found is not stored
    assert found["metadata"] is not stored["metadata"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_creation_shows_what_the_server_put_in(sample: Object) -> None:
    metadata = created(sample)["metadata"]
    assert (metadata["uid"], metadata["creationTimestamp"]) == (UID, "2026-01-01T00:00:00Z")
    assert metadata.get("generation") in (None, 1)


@pytest.mark.parametrize("sample", SAMPLES)
def test_unknown_fields_are_found_everywhere(sample: Object) -> None:
    outcome = create({**sample, "nope": 1}, field_validation="Strict")
    assert isinstance(outcome, Refused)
    assert outcome.status["code"] == 400
    assert 'strict decoding error: unknown field "nope"' in str(outcome.status["message"])


@pytest.mark.parametrize("sample", SAMPLES)
def test_names_are_needed(sample: Object) -> None:
    nameless = {**sample, "metadata": {"uid": UID}}
    outcome = judge_of(sample).admit_create(nameless, namespace="ns")
    assert isinstance(outcome, Refused)
    assert ("metadata.name", "FieldValueRequired") in {(one.field, str(one.reason)) for one in outcome.errors}
