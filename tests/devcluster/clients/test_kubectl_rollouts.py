"""What a user sees of kubectl's commands about deployments and their pods' moves; pods are processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.client_manifests import IMAGE, STAY, container, deployment, pod
from adapter_testing.kubectl import Kubectl, table

pytestmark = pytest.mark.integration

TIMEOUT = "--timeout=20s"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(tls=True) as found:
        yield found


def deployed(kubectl: Kubectl, **options: Any) -> None:
    kubectl("apply", "-f", "-", stdin=deployment(**options))
    kubectl("rollout", "status", "deploy/web", TIMEOUT)


def running(kubectl: Kubectl, *pods: dict[str, Any]) -> None:
    kubectl("create", "-f", "-", stdin=list(pods))
    kubectl("wait", "--for=condition=Ready", *(f"pod/{one['metadata']['name']}" for one in pods), TIMEOUT)


def test_rollouts(kubectl: Kubectl) -> None:
    def color() -> str:
        return kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env[0].value}")

    deployed(kubectl)
    assert table(kubectl("get", "deploy", "-o", "wide")) == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "CONTAINERS", "IMAGES", "SELECTOR"],
        ["web", "2/2", "2", "2", "main", IMAGE, "app=web"],
    ]
    kubectl("set", "env", "deploy/web", "COLOR=blue")
    done = 'deployment "web" successfully rolled out'
    assert kubectl("rollout", "status", "deploy/web", TIMEOUT).splitlines()[-1] == done
    assert kubectl("rollout", "history", "deploy/web") == (
        "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n"
    )
    assert "    Environment:\n      COLOR:\tblue\n" in kubectl("rollout", "history", "deploy/web", "--revision=2")
    assert kubectl.warns("rollout", "undo", "deploy/web")[0] == "deployment.apps/web rolled back\n"
    assert kubectl("rollout", "status", "deploy/web", TIMEOUT).splitlines()[-1] == done
    assert color() == "red"
    assert [line.split()[0] for line in kubectl("rollout", "history", "deploy/web").splitlines()[2:-1]] == ["2", "3"]
    assert kubectl.fails("rollout", "undo", "deploy/web", "--to-revision=9").splitlines()[-1] == (
        "error: unable to find specified revision 9 in history"
    )


def test_pausing_and_restarting_a_rollout(kubectl: Kubectl) -> None:
    deployed(kubectl, replicas=1)
    before = kubectl("get", "pods", "-o", "name")
    assert kubectl("rollout", "pause", "deploy/web") == "deployment.apps/web paused\n"
    assert kubectl.fails("rollout", "pause", "deploy/web") == 'error: deployments.apps "web" is already paused\n'
    assert kubectl.fails("rollout", "restart", "deploy/web") == (
        'error: deployments.apps "web" can\'t restart paused deployment (run rollout resume first)\n'
    )
    kubectl("set", "image", "deploy/web", f"main={IMAGE}:2")
    assert kubectl("rollout", "status", "deploy/web", "--watch=false") == (
        'Waiting for deployment "web" rollout to finish: 0 out of 1 new replicas have been updated...\n'
    )
    assert kubectl("rollout", "resume", "deploy/web") == "deployment.apps/web resumed\n"
    kubectl("rollout", "status", "deploy/web", TIMEOUT)
    assert kubectl("rollout", "restart", "deploy/web") == "deployment.apps/web restarted\n"
    kubectl("rollout", "status", "deploy/web", TIMEOUT)
    kubectl("wait", "--for=delete", before.strip(), TIMEOUT)
    found = kubectl.get("deploy", "web")["spec"]["template"]
    assert found["spec"]["containers"][0]["image"] == f"{IMAGE}:2"
    assert list(found["metadata"]["annotations"]) == ["kubectl.kubernetes.io/restartedAt"]


def test_a_rollout_that_makes_no_progress(kubectl: Kubectl) -> None:
    never = deployment(replicas=1, progressDeadlineSeconds=1)
    never["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.dev/none:1"
    kubectl("apply", "-f", "-", stdin=never)
    status = kubectl.run("rollout", "status", "deploy/web", TIMEOUT)
    assert status.stderr == 'error: deployment "web" exceeded its progress deadline\n'
    assert status.returncode == 1


def test_scaling_to_nothing_ends_the_pods(kubectl: Kubectl) -> None:
    deployed(kubectl)
    kubectl("scale", "deploy/web", "--replicas=0")
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", TIMEOUT)
    assert kubectl.warns("get", "pods") == ("", f"No resources found in {kubectl.namespace} namespace.\n")
    assert table(kubectl("get", "deploy"))[1] == ["web", "0/0", "0", "0"]


def test_foreground_deletion_waits_for_the_pods(kubectl: Kubectl) -> None:
    deployed(kubectl)
    assert kubectl("delete", "deploy", "web", "--cascade=foreground") == (
        f'deployment.apps "web" deleted from {kubectl.namespace} namespace\n'
    )
    assert kubectl("get", "deploy,rs,pods", "-o", "name") == ""


def test_cordon_and_drain(kubectl: Kubectl) -> None:
    deployed(kubectl, replicas=1)
    running(kubectl, pod("bare", container(STAY)))
    # The node is everybody's, so the pods are told from those of other tests.
    kubectl("label", "pods", "--all", f"whose={kubectl.namespace}")
    try:
        assert kubectl("cordon", "devcluster") == "node/devcluster cordoned\n"
        assert kubectl("cordon", "devcluster") == "node/devcluster already cordoned\n"
        assert table(kubectl("get", "nodes"))[1][:2] == ["devcluster", "Ready,SchedulingDisabled"]
        drain = ("drain", "devcluster", f"--pod-selector=whose={kubectl.namespace}", "--timeout=20s")
        refused = kubectl.run(*drain)
        assert refused.returncode == 1
        assert f"(use --force to override): {kubectl.namespace}/bare" in refused.stderr
        old = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
        out, err = kubectl.warns(*drain, "--force")
        assert err == f"Warning: deleting Pods that declare no controller: {kubectl.namespace}/bare\n"
        assert sorted(out.splitlines()) == [
            f"evicting pod {kubectl.namespace}/bare",
            f"evicting pod {kubectl.namespace}/{old}",
            "node/devcluster already cordoned",
            "node/devcluster drained",
            "pod/bare evicted",
            f"pod/{old} evicted",
        ]
        assert table(kubectl("get", "pods"))[1][1:] == ["0/1", "Pending", "0"]
    finally:
        assert kubectl("uncordon", "devcluster") == "node/devcluster uncordoned\n"
    kubectl("rollout", "status", "deploy/web", TIMEOUT)


def test_an_eviction_respects_disruption_budgets(kubectl: Kubectl) -> None:
    deployed(kubectl, replicas=1)
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=1")
    kubectl("wait", "--for=jsonpath={.status.currentHealthy}=1", "pdb/web", TIMEOUT)
    name = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{name}/eviction"
    assert kubectl.fails("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction)) == (
        "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.\n"
    )
    assert table(kubectl("get", "pdb"))[1] == ["web", "1", "N/A", "0"]
    assert table(kubectl("get", "pod", name))[1][:3] == [name, "1/1", "Running"]
