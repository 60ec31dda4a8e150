from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import Admitted, Refused
from adapter_devcluster.builtin.decoding import DecodeError, struct
from adapter_testing.judge_lab import create, created, deployment, job, judge_of, manifest, pod

pytestmark = pytest.mark.unit

POD = struct("io.k8s.api.core.v1.Pod")
LEASE = struct("io.k8s.api.coordination.v1.LeaseSpec")


def _message(outcome: Admitted | Refused) -> str:
    assert isinstance(outcome, Refused)
    assert outcome.status["code"] == 400
    assert outcome.status["reason"] == "BadRequest"
    return str(outcome.status["message"])


@pytest.mark.parametrize(
    ("obj", "problem"),
    [
        (
            deployment(replicas="two"),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            deployment(replicas=1.5),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas",
        ),
        (
            deployment(replicas=2**31),
            "number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (deployment(paused=1), "cannot unmarshal number into Go struct field DeploymentSpec.spec.paused of type bool"),
        (deployment(template=[]), "cannot unmarshal array into Go struct field DeploymentSpec.spec.template"),
        (
            pod(containers=[{"name": "main", "image": 1}]),
            "cannot unmarshal number into Go struct field Container.spec.containers.image of type string",
        ),
        (pod(containers={}), "cannot unmarshal object into Go struct field PodSpec.spec.containers of type []struct"),
        (pod(nodeSelector=["x"]), "Go struct field PodSpec.spec.nodeSelector of type map[string]string"),
        (pod(nodeSelector={"x": 1}), "cannot unmarshal number into Go struct field PodSpec.spec.nodeSelector"),
        (
            manifest("v1", "ConfigMap", metadata={"labels": {"a": 1}}),
            "Go struct field ObjectMeta.labels of type string",
        ),
        (manifest("v1", "Secret", data={"k": "***"}), "illegal base64 data"),
        (manifest("v1", "Secret", data={"k": 1}), "cannot unmarshal number"),
        (pod(overhead={"cpu": "much"}), "quantities must match the regular expression"),
        (pod(overhead={"cpu": True}), "cannot unmarshal bool into Go struct field PodSpec.spec.overhead"),
        (pod(activeDeadlineSeconds="1"), "of type int64"),
        (manifest("coordination.k8s.io/v1", "Lease", spec={"renewTime": "2026-01-01T00:00:00Z"}), "parsing time"),
        (manifest("coordination.k8s.io/v1", "Lease", spec={"renewTime": "now"}), "parsing time"),
        (manifest("coordination.k8s.io/v1", "Lease", spec={"renewTime": 1}), "cannot unmarshal number"),
        (manifest("v1", "Event", firstTimestamp="yesterday", involvedObject={}), 'parsing time "yesterday"'),
        (manifest("v1", "Event", firstTimestamp=1, involvedObject={}), "cannot unmarshal number"),
    ],
)
def test_wrong_types_are_refused_in_the_words_of_go(obj: dict[str, Any], problem: str) -> None:
    version = obj["apiVersion"].rpartition("/")[2]
    message = _message(create(obj))
    assert message.startswith(f'{obj["kind"]} in version "{version}" cannot be handled as a {obj["kind"]}: ')
    assert problem in message


def test_a_body_that_is_no_object() -> None:
    judge = judge_of(pod())
    assert "cannot unmarshal array into Go value of type v1.Pod" in _message(judge.admit_create([], namespace="ns"))  # type: ignore[arg-type]


def test_another_type_in_the_body() -> None:
    judge = judge_of(deployment())
    other = judge.admit_create({**deployment(), "apiVersion": "apps/v1beta1"}, namespace="ns")
    assert _message(other) == (
        "the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)"
    )
    assert 'no kind "Pod"' in _message(judge.admit_create({**deployment(), "kind": "Pod"}, namespace="ns"))
    assert _message(judge.admit_update(created(deployment()), {**deployment(), "kind": "Pod"}))


def test_the_type_may_be_left_out() -> None:
    found = judge_of(pod()).admit_create({"metadata": pod()["metadata"], "spec": pod()["spec"]}, namespace="ns")
    assert isinstance(found, Admitted)
    assert (found.object["apiVersion"], found.object["kind"]) == ("v1", "Pod")


def test_unknown_fields_go_and_are_told_if_asked() -> None:
    obj = deployment(replcas=1)
    obj["metadata"]["nmae"] = "x"
    obj["spec"]["template"]["spec"]["containers"][0]["imge"] = "x"
    paths = ("metadata.nmae", "spec.replcas", "spec.template.spec.containers[0].imge")
    ignored = create(obj)
    assert isinstance(ignored, Admitted)
    assert sorted(ignored.pruned) == sorted(paths)
    assert ignored.warnings == ()
    assert "replcas" not in ignored.object["spec"]  # type: ignore[operator]
    warned = create(obj, field_validation="Warn", decoding_errors=['duplicate field "spec.x"'])
    assert isinstance(warned, Admitted)
    assert sorted(warned.warnings) == sorted(['duplicate field "spec.x"', *(f'unknown field "{one}"' for one in paths)])
    message = _message(create(obj, field_validation="Strict"))
    assert "strict decoding error: " in message
    assert all(f'unknown field "{path}"' in message for path in paths)


def test_namespaces_of_body_and_request() -> None:
    assert "does not match the namespace sent on the request" in _message(
        create(manifest("v1", "ConfigMap", metadata={"namespace": "other"}))
    )
    assert created(manifest("v1", "ConfigMap"))["metadata"]["namespace"] == "ns"
    node = created(manifest("v1", "Node", metadata={"namespace": "other"}))
    assert "namespace" not in node["metadata"]
    assert isinstance(judge_of(pod()).admit_create(pod()), Admitted)


def test_what_is_empty_is_left_out_or_not() -> None:
    found = POD(
        {
            "metadata": None,
            "spec": {
                "containers": [
                    {"name": "a", "image": "b", "args": [], "env": None, "stdin": False, "securityContext": {}}
                ],
                "nodeName": "",
                "hostNetwork": False,
                "priority": 0,
                "enableServiceLinks": False,
                "volumes": [{"name": "v", "emptyDir": {}}],
                "nodeSelector": {},
            },
        },
        [],
    )
    assert found == {
        "metadata": {},
        "spec": {
            "containers": [{"name": "a", "image": "b", "securityContext": {}, "resources": {}}],
            "priority": 0,
            "enableServiceLinks": False,
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {},
    }


def test_fields_that_always_show() -> None:
    event = struct("io.k8s.api.core.v1.Event").zero()
    assert event == {
        "eventTime": None,
        "firstTimestamp": None,
        "involvedObject": {},
        "lastTimestamp": None,
        "metadata": {},
        "reportingComponent": "",
        "reportingInstance": "",
        "source": {},
    }
    assert struct("io.k8s.api.rbac.v1.Role")({"rules": []}, []) == {"metadata": {}, "rules": None}
    condition = struct("io.k8s.api.core.v1.PodCondition")({"type": "Ready", "status": "True"}, [])
    assert condition == {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}
    field = struct("io.k8s.api.core.v1.ResourceFieldSelector")({"resource": "limits.cpu"}, [])
    assert field == {"resource": "limits.cpu", "divisor": "0"}
    assert struct("io.k8s.api.apps.v1.DeploymentSpec").zero().keys() == {"strategy", "template"}


def test_numbers_of_pointers_that_are_nought_stay() -> None:
    rolling = struct("io.k8s.api.apps.v1.RollingUpdateDeployment")
    assert rolling({"maxSurge": 0, "maxUnavailable": "0%"}, []) == {"maxSurge": 0, "maxUnavailable": "0%"}
    with pytest.raises(DecodeError, match="of type int32"):
        rolling({"maxSurge": True}, [])


def test_nulls_inside_lists_and_maps_are_empty_values() -> None:
    container = struct("io.k8s.api.core.v1.Container")({"name": "a", "args": ["x", None]}, [])
    assert container["args"] == ["x", ""]
    assert struct("io.k8s.api.core.v1.ConfigMap")({"data": {"k": None}}, [])["data"] == {"k": ""}


def test_times_are_served_in_utc() -> None:
    found = struct("io.k8s.api.core.v1.PodStatus")({"startTime": "2026-01-01T02:00:00.75+02:00"}, [])
    assert found == {"startTime": "2026-01-01T00:00:00Z"}
    assert LEASE({"renewTime": "2026-01-01T00:00:00.123456-01:00"}, []) == {"renewTime": "2026-01-01T01:00:00.123456Z"}


def test_quantities_and_bytes_are_written_anew() -> None:
    found = created(
        pod(containers=[{"name": "a", "image": "b", "resources": {"limits": {"memory": "1024Mi", "cpu": 0.5}}}])
    )
    assert found["spec"]["containers"][0]["resources"]["limits"] == {"memory": "1Gi", "cpu": "500m"}
    assert created(manifest("v1", "Secret", data={"k": "dg=\n=", "e": ""}))["data"] == {"k": "dg==", "e": ""}


def test_what_was_sent_is_not_changed() -> None:
    sent = job(template=deployment()["spec"]["template"] | {"metadata": {}})
    sent["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    before = repr(sent)
    created(sent)
    assert repr(sent) == before


def test_schemas_inside_definitions_are_decoded() -> None:
    schema = struct("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    unknown: list[str] = []
    found = schema(
        {
            "type": "object",
            "additionalProperties": False,
            "default": False,
            "items": {"type": "string", "minLength": 0, "nope": 1},
            "properties": {"x": {"enum": [None, 0, "a"], "maximum": 5.0, "multipleOf": 0.5}},
            "dependencies": {"x": ["y"]},
        },
        unknown,
    )
    assert unknown == ["items.nope"]
    assert found == {
        "type": "object",
        "additionalProperties": False,
        "default": False,
        "items": {"type": "string", "minLength": 0},
        "properties": {"x": {"enum": [None, 0, "a"], "maximum": 5, "multipleOf": 0.5}},
        "dependencies": {"x": ["y"]},
    }
    with pytest.raises(DecodeError, match="float64"):
        schema({"maximum": "5"}, [])
