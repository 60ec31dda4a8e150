"""The manifests of a deployment: what stands in them, and that Kubernetes' own schemas and the API server take them."""

import json
from typing import Any

import kubernetes_validate
import pytest

from adapter_contract import AdapterSet, MountTable, ServerConfig
from adapter_contract.pods import ADAPTER_SET_FILE, SERVER_CONFIG, WORK_DIRECTORY
from adapter_operator.build.adapter_set import SET_FILE
from adapter_testing.serving_world import BASE, ServingWorld, follows, settings, training

pytestmark = pytest.mark.unit

FULL: dict[str, Any] = {
    "baseModel": {
        "name": BASE,
        "revision": "2025-02",
        "source": {"persistentVolumeClaim": {"claimName": "models", "path": "smollm2"}},
    },
    "quantization": {"type": "NF4"},
    "engine": {"maxActiveAdapters": 2, "maxCachedAdapters": 4, "maxRank": 8, "maxModelLength": 512},
    "limits": {"requestTimeoutSeconds": 7, "maxQueuedRequests": 8, "maxOutputTokens": 9},
    "authentication": {"apiKeysSecretRef": {"name": "keys"}},
    "replicas": 3,
    "rollout": {"maxSurge": 2, "maxUnavailable": 1, "drainSeconds": 20},
    "service": {"port": 8080},
    "pod": {
        "gpus": 0,
        "terminationGracePeriodSeconds": 60,
        "labels": {"team": "a"},
        "annotations": {"note": "x"},
        "resources": {"requests": {"cpu": 2}},
    },
    "storage": {"s3": {"caBundleConfigMapRef": {"name": "company", "key": "ca.pem"}}},
}


def children(**spec: Any) -> dict[str, dict[str, Any]]:
    world = ServingWorld.of(follows(), trainings=[training()], **spec)
    return {one["kind"]: one for one in world.plan().apply}


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    [found] = manifest["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(manifest: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container(manifest)["env"]}


@pytest.mark.parametrize("spec", [{}, FULL], ids=["plain", "full"])
def test_kubernetes_schemas_take_every_child(spec: dict[str, Any]) -> None:
    found = children(**spec)
    assert set(found) == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    for manifest in found.values():
        kubernetes_validate.validate(manifest, "1.37", strict=True)


@pytest.mark.parametrize("spec", [{}, FULL], ids=["plain", "full"])
def test_every_child_is_owned_labelled_and_named(spec: dict[str, Any]) -> None:
    for manifest in children(**spec).values():
        metadata = manifest["metadata"]
        [owner] = metadata["ownerReferences"]
        assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == ("AdapterDeployment", True, True)
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "adapter-operator"
        assert metadata["labels"]["adapters.dev/deployment"] == "support"
        assert metadata["name"].startswith("support")
        assert metadata["namespace"] == "team-a"


def test_the_config_says_what_the_spec_says() -> None:
    config = ServerConfig.from_json(environment(children(**FULL)["Deployment"])[SERVER_CONFIG])
    assert json.loads(config.to_json()) == {
        "apiKeysFile": "/adapter/credentials/api-keys/keys.yaml",
        "baseModel": {
            "name": BASE,
            "revision": "2025-02",
            "source": {"path": "/adapter/base-model/smollm2", "type": "Path"},
        },
        "drainSeconds": 20,
        "engine": {
            "arguments": [],
            "maxActiveAdapters": 2,
            "maxCachedAdapters": 4,
            "maxModelLength": 512,
            "maxRank": 8,
            "type": "Transformers",
        },
        "kind": "ServerConfig",
        "limits": {"maxOutputTokens": 9, "maxQueuedRequests": 8, "requestTimeoutSeconds": 7},
        "quantization": "NF4",
        "schemaVersion": 1,
    }


def test_without_authentication_no_key_is_mounted() -> None:
    manifest = children()["Deployment"]
    assert ServerConfig.from_json(environment(manifest)[SERVER_CONFIG]).api_keys_file is None
    assert "api-keys" not in {one["name"] for one in manifest["spec"]["template"]["spec"]["volumes"]}


def test_every_path_of_the_documents_lies_in_a_mount() -> None:
    found = children(**FULL)
    variables = environment(found["Deployment"])
    table = MountTable.from_environment(variables)
    documents = AdapterSet.from_json(found["ConfigMap"]["data"]["adapter-set.json"])
    config = ServerConfig.from_json(variables[SERVER_CONFIG])
    paths = [
        documents.storage.credentials_directory,
        documents.storage.ca_bundle_file,
        config.api_keys_file,
        config.base_model.source.path,
        variables[WORK_DIRECTORY],
        variables[ADAPTER_SET_FILE],
    ]
    for path in paths:
        assert any(path == place or path.startswith(f"{place}/") for place in table.places)
    assert variables[ADAPTER_SET_FILE] == SET_FILE


def test_the_set_is_mounted_as_a_directory_so_that_changes_arrive() -> None:
    mounts = {one["name"]: one for one in container(children()["Deployment"])["volumeMounts"]}
    assert mounts["adapter-set"] == {"name": "adapter-set", "mountPath": "/adapter/set", "readOnly": True}


def test_probes_ask_what_they_are_to_tell() -> None:
    found = container(children()["Deployment"])
    asked = {name: found[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {name: (one["path"], one["port"]) for name, one in asked.items()} == {
        "startupProbe": ("/healthz", "http"),
        "readinessProbe": ("/readyz", "http"),
        "livenessProbe": ("/healthz", "management"),
    }
    start = found["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] == 1800
    assert children()["Deployment"]["spec"]["progressDeadlineSeconds"] > 1800
    assert {one["name"]: one["containerPort"] for one in found["ports"]} == {"http": 8000, "management": 8081}


@pytest.mark.parametrize(("grace", "drain", "sleep"), [(120, 30, 5), (32, 30, 2), (30, 30, None)])
def test_a_leaving_pod_goes_on_answering_while_there_is_time(grace: int, drain: int, sleep: int | None) -> None:
    manifest = children(pod={"terminationGracePeriodSeconds": grace}, rollout={"drainSeconds": drain})["Deployment"]
    assert manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == grace
    lifecycle = container(manifest).get("lifecycle")
    assert lifecycle == (None if sleep is None else {"preStop": {"sleep": {"seconds": sleep}}})


def test_the_rollout_is_as_the_spec_says() -> None:
    spec = children(**FULL)["Deployment"]["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}


def test_pods_carry_what_selects_them_and_what_the_user_adds() -> None:
    found = children(**FULL)
    metadata = found["Deployment"]["spec"]["template"]["metadata"]
    for selector in (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector == {"adapters.dev/deployment-uid": "11111111-aaaa-4bbb-8ccc-000000000001"}
        assert selector.items() <= metadata["labels"].items()
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"]["note"] == "x"


def test_the_service_leads_to_the_api_alone() -> None:
    assert children(**FULL)["Service"]["spec"]["ports"] == [
        {"name": "http", "port": 8080, "protocol": "TCP", "targetPort": "http"}
    ]


def test_a_budget_never_keeps_a_node_from_being_drained() -> None:
    spec = children()["PodDisruptionBudget"]["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_pods_have_no_token_and_no_rights() -> None:
    pod = children()["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container(children()["Deployment"])["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_permitted_image_is_used() -> None:
    permitted = settings(permitted={"images": ["registry.example/*"]})
    world = ServingWorld.of()
    world.settings = permitted
    world.edit(pod={"image": "registry.example/own-server:3", "gpus": 0})
    [manifest] = [one for one in world.plan().apply if one["kind"] == "Deployment"]
    assert container(manifest)["image"] == "registry.example/own-server:3"
