"""The operator's chart: what it installs, and that the operator runs with it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from adapter_devcluster.devcluster import DevCluster
from adapter_operator.api.settings import OperatorSettings
from adapter_testing.helm import READY, helm, step
from adapter_testing.kubectl import Kubectl
from adapter_testing.manifests import REPOSITORY
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

CHART = REPOSITORY / "charts" / "adapter-operator"
CRD_CHART = REPOSITORY / "charts" / "adapter-operator-crds"
VALUES = {"settings": {"clusterName": "test"}}


@pytest.fixture
def kubectl(tmp_path):
    with DevCluster(tls=True) as cluster:
        yield Kubectl(cluster.kubeconfig, tmp_path, "default")


@pytest.fixture
def rendered(tmp_path):
    """Install it for show on a cluster that runs nothing; returns the objects by kind."""
    with DevCluster(tls=True, node=False) as cluster:
        kubectl = Kubectl(cluster.kubeconfig, tmp_path, "default")

        def render(values: dict[str, Any]) -> dict[str, Any]:
            (done,) = helm(kubectl, step("install", CHART, "ops", values, dry_run="client"))
            if "error" in done:
                return done
            return {one["kind"]: one for one in yaml.safe_load_all(done["manifest"])}

        yield render


def settings(objects: dict[str, Any]) -> OperatorSettings:
    return OperatorSettings.read(yaml.safe_load(objects["ConfigMap"]["data"]["settings.yaml"]))


def test_images_get_the_version_of_the_chart_unless_they_name_one(rendered):
    digest = "sha256:" + "a" * 64
    values = {
        "image": {"repository": "mirror:5000/adapter-operator"},
        "settings": {
            "clusterName": "test",
            "images": {"trainer": "mirror:5000/adapter-trainer", "server": f"adapter-server@{digest}"},
        },
    }
    objects = rendered(values)
    found = settings(objects)
    assert found.images.trainer == "mirror:5000/adapter-trainer:0.1.0"
    assert found.images.server == f"adapter-server@{digest}"
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "mirror:5000/adapter-operator:0.1.0"


def test_settings_reach_the_operator_as_they_stand_in_the_values(rendered):
    storage = {"root": "s3://adapters/", "region": "eu-central-1", "credentialsSecretRef": {"name": "s3"}}
    found = settings(rendered({"settings": {"clusterName": "test", "storage": storage, "deadlineSeconds": 3600}}))
    assert found.storage.to_dict() == storage
    assert found.deadline_seconds == 3600


def test_changed_settings_make_a_new_pod(rendered):
    def annotations(values: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = rendered(values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations(VALUES) == annotations(VALUES)
    assert annotations(VALUES) != annotations({"settings": {"clusterName": "other"}})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "settings.clusterName is required: a name that is unique among the clusters that share a store"),
        ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
        ({"settings": {"images": {"tuner": "x"}}}, "additional properties 'tuner' not allowed"),
    ],
    ids=["cluster", "repository", "image"],
)
def test_bad_values_are_refused_by_name(rendered, values, words):
    assert words in rendered(values)["error"]


def test_the_operator_may_read_no_secret_log_or_shell(rendered):
    rules = rendered(VALUES)["ClusterRole"]["rules"]
    assert all("*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"] for rule in rules)
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert resources & {"secrets", "pods/log", "pods/exec", "pods/attach", "pods/portforward"} == set()


def test_an_operator_of_some_namespaces_has_no_right_in_any_other(rendered):
    everywhere = rendered(VALUES)
    assert "RoleBinding" not in everywhere
    assert everywhere["ClusterRoleBinding"]["roleRef"]["kind"] == "ClusterRole"
    some = rendered({"settings": {"clusterName": "test", "namespaces": ["team-a"]}})
    assert "ClusterRoleBinding" not in some
    assert some["RoleBinding"]["metadata"]["namespace"] == "team-a"
    assert some["RoleBinding"]["subjects"] == everywhere["ClusterRoleBinding"]["subjects"]


def test_the_operator_runs_as_the_chart_installs_it(kubectl):
    crds, operator = helm(
        kubectl,
        step("install", CRD_CHART, "adapter-operator-crds", **READY),
        step("install", CHART, "adapter-operator", VALUES, **READY),
    )
    assert (crds["status"], operator["status"]) == ("deployed", "deployed")
    kubectl("apply", "-f", REPOSITORY / "examples" / "minimal")
    # The base model is in no catalogue here: the operator says so, in the object's status.
    until(lambda: reason(kubectl, "adtrain/support-bot") == "UnknownBaseModel", lambda: kubectl("get", "adapters"))
    until(lambda: reason(kubectl, "addeploy/support") == "UnknownBaseModel", lambda: kubectl("get", "adapters"))


def reason(kubectl: Kubectl, name: str) -> str:
    return kubectl("get", name, "-o", 'jsonpath={.status.conditions[?(@.type=="Stalled")].reason}')
