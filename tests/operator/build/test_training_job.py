"""The Job of an attempt, its pod, and the revision of a version: as the API server and security demand them."""

import json
from typing import Any

import kubernetes_validate
import pytest

from adapter_contract.pods import MountTable
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.api.v1alpha1.version_record import VersionRecord
from adapter_operator.build.trainer_inputs import Parent, resolve_inputs
from adapter_operator.build.trainer_job import AttemptJob, trainer_job
from adapter_operator.build.version_revision import version_revision
from adapter_testing.manifests import example
from adapter_testing.training_lab import SETTINGS, START, digest_of, training_document

pytestmark = pytest.mark.unit

JSON = dict[str, Any]


def built(put: JSON | None = None, settings: OperatorSettings = SETTINGS) -> JSON:
    return job_of(AdapterTraining.parse(training_document(put)), settings)


def job_of(training: AdapterTraining, settings: OperatorSettings = SETTINGS, parent: Parent | None = None) -> JSON:
    attempt = AttemptJob(
        run=2,
        attempt=3,
        spec_hash=digest_of("5"),
        settings_hash=digest_of("6"),
        image="adapter-trainer:1",
        config_map="support-bot-r2-0123456789",
        mounts=resolve_inputs(training, parent, settings).mounts,
    )
    job = trainer_job(training, attempt, settings)
    kubernetes_validate.validate(job, "1.37", strict=True)
    return job


def pod_spec(job: JSON) -> JSON:
    found: JSON = job["spec"]["template"]["spec"]
    return found


def container(job: JSON) -> JSON:
    (found,) = pod_spec(job)["containers"]
    assert isinstance(found, dict)
    return found


def environment(job: JSON) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container(job)["env"]}


def test_the_job_is_one_pod_that_is_never_restarted() -> None:
    job = built()
    assert {key: value for key, value in job["spec"].items() if key != "template"} == {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": 86400,
    }
    assert pod_spec(job)["restartPolicy"] == "Never"
    assert job["metadata"] == {
        "name": "support-bot-r2-a3",
        "namespace": "team-a",
        "labels": {
            "app.kubernetes.io/managed-by": "adapter-operator",
            "adapters.dev/training": "support-bot",
            "adapters.dev/training-uid": "uid-1",
            "adapters.dev/run": "2",
            "adapters.dev/attempt": "3",
        },
        "annotations": {"adapters.dev/spec-hash": digest_of("5"), "adapters.dev/settings-hash": digest_of("6")},
        "ownerReferences": [
            {
                "apiVersion": "adapters.dev/v1alpha1",
                "kind": "AdapterTraining",
                "name": "support-bot",
                "uid": "uid-1",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels == job["metadata"]["labels"] | {"app.kubernetes.io/component": "trainer"}


def test_a_finished_job_stays_until_its_result_can_be_read() -> None:
    assert built({"spec.jobTTLSecondsAfterFinished": 0})["spec"]["ttlSecondsAfterFinished"] == 300


def test_the_pod_meets_the_restricted_pod_security_standard() -> None:
    job = built({"spec.pod": {"gpus": 2}})
    spec = pod_spec(job)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container(job)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "image"}
    assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])


def test_the_pod_finds_its_documents_by_its_environment() -> None:
    job = built()
    found = environment(job)
    assert found["ADAPTER_TRAINER_CONFIG_FILE"] == "/adapter/config/trainer-config.json"
    assert found["ADAPTER_ATTEMPT"] == "3"
    assert found["ADAPTER_WORK_DIRECTORY"] == found["HOME"] == found["TMPDIR"] == "/adapter/work"
    assert found["ADAPTER_TERMINATION_FILE"] == container(job)["terminationMessagePath"]
    assert container(job)["terminationMessagePolicy"] == "File"
    table = MountTable.from_environment(found)
    assert table.places.keys() == {mount["mountPath"] for mount in container(job)["volumeMounts"]}
    assert container(job)["ports"] == [{"name": "management", "containerPort": 8081, "protocol": "TCP"}]


def test_what_is_mounted_and_nothing_but_room_is_writable() -> None:
    job = built({"spec.pod": {"scratch": "50Gi", "sharedMemory": "2Gi"}})
    assert pod_spec(job)["volumes"] == [
        {
            "name": "config",
            "configMap": {
                "name": "support-bot-r2-0123456789",
                "items": [{"key": "trainer-config.json", "path": "trainer-config.json"}],
            },
        },
        {"name": "credentials-base-model", "secret": {"secretName": "store"}},
        {"name": "credentials-dataset", "secret": {"secretName": "store"}},
        {"name": "credentials-output", "secret": {"secretName": "store"}},
        {"name": "work", "emptyDir": {"sizeLimit": "50Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
    ]
    writable = [mount["mountPath"] for mount in container(job)["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/adapter/work", "/dev/shm"]  # noqa: S108 - where shared memory is


def test_the_full_example_as_a_pod() -> None:
    document = example("full", "AdapterTraining")
    document["metadata"] |= {"uid": "uid-7", "generation": 1}
    training = AdapterTraining.parse(document)
    job = job_of(training, parent=Parent("support-base", digest_of("e"), None, None))
    spec = pod_spec(job)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["base-model"]["persistentVolumeClaim"] == {"claimName": "base-models", "readOnly": True}
    assert volumes["certificates-dataset"]["configMap"]["name"] == "company-ca"
    assert volumes["credentials-dataset"]["secret"] == {"secretName": "datasets-read"}
    assert volumes["credentials-output"]["secret"] == {"secretName": "adapters-write"}
    assert volumes["evaluation"]["configMap"]["name"] == "support-evaluation"
    assert volumes["credentials-parent"]["secret"] == {"secretName": "store"}
    assert spec["nodeSelector"] == {"node.example.com/class": "a10g"}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("batch", "nvidia")
    assert spec["terminationGracePeriodSeconds"] == 120
    assert container(job)["resources"] == {
        "requests": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "32Gi", "nvidia.com/gpu": "1"},
    }
    template = job["spec"]["template"]["metadata"]
    assert template["labels"]["cost-center"] == "4711"
    assert template["annotations"] == {"example.com/owner": "team-a@example.com"}


def test_gpus_are_asked_for_only_where_there_are_some() -> None:
    cpu = built({"spec.pod": {"gpus": 0}})
    assert "nvidia.com/gpu" not in str(container(cpu)["resources"])
    assert environment(cpu)["NVIDIA_VISIBLE_DEVICES"] == "void"
    gpu = built({"spec.pod": {"gpus": 4, "gpuResourceName": "amd.com/gpu"}})
    assert container(gpu)["resources"]["limits"]["amd.com/gpu"] == "4"
    assert "NVIDIA_VISIBLE_DEVICES" not in environment(gpu)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (None, {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "16Gi"}}),
        ({"requests": {"memory": "64Gi"}}, {"requests": {"memory": "64Gi"}}),
        ({"limits": {"memory": "2Gi"}}, {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}),
        ({"requests": {}, "limits": {}}, {}),
    ],
)
def test_platform_resources_never_contradict_the_users(resources: JSON | None, expected: JSON) -> None:
    pod: JSON = {"gpus": 0} | ({} if resources is None else {"resources": resources})
    assert container(built({"spec.pod": pod}))["resources"] == expected


def test_the_platforms_defaults_of_placement() -> None:
    trainer = {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"operator": "Exists"}],
        "serviceAccountName": "trainer",
        "scratch": "5Gi",
    }
    settings = OperatorSettings.read(SETTINGS.to_dict() | {"pods": {"trainer": trainer}})
    spec = pod_spec(built(settings=settings))
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["serviceAccountName"] == "trainer"
    bare = pod_spec(built({"spec.pod": {"nodeSelector": {}, "tolerations": []}}, settings))
    assert "nodeSelector" not in bare
    assert "tolerations" not in bare


@pytest.mark.parametrize(("limit", "threads"), [(None, None), ("500m", "1"), ("1", "1"), (4, "4"), ("2500m", "3")])
def test_a_limited_container_has_as_many_threads_as_it_may_use_processors(
    limit: int | str | None, threads: str | None
) -> None:
    limits = {} if limit is None else {"cpu": limit}
    found = environment(built({"spec.pod.resources": {"requests": {}, "limits": limits}}))
    assert found.get("OMP_NUM_THREADS") == threads


def test_a_users_variable_cannot_replace_ours() -> None:
    found = environment(built({"spec.pod": {"env": [{"name": "HOME", "value": "/x"}, {"name": "EXTRA"}]}}))
    assert found["HOME"] == "/adapter/work"
    assert found["EXTRA"] == ""


def record(**changes: Any) -> VersionRecord:
    fields = {
        "version": 7,
        "digest": digest_of("a"),
        "uri": "s3://adapters/x/",
        "run": 9,
        "spec_hash": digest_of("5"),
        "time": START,
        "metrics": [{"name": "Loss", "value": "1.18"}],
    }
    return VersionRecord.model_validate(fields | changes)


def test_the_revision_of_a_version() -> None:
    training = AdapterTraining.parse(training_document())
    revision = version_revision(training, record())
    kubernetes_validate.validate(revision, "1.37", strict=True)
    assert revision["metadata"]["name"] == "support-bot-v7"
    assert revision["revision"] == 7
    assert revision["data"] == {
        "version": 7,
        "digest": digest_of("a"),
        "uri": "s3://adapters/x/",
        "run": 9,
        "specHash": digest_of("5"),
        "time": "2030-01-31T12:00:00Z",
        "metrics": [{"name": "Loss", "value": "1.18"}],
    }
    assert VersionRecord.model_validate(json.loads(json.dumps(revision["data"])), by_alias=True) == record()


def test_a_revision_holds_ascii_alone() -> None:
    training = AdapterTraining.parse(training_document())
    with pytest.raises(ValueError, match="uri of a version must be ASCII"):
        version_revision(training, record(uri="s3://adapters/größe/"))
