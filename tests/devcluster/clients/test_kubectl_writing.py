"""What a user sees of kubectl's commands that create and change objects; a cluster without a node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.client_manifests import Manifest, boat, config_map, deployment
from adapter_testing.kubectl import Kubectl, manifest, table

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, tls=True) as found:
        yield found


def idle(**container: Any) -> Manifest:
    """Return a deployment of no pods."""
    return deployment(0, main={"name": "main", "image": "app:1", **container})


def test_create_by_flags(kubectl: Kubectl) -> None:
    assert kubectl("create", "cm", "a", "--from-literal=color=red") == "configmap/a created\n"
    assert kubectl.fails("create", "cm", "a") == ('error: failed to create configmap: configmaps "a" already exists\n')
    assert kubectl("create", "secret", "generic", "a", "--from-literal=key=value") == "secret/a created\n"
    assert kubectl.get("secret", "a")["data"] == {"key": "dmFsdWU="}
    assert kubectl("create", "sa", "a") == "serviceaccount/a created\n"
    assert kubectl("create", "quota", "a", "--hard=pods=1") == "resourcequota/a created\n"
    assert kubectl("create", "priorityclass", "urgent", "--value=1000", "--description=x") == (
        "priorityclass.scheduling.k8s.io/urgent created\n"
    )
    assert (
        kubectl("create", "ingress", "a", "--rule=shop.example.dev/=web:80") == "ingress.networking.k8s.io/a created\n"
    )
    assert kubectl("create", "cronjob", "a", "--image=app:1", "--schedule=@daily") == "cronjob.batch/a created\n"
    assert kubectl("create", "cm", "b", "--dry-run=server") == "configmap/b created (server dry run)\n"
    assert kubectl.fails("get", "cm", "b") == 'Error from server (NotFound): configmaps "b" not found\n'


def test_replace(kubectl: Kubectl) -> None:
    assert kubectl.fails("replace", "-f", "-", stdin=config_map(color="red")) == (
        'Error from server (NotFound): error when replacing "STDIN": configmaps "settings" not found\n'
    )
    kubectl("create", "-f", "-", stdin=config_map(color="red", size="3"))
    first = kubectl.get("cm", "settings")
    assert kubectl("replace", "-f", "-", stdin=config_map(color="blue")) == "configmap/settings replaced\n"
    assert kubectl.get("cm", "settings")["data"] == {"color": "blue"}
    assert kubectl.fails("replace", "-f", "-", stdin=first) == (
        'Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on configmaps '
        '"settings": the object has been modified; please apply your changes to the latest version and try again\n'
    )
    path = kubectl.home / "settings.yaml"
    path.write_text(manifest(config_map(color="green")))
    assert kubectl("replace", "--force", "-f", path) == (
        f'configmap "settings" deleted from {kubectl.namespace} namespace\nconfigmap/settings replaced\n'
    )
    assert kubectl.get("cm", "settings")["metadata"]["uid"] != first["metadata"]["uid"]


def test_edit(kubectl: Kubectl, boats: None) -> None:
    kubectl("create", "-f", "-", stdin=config_map(color="red"))

    def editing(script: str) -> Kubectl:
        return kubectl.within(KUBE_EDITOR=f"sed -i {script}")

    assert editing("s/red/violet/")("edit", "cm", "settings") == "configmap/settings edited\n"
    assert kubectl.get("cm", "settings")["data"] == {"color": "violet"}
    done = editing("s/violet/violet/").run("edit", "cm", "settings")
    assert (done.returncode, done.stderr) == (0, "Edit cancelled, no changes made.\n")
    kubectl("create", "-f", "-", stdin=boat(berth="north"))
    refused = editing("s/crew:.*/crew:99/").run("edit", "boat", "ada").stderr
    assert "error: Edit cancelled, no valid changes were saved." in refused
    assert kubectl.get("boat", "ada")["spec"]["crew"] == 3


def test_patch(kubectl: Kubectl, boats: None) -> None:
    kubectl("create", "-f", "-", stdin=config_map(color="red", size="3"))
    assert kubectl("patch", "cm", "settings", "-p", '{"data":{"color":"pink"}}') == "configmap/settings patched\n"
    assert kubectl("patch", "cm", "settings", "-p", '{"data":{"color":"pink"}}') == (
        "configmap/settings patched (no change)\n"
    )
    remove = ("patch", "cm", "settings", "--type=json", "-p", '[{"op":"remove","path":"/data/size"}]')
    assert kubectl(*remove) == "configmap/settings patched\n"
    assert kubectl.fails(*remove) == (
        "The request is invalid: the server rejected our request due to an error in our request\n"
    )
    kubectl("create", "-f", "-", stdin=boat(berth="north"))
    assert kubectl("patch", "boat", "ada", "--type=merge", "-p", '{"spec":{"berth":null}}') == (
        "boat.harbour.example.dev/ada patched\n"
    )
    assert kubectl.get("boat", "ada")["spec"] == {"crew": 3}
    assert kubectl.fails("patch", "boat", "ada", "-p", "{}") == (
        "error: application/strategic-merge-patch+json is not supported by harbour.example.dev/v1, Kind=Boat: the body "
        "of the request was in an unknown format - accepted media types include: application/json-patch+json, "
        "application/merge-patch+json, application/apply-patch+yaml\n"
    )


def test_a_strategic_patch_merges_lists_by_key(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=idle(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))

    def patched(**container: Any) -> list[dict[str, Any]]:
        spec = {"template": {"spec": {"containers": [{"name": "main", **container}]}}}
        kubectl("patch", "deploy", "web", "-p", json.dumps({"spec": spec}))
        found: list[dict[str, Any]] = kubectl.get("deploy", "web")["spec"]["template"]["spec"]["containers"][0]["env"]
        return found

    one = {"name": "A", "$patch": "delete"}
    assert patched(env=[one]) == [{"name": "B", "value": "2"}]
    assert patched(env=[{"name": "C", "value": "3"}]) == [{"name": "C", "value": "3"}, {"name": "B", "value": "2"}]
    assert patched(env=[{"$patch": "replace"}, {"name": "D", "value": "4"}]) == [{"name": "D", "value": "4"}]


def test_subresources(kubectl: Kubectl, boats: None) -> None:
    kubectl("create", "-f", "-", stdin={**boat(berth="north"), "status": {"aboard": 7}})
    status = {"status": {"aboard": 2, "conditions": [{"type": "Ready", "status": "True"}]}, "spec": {"crew": 9}}
    assert kubectl("patch", "boat", "ada", "--subresource=status", "--type=merge", "-p", json.dumps(status)) == (
        "boat.harbour.example.dev/ada patched\n"
    )
    found = kubectl.get("boat", "ada")
    assert (found["spec"]["crew"], found["status"]) == (3, status["status"])
    assert table(kubectl("get", "boat", "ada", "--subresource=status")) == [
        ["NAME", "CREW", "READY"],
        ["ada", "3", "True"],
    ]
    assert kubectl.get("boat", "ada", "--subresource=scale")["status"] == {"replicas": 2}
    assert kubectl("scale", "boat/ada", "--replicas=5") == "boat.harbour.example.dev/ada scaled\n"
    assert kubectl.get("boat", "ada")["spec"]["crew"] == 5
    assert kubectl.fails("scale", "boat/ada", "--replicas=5", "--current-replicas=1") == (
        "error: Expected replicas to be 1, was 5\n"
    )
    assert kubectl.fails("scale", "boat/ada", "--replicas=21") == (
        'The Boat "ada" is invalid: spec.crew: Invalid value: 21: spec.crew in body should be less than or equal to '
        "20\n"
    )


def test_scale_and_autoscale_a_deployment(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=idle())
    assert kubectl("scale", "deploy/web", "--replicas=2") == "deployment.apps/web scaled\n"
    assert kubectl.get("deploy", "web")["spec"]["replicas"] == 2
    assert kubectl("autoscale", "deploy/web", "--min=1", "--max=3", "--cpu=50%") == (
        "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    )
    assert table(kubectl("get", "hpa")) == [
        ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS"],
        ["web", "Deployment/web", "cpu: <unknown>/50%", "1", "3", "0"],
    ]


def test_label_and_annotate(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=config_map(color="red"))
    assert kubectl("label", "cm", "settings", "tier=front") == "configmap/settings labeled\n"
    assert kubectl("label", "cm", "settings", "tier=front") == "configmap/settings not labeled\n"
    assert kubectl.fails("label", "cm", "settings", "tier=back") == (
        "error: 'tier' already has a value (front), and --overwrite is false\n"
    )
    assert kubectl("label", "--overwrite", "cm", "settings", "tier=back") == "configmap/settings labeled\n"
    assert kubectl("get", "cm", "-L", "tier", "-l", "tier=back").split()[-1] == "back"
    assert kubectl("label", "cm", "settings", "tier-") == "configmap/settings unlabeled\n"
    assert kubectl("annotate", "cm", "settings", "note=hello there") == "configmap/settings annotated\n"
    assert kubectl.get("cm", "settings")["metadata"]["annotations"] == {"note": "hello there"}
    assert kubectl("annotate", "cm", "settings", "note-") == "configmap/settings annotated\n"
    refused = kubectl.fails("label", "cm", "settings", "tier=not/valid")
    assert refused.startswith('error: invalid label value: "tier=not/valid"')


def test_set_changes_a_template(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=idle())
    kubectl("create", "sa", "robot")
    assert kubectl("set", "image", "deploy/web", "main=app:2") == "deployment.apps/web image updated\n"
    assert kubectl("set", "env", "deploy/web", "COLOR=blue") == "deployment.apps/web env updated\n"
    assert kubectl("set", "resources", "deploy/web", "--limits=cpu=100m,memory=64Mi") == (
        "deployment.apps/web resource requirements updated\n"
    )
    assert kubectl("set", "serviceaccount", "deploy/web", "robot") == "deployment.apps/web serviceaccount updated\n"
    spec = kubectl.get("deploy", "web")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "robot"
    container = spec["containers"][0]
    assert (container["image"], container["env"]) == ("app:2", [{"name": "COLOR", "value": "blue"}])
    assert container["resources"] == {"limits": {"cpu": "100m", "memory": "64Mi"}}
    assert kubectl("set", "env", "deploy/web", "--list") == "# Deployment web, container main\nCOLOR=blue\n"
    assert kubectl.fails("set", "image", "deploy/web", "nope=app:2") == 'error: unable to find container named "nope"\n'


def test_run_and_expose(kubectl: Kubectl) -> None:
    assert kubectl("run", "solo", "--image=app:1", "--port=8080", "--labels=app=solo", "--", "serve") == (
        "pod/solo created\n"
    )
    assert kubectl("expose", "pod", "solo", "--port=80", "--target-port=8080") == "service/solo exposed\n"
    spec = kubectl.get("svc", "solo")["spec"]
    assert (spec["selector"], spec["ports"]) == ({"app": "solo"}, [{"port": 80, "protocol": "TCP", "targetPort": 8080}])
    kubectl("create", "-f", "-", stdin=idle())
    assert (
        kubectl("expose", "deploy", "web", "--port=80", "--name=shop", "--cluster-ip=None") == "service/shop exposed\n"
    )
    rows = table(kubectl("get", "svc", "-o", "wide"))
    assert rows == [
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "SELECTOR"],
        ["shop", "ClusterIP", "None", "<none>", "80/TCP", "app=web"],
        ["solo", "ClusterIP", spec["clusterIP"], "<none>", "80/TCP", "app=solo"],
    ]
