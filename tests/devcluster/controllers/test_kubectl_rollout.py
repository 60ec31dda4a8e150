"""``kubectl rollout`` on what the Deployment controller writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.objects import annotations_of, key, section
from adapter_testing.controller_lab import eventually

pytestmark = pytest.mark.integration

DEPLOYMENTS = "deployments.apps"
REVISION = "deployment.kubernetes.io/revision"
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "main", "image": "i:1"}]},
        },
    },
}
KUBECTL = str(Path(sys.executable).parent / "kubectl")


def test_status_restart_history_and_undo(tmp_path):
    # Clients in Go send the credentials of a kubeconfig over TLS only.
    with DevCluster(node=False, tls=True) as cluster:

        def kubectl(*words):
            command = [KUBECTL, "--kubeconfig", str(cluster.kubeconfig), "rollout", *words]
            env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=env).stdout

        client = cluster.call(lambda: cluster.cluster.api.client("test"))

        def run_pods():
            for pod in client.list("pods", "default"):
                if section(pod, "status").get("phase") == "Pending":
                    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
                    patch = {"status": {"phase": "Running", "conditions": ready}}
                    client.patch("pods", *key(pod), patch, "status")
            return client.get(DEPLOYMENTS, "default", "d")["status"]

        async def roll_out(revision):
            def done():
                counts = run_pods()
                number = annotations_of(client.get(DEPLOYMENTS, "default", "d")).get(REVISION)
                return number == revision and counts.get("updatedReplicas") == counts.get("availableReplicas") == 2

            await eventually(done)

        cluster.call(lambda: client.create(DEPLOYMENTS, DEPLOYMENT))
        cluster.run(roll_out("1"))
        assert "successfully rolled out" in kubectl("status", "deployment/d", "--timeout=10s")
        kubectl("restart", "deployment/d")
        cluster.run(roll_out("2"))
        assert kubectl("history", "deployment/d").split()[-4:] == ["1", "<none>", "2", "<none>"]
        kubectl("undo", "deployment/d")
        cluster.run(roll_out("3"))
        assert "successfully rolled out" in kubectl("status", "deployment/d", "--timeout=10s")
        assert kubectl("history", "deployment/d").split()[-4:] == ["2", "<none>", "3", "<none>"]
