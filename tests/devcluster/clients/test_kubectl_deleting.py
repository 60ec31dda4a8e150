"""What a user sees of ``kubectl delete``; a cluster without a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.client_manifests import boat, config_map, deployment
from adapter_testing.kubectl import Kubectl, watches
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, tls=True) as found:
        yield found


def test_delete(kubectl: Kubectl) -> None:
    names = ("a", "b", "c", "d", "e")
    kubectl(
        "create", "-f", "-", stdin=[config_map(name, labels={"odd": str(name in "ace")}, color="red") for name in names]
    )
    where = f"deleted from {kubectl.namespace} namespace"
    assert kubectl("delete", "cm", "a", "b") == f'configmap "a" {where}\nconfigmap "b" {where}\n'
    assert kubectl("delete", "cm", "-l", "odd=True") == f'configmap "c" {where}\nconfigmap "e" {where}\n'
    assert kubectl.fails("delete", "cm", "a") == 'Error from server (NotFound): configmaps "a" not found\n'
    assert kubectl("delete", "cm", "a", "--ignore-not-found") == ""
    assert kubectl("delete", "cm", "d", "--dry-run=server") == f'configmap "d" {where} (server dry run)\n'
    kubectl("delete", "cm", "kube-root-ca.crt", "--ignore-not-found")
    assert f'configmap "d" {where}\n' in kubectl("delete", "cm", "--all")
    assert kubectl.warns("get", "cm", "-l", "odd")[1] == f"No resources found in {kubectl.namespace} namespace.\n"


def test_delete_waits_for_finalizers(cluster: DevCluster, kubectl: Kubectl) -> None:
    held = config_map("held", color="red")
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps"
    held["metadata"]["finalizers"] = ["harbour.example.dev/hold"]
    kubectl("create", "-f", "-", stdin=held)
    line = f'configmap "held" deleted from {kubectl.namespace} namespace\n'
    assert kubectl("delete", "cm", "held", "--wait=false") == line
    waiting = kubectl.run("delete", "cm", "held", "--timeout=1s")
    assert (waiting.returncode, waiting.stdout) == (1, line)
    assert waiting.stderr.splitlines()[-1] == "error: timed out waiting for the condition on configmaps/held"
    earlier = watches(cluster, path)
    waits = kubectl.start("wait", "--for=delete", "cm/held", "--timeout=30s")
    until(lambda: watches(cluster, path) > earlier)
    kubectl("patch", "cm", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert (waits.communicate(timeout=30)[0], waits.returncode) == ("configmap/held condition met\n", 0)


def test_delete_a_namespace(kubectl: Kubectl) -> None:
    name = kubectl.namespace
    kubectl("create", "-f", "-", stdin=config_map(color="red"))
    kubectl("create", "-f", "-", stdin=deployment(0))
    assert kubectl("delete", "ns", name) == f'namespace "{name}" deleted\n'
    assert kubectl.fails("get", "ns", name) == f'Error from server (NotFound): namespaces "{name}" not found\n'
    assert kubectl("get", "deploy,cm", "-A", "--field-selector", f"metadata.namespace={name}", "-o", "name") == ""
    assert kubectl.fails("create", "-f", "-", stdin=config_map(color="red")) == (
        f'Error from server (NotFound): error when creating "STDIN": namespaces "{name}" not found\n'
    )
    assert kubectl.fails("delete", "ns", "default") == (
        'Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted\n'
    )


def test_cascades(kubectl: Kubectl) -> None:
    def create() -> None:
        kubectl("create", "-f", "-", stdin=deployment(0))
        kubectl("scale", "deploy/web", "--replicas=1")
        kubectl("wait", "--for=create", "pod", "-l", "app=web", "--timeout=10s")

    create()
    deleted = f'deployment.apps "web" deleted from {kubectl.namespace} namespace\n'
    assert kubectl("delete", "deploy", "web", "--cascade=orphan") == deleted
    replica_set = kubectl.get("rs")["items"][0]
    assert replica_set["metadata"].get("ownerReferences") is None
    assert kubectl("delete", "rs", "--all", "--cascade=foreground").endswith("namespace\n")
    assert kubectl("get", "rs,pod", "-o", "name") == ""
    create()
    assert kubectl("delete", "deploy", "web") == deleted
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=10s")
    assert kubectl("get", "rs,pod", "-o", "name") == ""


def test_a_definition_goes_with_its_objects(kubectl: Kubectl) -> None:
    text = (DATA / "boats.yaml").read_text().replace("boat", "raft").replace("Boat", "Raft").replace("bt", "rf")
    text = text.replace("harbour.example.dev", "river.example.dev")
    kubectl("apply", "-f", "-", stdin=text)
    kubectl("wait", "--for=condition=Established", "crd/rafts.river.example.dev", "--timeout=10s")
    raft = {**boat(), "apiVersion": "river.example.dev/v1", "kind": "Raft"}
    assert kubectl("create", "-f", "-", stdin=raft) == "raft.river.example.dev/ada created\n"
    assert kubectl("delete", "-f", "-", stdin=text) == (
        'customresourcedefinition.apiextensions.k8s.io "rafts.river.example.dev" deleted\n'
    )
    assert kubectl.fails("get", "rafts.river.example.dev") == (
        'error: the server doesn\'t have a resource type "rafts" in group "river.example.dev"\n'
    )
