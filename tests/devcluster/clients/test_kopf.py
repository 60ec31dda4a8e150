"""Operators on Kopf, run as their users run them, on a cluster that is now and then unwell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.serving.faults import CallFault, FaultPlan, Match
from adapter_testing.client_manifests import boat, config_map
from adapter_testing.kubectl import Kubectl, table
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

DATA = Path(__file__).parent / "data"
BOATS = "boats.harbour.example.dev"
TIMEOUT = "--timeout=30s"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, tls=True) as found:
        yield found


class Operator:
    """A running ``kopf run``; what it says is kept in a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, seconds: float = 30.0) -> None:
        """Wait until something is said. Raises TimeoutError."""
        until(lambda: text in self.said, lambda: self.said, seconds)


@contextmanager
def operator(kubectl: Kubectl, file: str) -> Iterator[Operator]:
    log = kubectl.kubeconfig.with_name("operator.log")
    kopf = Path(sys.executable).with_name("kopf")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(kopf), "run", "--standalone", "-n", kubectl.namespace, str(DATA / file)],
            env={"KUBECONFIG": str(kubectl.kubeconfig), "HOME": str(kubectl.home), "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    found = Operator(process, log)
    try:
        yield found
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def aboard(kubectl: Kubectl, name: str, count: int) -> None:
    """Wait until the operator has written how many are aboard."""
    kubectl("wait", f"--for=jsonpath={{.status.aboard}}={count}", f"boat/{name}", TIMEOUT)


def crew(cluster: DevCluster, kubectl: Kubectl, name: str, count: int) -> None:
    """Change a boat's crew without a request to the server."""
    client = cluster.cluster.api.client("test")
    cluster.call(lambda: client.patch(BOATS, kubectl.namespace, name, {"spec": {"crew": count}}))


def stored(cluster: DevCluster, kubectl: Kubectl, name: str) -> Any:
    """Return a boat without a request to the server."""
    client = cluster.cluster.api.client("test")
    return cluster.call(lambda: client.get(BOATS, kubectl.namespace, name))


def test_create_update_and_delete(kubectl: Kubectl, boats: None) -> None:
    with operator(kubectl, "crewing_operator.py") as found:
        kubectl("apply", "-f", "-", stdin=boat("ada"))
        aboard(kubectl, "ada", 3)
        until(lambda: "kopf.zalando.org/last-handled-configuration" in kubectl("get", "boat", "ada", "-o", "yaml"))
        metadata = kubectl.get("boat", "ada")["metadata"]
        assert metadata["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        assert metadata["generation"] == 1
        assert json.loads(metadata["annotations"]["kopf.zalando.org/last-handled-configuration"]) == {
            "spec": {"crew": 3}
        }

        kubectl("patch", "boat", "ada", "--type=merge", "-p", '{"spec": {"crew": 5}}')
        aboard(kubectl, "ada", 5)
        assert table(kubectl("get", "boats"))[1] == ["ada", "5", "True"]
        assert kubectl.get("boat", "ada")["status"]["conditions"][0]["reason"] == "From3To5"

        assert (
            kubectl("delete", "boat", "ada")
            == f'boat.harbour.example.dev "ada" deleted from {kubectl.namespace} namespace\n'
        )
        assert kubectl.run("get", "boat", "ada").returncode == 1
        found.wait_for("the crew has left ada")
        posted = (
            "get",
            "events",
            "--sort-by=.firstTimestamp",
            "--field-selector=involvedObject.uid=" + metadata["uid"],
        )
        until(lambda: "Waiting" in kubectl.run(*posted).stdout, lambda: found.said)
        assert sorted(table(kubectl(*posted))[1:]) == [
            ["Normal", "Launched", "boat/ada", "3 are aboard."],
            ["Warning", "Waiting", "boat/ada", "The crew is still aboard."],
        ]
    assert found.process.returncode == 0
    assert "Traceback" not in found.said


def test_what_was_created_and_deleted_in_its_absence(kubectl: Kubectl, boats: None) -> None:
    kubectl("apply", "-f", "-", stdin=[boat("ada"), boat("bea", crew=4)])
    with operator(kubectl, "crewing_operator.py"):
        aboard(kubectl, "ada", 3)
        aboard(kubectl, "bea", 4)
        until(lambda: kubectl("get", "boats", "-o", "yaml").count("last-handled-configuration") == 2)
    kubectl("delete", "boat", "ada", "--wait=false")
    kubectl("scale", "boat/bea", "--replicas=6")
    assert kubectl.get("boat", "ada")["metadata"]["deletionTimestamp"]
    with operator(kubectl, "crewing_operator.py"):
        kubectl("wait", "--for=delete", "boat/ada", TIMEOUT)
        aboard(kubectl, "bea", 6)
        kubectl("delete", "boat", "bea")


def test_it_survives_an_unwell_server(cluster: DevCluster, kubectl: Kubectl, boats: None) -> None:
    with operator(kubectl, "crewing_operator.py") as found:
        kubectl("apply", "-f", "-", stdin=boat("ada"))
        aboard(kubectl, "ada", 3)

        assert cluster.cut_watches(Match(resources=(BOATS,), namespaces=(kubectl.namespace,))) >= 1
        crew(cluster, kubectl, "ada", 4)
        aboard(kubectl, "ada", 4)

        # The watch begins anew where history no longer is: 410, and a new list.
        crew(cluster, kubectl, "ada", 5)
        cluster.forget_history()
        cluster.cut_watches()
        crew(cluster, kubectl, "ada", 6)
        cluster.forget_history()
        aboard(kubectl, "ada", 6)

        before = found.said.count("Handler 'change_crew/spec.crew' succeeded")
        cluster.pause()
        try:
            crew(cluster, kubectl, "ada", 7)
            # What it writes hangs, and arrives once the server goes on.
            until(lambda: found.said.count("Handler 'change_crew/spec.crew' succeeded") > before, lambda: found.said)
            assert stored(cluster, kubectl, "ada")["status"]["aboard"] == 6
        finally:
            cluster.resume()
        aboard(kubectl, "ada", 7)

        try:
            patches = {"verbs": ("patch",), "resources": (BOATS, f"{BOATS}/status")}
            cluster.set_faults(
                FaultPlan(calls=(CallFault(**patches, nth=1, code=503), CallFault(**patches, nth=2, code=500)))
            )
            crew(cluster, kubectl, "ada", 8)
            aboard(kubectl, "ada", 8)
            assert cluster.call(lambda: cluster.cluster.faults.hits) == [1, 1]
        finally:
            cluster.set_faults(FaultPlan())
        kubectl("delete", "boat", "ada")


def test_a_daemon_and_raw_events(kubectl: Kubectl, boats: None) -> None:
    noted = config_map("c", labels={"log": "x"}, word="1")
    kubectl("create", "-f", "-", stdin=noted)
    with operator(kubectl, "rowing_operator.py") as found:
        kubectl("create", "-f", "-", stdin=boat("ada"))
        aboard(kubectl, "ada", 3)
        found.wait_for("NOTED None c 1")
        kubectl("patch", "cm", "c", "-p", '{"data": {"word": "2"}}')
        found.wait_for("NOTED MODIFIED c 2")
        kubectl("delete", "cm", "c")
        found.wait_for("NOTED DELETED c 2")
        kubectl("create", "-f", "-", stdin=noted)
        found.wait_for("NOTED ADDED c 1")
        # The finalizer holds the boat until the daemon has ended.
        kubectl("delete", "boat", "ada")
        assert kubectl.run("get", "boat", "ada").returncode == 1
    assert found.process.returncode == 0


def test_a_definition_that_comes_and_goes_while_it_runs(cluster: DevCluster, kubectl: Kubectl) -> None:
    definition = (DATA / "boats.yaml").read_text().replace("boat", "raft").replace("Boat", "Raft")
    definition = definition.replace("harbour.example.dev", "river.example.dev").replace("bt", "rf")
    raft = {**boat("ada"), "apiVersion": "river.example.dev/v1", "kind": "Raft"}
    with operator(kubectl, "rafting_operator.py") as found:
        found.wait_for("Initial authentication has finished")
        for _ in range(2):
            kubectl("create", "-f", "-", stdin=definition)
            kubectl("wait", "--for=condition=Established", "crd/rafts.river.example.dev", TIMEOUT)
            kubectl("create", "-f", "-", stdin=raft)
            kubectl("wait", "--for=jsonpath={.status.aboard}=3", "raft/ada", TIMEOUT)
            kubectl("delete", "crd", "rafts.river.example.dev")
            path = f"/apis/river.example.dev/v1/namespaces/{kubectl.namespace}/rafts"
            assert kubectl.run("get", "--raw", path).returncode == 1
    assert found.process.returncode == 0
