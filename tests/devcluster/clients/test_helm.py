"""Helm 4, through its SDK: releases of a chart such as operators have, and of the project's own one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.helm import READY, helm, step
from adapter_testing.kubectl import Kubectl, table
from adapter_testing.manifests import REPOSITORY, example
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

CHART = Path(__file__).parent / "data" / "harbour"
CRD_CHART = REPOSITORY / "charts" / "adapter-operator-crds"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(tls=True) as found:
        yield found


def wait_for_greeting(kubectl: Kubectl, word: str) -> None:
    """Wait until all pods say a word, and those that said another are gone."""
    until(lambda: set(kubectl.run("logs", "-l", "app=port").stdout.split()) == {word})


def test_the_life_of_a_release(kubectl: Kubectl) -> None:
    name = kubectl.namespace
    installed, again, listed, values = helm(
        kubectl,
        step("install", CHART, "port", {"replicas": 2}, **READY),
        step("install", CHART, "port"),
        step("list"),
        step("get_values", "port"),
    )
    assert (installed["revision"], installed["status"]) == (1, "deployed")
    assert again == {"error": "release name check failed: cannot reuse a name that is still in use"}
    assert [(one["name"], one["status"], one["chart_version"]) for one in listed] == [("port", "deployed", "0.1.0")]
    assert values == {"replicas": 2}
    # Helm has waited until all of it was ready, with the hook done before the rest.
    assert table(kubectl("get", "deploy"))[1] == ["port", "2/2", "2", "2"]
    assert table(kubectl("get", "boats"))[1] == ["port-tug", "2", ""]
    assert kubectl("logs", "job/port-prepare") == "prepared\n"
    assert table(kubectl("get", "secrets"))[1] == ["sh.helm.release.v1.port.v1", "helm.sh/release.v1", "1"]
    assert kubectl.get("cm", "port")["data"] == {
        "greeting": "hello",
        "kubernetes": "v1.36.2+devcluster",
        "namespace": name,
    }
    account = f"--as=system:serviceaccount:{name}:port"
    assert kubectl("auth", "can-i", "watch", "boats", "-A", account) == "yes\n"
    assert kubectl("auth", "can-i", "create", "leases", account) == "yes\n"
    assert kubectl.run("auth", "can-i", "create", "leases", "-n", "default", account).stdout == "no\n"

    upgraded, status = helm(
        kubectl,
        step("upgrade", CHART, "port", {"greeting": "moin"}, reuse_values=True, **READY),
        step("status", "port"),
    )
    assert (upgraded["revision"], status["revision"], status["status"]) == (2, 2, "deployed")
    assert table(kubectl("get", "deploy"))[1][:2] == ["port", "2/2"]
    wait_for_greeting(kubectl, "moin")

    failed, history = helm(
        kubectl,
        step("upgrade", CHART, "port", {"prepare": "exit 1"}, reuse_values=True, **READY),
        step("history", "port"),
    )
    assert failed == {
        "error": f"pre-upgrade hooks failed: resource Job/{name}/port-prepare not ready. "
        "status: Failed, message: Job Failed. failed: 1/1"
    }
    assert [one["status"] for one in history] == ["superseded", "deployed", "failed"]

    _, history = helm(kubectl, step("rollback", "port", version=1, **READY), step("history", "port"))
    assert [one["status"] for one in history] == ["superseded", "superseded", "failed", "deployed"]
    wait_for_greeting(kubectl, "hello")

    gone, listed = helm(kubectl, step("uninstall", "port", **READY), step("list", all_states=True))
    assert (gone["release"]["status"], listed) == ("uninstalled", [])
    # Hooks and definitions are not the release's.
    assert kubectl("get", "deploy,rs,boats,job,sa,role,rolebinding,secret", "-o", "name").split() == [
        "job.batch/port-prepare",
        "serviceaccount/default",
    ]
    assert kubectl.run("get", "clusterrole", f"{name}-port").returncode == 1
    assert (
        kubectl("get", "crd", "-o", "name")
        == "customresourcedefinition.apiextensions.k8s.io/boats.harbour.example.dev\n"
    )


def test_the_tests_of_a_release(kubectl: Kubectl) -> None:
    _, tested = helm(
        kubectl,
        step("install", CHART, "port", {"replicas": 0}, **READY),
        step("test", "port", logs=True, timeout=20),
    )
    assert tested["logs"] == "POD LOGS: port-check\nall is well\n\n"


def test_a_field_that_somebody_else_owns_stops_an_upgrade(kubectl: Kubectl) -> None:
    helm(kubectl, step("install", CHART, "port", {"replicas": 0}))
    kubectl("patch", "cm", "port", "-p", '{"data": {"greeting": "ahoy"}}')
    upgraded, history = helm(
        kubectl, step("upgrade", CHART, "port", {"replicas": 0, "greeting": "moin"}), step("history", "port")
    )
    assert 'conflict with "kubectl-patch" using v1: .data.greeting' in upgraded["error"]
    assert [one["status"] for one in history] == ["deployed", "failed"]
    assert kubectl.get("cm", "port")["data"]["greeting"] == "ahoy"


def test_a_dry_run_leaves_nothing(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", CHART / "crds")
    kubectl("wait", "--for=condition=Established", "crd/boats.harbour.example.dev", "--timeout=10s")
    (done,) = helm(kubectl, step("install", CHART, "port", dry_run="server"))
    assert f"  namespace: {kubectl.namespace}" in done["manifest"]
    assert kubectl("get", "deploy,boats,secrets,job", "-o", "name") == ""


def test_a_release_that_does_not_become_ready_in_time(kubectl: Kubectl) -> None:
    values = {"greeting": "hello", "prepare": "true", "replicas": 1, "probe": "false"}
    failed, listed = helm(
        kubectl,
        step("install", CHART, "port", values, wait="watcher", timeout=1),
        step("list", all_states=True),
    )
    assert f"resource Deployment/{kubectl.namespace}/port not ready. status: InProgress" in failed["error"]
    assert [one["status"] for one in listed] == ["failed"]


def test_the_projects_definitions(kubectl: Kubectl) -> None:
    installed, upgraded = helm(
        kubectl,
        step("install", CRD_CHART, "adapter-operator-crds", **READY),
        step("upgrade", CRD_CHART, "adapter-operator-crds", {"keep": False}, **READY),
    )
    assert (installed["status"], upgraded["status"]) == ("deployed", "deployed")
    names = ["adapterdeployments.adapters.dev", "adaptertrainings.adapters.dev"]
    assert [row[0] for row in table(kubectl("get", "crd"))[1:]][:2] == names
    kubectl("apply", "-f", REPOSITORY / "examples" / "minimal")
    sent, found = example("minimal", "AdapterTraining")["spec"], kubectl.get("adtrain", "support-bot")["spec"]
    assert (found["baseModel"], found["method"]["type"]) == (sent["baseModel"], "LoRA")
    assert [line.split("/")[0] for line in kubectl("get", "adapters", "-o", "name").split()] == [
        "adapterdeployment.adapters.dev",
        "adaptertraining.adapters.dev",
    ]
    helm(kubectl, step("uninstall", "adapter-operator-crds", **READY))
    assert not {row[0] for row in table(kubectl("get", "crd"))} & set(names)
