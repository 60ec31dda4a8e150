"""All controllers together."""

import pytest

from adapter_devcluster.controllers.start import start_controllers
from adapter_devcluster.objects import meta, section
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

DEPLOYMENTS = "deployments.apps"


def deployment():
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
    spec = {"containers": [{"name": "main", "image": "i:1"}], "volumes": [claim]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": spec},
        },
    }


def claim():
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "c", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def test_what_was_made_from_a_deployment_goes_with_it_and_the_rest_with_the_namespace():
    async def scene(lab):
        controllers = start_controllers(lab.api.client("controllers"), with_node=True, root_ca="PEM")
        lab.client.create("persistentvolumeclaims", claim())
        lab.client.create(DEPLOYMENTS, deployment())
        await eventually(lambda: len(lab.pods()) == 2)
        await eventually(lambda: section(lab.get("persistentvolumeclaims", "c"), "status")["phase"] == "Bound")
        assert lab.get("configmaps", "kube-root-ca.crt")["data"] == {"ca.crt": "PEM"}
        (replica_set,) = lab.client.list("replicasets.apps")
        lab.client.delete(DEPLOYMENTS, NAMESPACE, "d", propagation="Foreground")
        await eventually(lambda: lab.get(DEPLOYMENTS, "d") is None)
        assert lab.client.list("replicasets.apps") == lab.pods() == []
        lab.client.create(DEPLOYMENTS, deployment())
        await eventually(lambda: len(lab.pods()) == 2)
        (again,) = lab.client.list("replicasets.apps")
        assert meta(again)["name"] == meta(replica_set)["name"]
        lab.client.delete("namespaces", "", NAMESPACE)
        await eventually(lambda: lab.client.get("namespaces", "", NAMESPACE) is None)
        await eventually(lambda: not lab.client.list("persistentvolumes"))
        assert (
            lab.client.list(DEPLOYMENTS) == lab.client.list("pods") == lab.client.list("persistentvolumeclaims") == []
        )
        for controller in controllers:
            controller.stop()
        lab.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "quiet"}})
        await at_rest(lab)
        assert lab.client.list("serviceaccounts") == []

    play()(scene)
