"""What a user sees of kubectl's commands that write objects; a cluster without a node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.kubectl import Kubectl, manifest, table, watches
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

DATA = Path(__file__).parent / "data"
BOAT = {
    "apiVersion": "harbour.example.dev/v1",
    "kind": "Boat",
    "metadata": {"name": "ada"},
    "spec": {"crew": 3, "berth": "north"},
}
HOW_TO_RESOLVE = """\
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, tls=True) as found:
        yield found


@pytest.fixture(scope="module")
def boats(cluster: DevCluster, home: Path) -> None:
    """A custom resource with status, scale, columns and a selectable field."""
    kubectl = Kubectl(cluster.kubeconfig, home)
    kubectl("apply", "-f", DATA / "boats.yaml")
    assert kubectl("wait", "--for=condition=Established", "crd/boats.harbour.example.dev", "--timeout=10s") == (
        "customresourcedefinition.apiextensions.k8s.io/boats.harbour.example.dev condition met\n"
    )


def config_map(name: str = "settings", labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels or {"app": "shop"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(**container: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "app:1", **container}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}},
        },
    }


def managers(obj: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["manager"], one["operation"]) for one in obj["metadata"]["managedFields"]]


def test_apply_on_the_client_side(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=config_map(color="red", size="3")) == "configmap/settings created\n"
    assert kubectl("apply", "-f", "-", stdin=config_map(color="red", size="3")) == "configmap/settings unchanged\n"
    # What the manifest no longer has goes; what somebody else added stays.
    kubectl("patch", "cm", "settings", "-p", '{"data": {"shape": "round"}}')
    assert kubectl("apply", "-f", "-", stdin=config_map(color="blue")) == "configmap/settings configured\n"
    assert kubectl.get("cm", "settings")["data"] == {"color": "blue", "shape": "round"}


def test_apply_of_what_was_created_without_it_warns(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=config_map(color="red"))
    out, err = kubectl.warns("apply", "-f", "-", stdin=config_map(color="blue"))
    assert out == "configmap/settings configured\n"
    assert err == (
        "Warning: resource configmaps/settings is missing the kubectl.kubernetes.io/last-applied-configuration "
        "annotation which is required by kubectl apply. kubectl apply should only be used on resources created "
        "declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched "
        "automatically.\n"
    )


def test_apply_on_the_server_side(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, stdin=config_map(color="red")) == "configmap/settings serverside-applied\n"
    version = kubectl.get("cm", "settings")["metadata"]["resourceVersion"]
    assert kubectl(*apply, stdin=config_map(color="red")) == "configmap/settings serverside-applied\n"
    assert kubectl.get("cm", "settings")["metadata"]["resourceVersion"] == version
    other = (*apply, "--field-manager=somebody")
    assert kubectl.fails(*other, stdin=config_map(color="green")) == (
        f'error: Apply failed with 1 conflict: conflict with "kubectl": .data.color\n{HOW_TO_RESOLVE}'
    )
    assert kubectl(*other, "--force-conflicts", stdin=config_map(color="green")) == (
        "configmap/settings serverside-applied\n"
    )
    found = kubectl.get("cm", "settings", "--show-managed-fields")
    assert found["data"] == {"color": "green"}
    assert managers(found) == [("kubectl", "Apply"), ("somebody", "Apply")]


def test_server_side_apply_takes_over_from_client_side_apply(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=config_map(color="red"))
    kubectl("apply", "--server-side", "-f", "-", stdin=config_map(color="red"))
    found = kubectl.get("cm", "settings", "--show-managed-fields")
    assert managers(found) == [("kubectl", "Apply"), ("kubectl-last-applied", "Apply")]
    # All fields are the one manager's now, so one that is left out goes.
    kubectl("apply", "--server-side", "-f", "-", stdin=config_map(size="3"))
    assert kubectl.get("cm", "settings")["data"] == {"size": "3"}


def test_several_conflicts_are_listed_by_manager(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    kubectl(*apply, "--field-manager=one", stdin=config_map(color="red", size="3"))
    kubectl("patch", "cm", "settings", "--field-manager=two", "-p", '{"data": {"size": "4"}}')
    assert kubectl.fails(*apply, stdin=config_map(color="blue", size="5")) == (
        'error: Apply failed with 2 conflicts: conflicts with "one":\n- .data.color\n'
        f'conflicts with "two" using v1:\n- .data.size\n{HOW_TO_RESOLVE}'
    )


def test_apply_with_pruning(kubectl: Kubectl) -> None:
    both = [config_map("a", color="red"), config_map("b", color="red")]
    prune = ("apply", "--prune", "-l", "app=shop", "--prune-allowlist=core/v1/ConfigMap", "-f", "-")
    kubectl("apply", "-f", "-", stdin=[*both, config_map("c", {"app": "other"}, color="red")])
    out, _ = kubectl.warns(*prune, stdin=both[:1])
    assert out == "configmap/a unchanged\nconfigmap/b pruned\n"
    assert kubectl("get", "cm", "a", "b", "c", "-o", "name", "--ignore-not-found") == "configmap/a\nconfigmap/c\n"


def test_apply_of_an_apply_set(kubectl: Kubectl) -> None:
    pruning = kubectl.within(KUBECTL_APPLYSET="true")
    apply = ("apply", "--prune", "--applyset=shop", "--namespace", kubectl.namespace, "-f", "-")
    both = [config_map("a", color="red"), config_map("b", color="red")]
    pruning.warns(*apply, stdin=both)
    out, _ = pruning.warns(*apply, stdin=both[1:])
    assert out == "configmap/b unchanged\nconfigmap/a pruned\n"


def test_apply_of_a_kustomization(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-k", DATA / "kustomized") == "configmap/dev-settings created\n"
    assert kubectl("get", "cm", "-l", "team=harbour", "-o", "name") == "configmap/dev-settings\n"
    assert kubectl("delete", "-k", DATA / "kustomized") == (
        f'configmap "dev-settings" deleted from {kubectl.namespace} namespace\n'
    )


def test_apply_of_a_custom_resource(kubectl: Kubectl, boats: None) -> None:
    assert kubectl("apply", "-f", "-", stdin=BOAT) == "boat.harbour.example.dev/ada created\n"
    assert kubectl("apply", "-f", "-", stdin=BOAT) == "boat.harbour.example.dev/ada unchanged\n"
    changed = {**BOAT, "spec": {"crew": 4}}
    assert kubectl("apply", "-f", "-", stdin=changed) == "boat.harbour.example.dev/ada configured\n"
    assert kubectl.get("boat", "ada")["spec"] == {"crew": 4}
    invalid = {**BOAT, "spec": {"crew": 33, "berth": "x" * 21}}
    assert kubectl.fails("apply", "-f", "-", stdin=invalid) == (
        'The Boat "ada" is invalid: \n'
        "* spec.berth: Too long: may not be more than 20 bytes\n"
        "* spec.crew: Invalid value: 33: spec.crew in body should be less than or equal to 20\n"
    )
    assert kubectl.fails("create", "-f", "-", stdin={**BOAT, "metadata": {"name": "b"}, "spec": {}}) == (
        'The Boat "b" is invalid: spec.crew: Required value\n'
    )


def test_unknown_fields_are_refused_or_warned_of(kubectl: Kubectl, boats: None) -> None:
    wrong = {**deployment(imagePullpolicy="Always"), "metadata": {"name": "wrong"}}
    wrong["spec"]["replica"] = 1
    problems = ('unknown field "spec.replica"', 'unknown field "spec.template.spec.containers[0].imagePullpolicy"')
    assert kubectl.fails("create", "-f", "-", stdin=wrong) == (
        'Error from server (BadRequest): error when creating "STDIN": Deployment in version "v1" cannot be '
        f"handled as a Deployment: strict decoding error: {', '.join(problems)}\n"
    )
    out, err = kubectl.warns("create", "--validate=warn", "-f", "-", stdin=wrong)
    assert (out, err) == ("deployment.apps/wrong created\n", f"Warning: {problems[0]}\nWarning: {problems[1]}\n")
    assert kubectl("create", "--validate=ignore", "--dry-run=server", "-f", "-", stdin=deployment(x=1)) == (
        "deployment.apps/web created (server dry run)\n"
    )
    sailing = {**BOAT, "spec": {"crew": 3, "sails": 2}}
    out, err = kubectl.warns("apply", "--validate=warn", "-f", "-", stdin=sailing)
    assert (out, err) == ("boat.harbour.example.dev/ada created\n", 'Warning: unknown field "spec.sails"\n')
    assert kubectl.fails(
        "replace", "-f", "-", stdin={**sailing, "metadata": kubectl.get("boat", "ada")["metadata"]}
    ) == (
        'Error from server (BadRequest): error when replacing "STDIN": Boat in version "v1" cannot be handled as a '
        'Boat: strict decoding error: unknown field "spec.sails"\n'
    )


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
    kubectl("create", "-f", "-", stdin=BOAT)
    refused = editing("s/crew:.*/crew:99/").run("edit", "boat", "ada").stderr
    assert "error: Edit cancelled, no valid changes were saved." in refused
    assert kubectl.get("boat", "ada")["spec"]["crew"] == 3


def test_diff(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=config_map(color="red", size="3"))
    assert kubectl("diff", "-f", "-", stdin=config_map(color="red", size="3")) == ""
    for way in ("--server-side=false",), ("--server-side", "--force-conflicts"):
        found = kubectl.run("diff", *way, "-f", "-", stdin=config_map(color="blue", size="3"))
        assert (found.returncode, found.stderr) == (1, "")
        changed = [line for line in found.stdout.splitlines() if line[:1] in "-+" and line[:3] not in ("---", "+++")]
        assert changed == ["-  color: red", "+  color: blue"]
    assert kubectl.get("cm", "settings")["data"]["color"] == "red"


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
    kubectl("create", "-f", "-", stdin=BOAT)
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
    kubectl("create", "-f", "-", stdin=deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))

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
    kubectl("create", "-f", "-", stdin={**BOAT, "status": {"aboard": 7}})
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
    kubectl("create", "-f", "-", stdin=deployment())
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
    kubectl("create", "-f", "-", stdin=deployment())
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
    kubectl("create", "-f", "-", stdin=deployment())
    assert (
        kubectl("expose", "deploy", "web", "--port=80", "--name=shop", "--cluster-ip=None") == "service/shop exposed\n"
    )
    rows = table(kubectl("get", "svc", "-o", "wide"))
    assert rows == [
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "SELECTOR"],
        ["shop", "ClusterIP", "None", "<none>", "80/TCP", "app=web"],
        ["solo", "ClusterIP", spec["clusterIP"], "<none>", "80/TCP", "app=solo"],
    ]


def test_delete(kubectl: Kubectl) -> None:
    names = ("a", "b", "c", "d", "e")
    kubectl("create", "-f", "-", stdin=[config_map(name, {"odd": str(name in "ace")}, color="red") for name in names])
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
    kubectl("create", "-f", "-", stdin=deployment())
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
        kubectl("create", "-f", "-", stdin=deployment())
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
    raft = {**BOAT, "apiVersion": "river.example.dev/v1", "kind": "Raft"}
    assert kubectl("create", "-f", "-", stdin=raft) == "raft.river.example.dev/ada created\n"
    assert kubectl("delete", "-f", "-", stdin=text) == (
        'customresourcedefinition.apiextensions.k8s.io "rafts.river.example.dev" deleted\n'
    )
    assert kubectl.fails("get", "rafts.river.example.dev") == (
        'error: the server doesn\'t have a resource type "rafts" in group "river.example.dev"\n'
    )
