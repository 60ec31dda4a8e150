"""What a user sees of kubectl's commands that read; a cluster without a node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.client_manifests import boat, config_map
from adapter_testing.kubectl import Kubectl, table, tables, watches
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

RIGGED = (("ada", "sloop", "north"), ("bea", "ketch", "south"))
READY = {"aboard": 2, "conditions": [{"type": "Ready", "status": "True", "reason": "AllAboard"}]}


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, tls=True) as found:
        yield found


@pytest.fixture
def fleet(kubectl: Kubectl, boats: None) -> None:
    """Three boats, of which the first is ready."""
    cargo = [{"name": "tea", "tons": 2}]
    sloop, ketch = (boat(name, labels={"rig": rig}, berth=berth, cargo=cargo) for name, rig, berth in RIGGED)
    kubectl("create", "-f", "-", stdin=[sloop, ketch, boat("cleo", berth="north")])
    kubectl("patch", "boat", "ada", "--subresource=status", "--type=merge", "-p", json.dumps({"status": READY}))


def test_columns_of_a_custom_resource(kubectl: Kubectl, fleet: None) -> None:
    assert table(kubectl("get", "boats")) == [
        ["NAME", "CREW", "READY"],
        ["ada", "3", "True"],
        ["bea", "3", ""],
        ["cleo", "3", ""],
    ]
    assert table(kubectl("get", "bt", "-o", "wide", "--show-labels")) == [
        ["NAME", "CREW", "READY", "BERTH", "LABELS"],
        ["ada", "3", "True", "north", "rig=sloop"],
        ["bea", "3", "", "south", "rig=ketch"],
        ["cleo", "3", "", "north", "<none>"],
    ]
    rows = table(kubectl("get", "boat.v1.harbour.example.dev", "-A", "-L", "rig", "--no-headers=false"))
    assert [row for row in rows if row[0] in ("NAMESPACE", kubectl.namespace)] == [
        ["NAMESPACE", "NAME", "CREW", "READY", "RIG"],
        [kubectl.namespace, "ada", "3", "True", "sloop"],
        [kubectl.namespace, "bea", "3", "", "ketch"],
        [kubectl.namespace, "cleo", "3", "", ""],
    ]
    assert kubectl("get", "boats", "--sort-by=.spec.berth", "-o", "name", "-l", "rig").split() == [
        "boat.harbour.example.dev/ada",
        "boat.harbour.example.dev/bea",
    ]


def test_selectors(kubectl: Kubectl, fleet: None) -> None:
    def names(*how: str) -> list[str]:
        return [line.partition("/")[2] for line in kubectl("get", "boats", "-o", "name", *how).split()]

    assert names("-l", "rig=sloop") == ["ada"]
    assert names("-l", "rig!=sloop") == ["bea", "cleo"]
    assert names("-l", "rig in (sloop, ketch)") == ["ada", "bea"]
    assert names("-l", "!rig") == ["cleo"]
    assert names("--field-selector", "spec.berth=north") == ["ada", "cleo"]
    assert names("--field-selector", "spec.berth!=north,metadata.name!=ada") == ["bea"]
    assert names("--chunk-size=1") == ["ada", "bea", "cleo"]
    assert kubectl.fails("get", "boats", "--field-selector", "spec.crew=3") == (
        'Error from server (BadRequest): Unable to find "harbour.example.dev/v1, Resource=boats" that match label '
        'selector "", field selector "spec.crew=3": field label not supported: spec.crew\n'
    )
    assert kubectl.fails("get", "boats", "-l", "a=b=c").startswith("Error from server (BadRequest): Unable to find ")


def test_several_kinds_and_categories(kubectl: Kubectl, fleet: None) -> None:
    kubectl("create", "-f", "-", stdin=config_map("a", color="red"))
    kubectl("create", "service", "clusterip", "a", "--tcp=80", "--clusterip=None")
    boats = [["NAME", "CREW", "READY"], ["boat.harbour.example.dev/ada", "3", "True"]]
    config_maps = [["NAME", "DATA"], ["configmap/a", "1"]]
    services = [
        ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)"],
        ["service/a", "ClusterIP", "None", "<none>", "80/TCP"],
    ]
    assert tables(kubectl("get", "cm/a", "bt/ada")) == [config_maps, boats]
    assert tables(kubectl("get", "svc,bt", "--field-selector=metadata.name!=bea,metadata.name!=cleo")) == [
        services,
        boats,
    ]
    assert [part[0] for part in tables(kubectl("get", "all"))] == [services[0], boats[0]]
    assert kubectl("get", "harbour", "-o", "name").split() == [
        f"boat.harbour.example.dev/{one}" for one in ("ada", "bea", "cleo")
    ]
    assert kubectl.warns("get", "po")[1] == f"No resources found in {kubectl.namespace} namespace.\n"
    assert kubectl.fails("get", "nothing") == 'error: the server doesn\'t have a resource type "nothing"\n'
    missing = kubectl.run("get", "bt", "ada", "zoe", "-o", "name")
    assert (missing.returncode, missing.stdout) == (1, "boat.harbour.example.dev/ada\n")
    assert missing.stderr == 'Error from server (NotFound): boats.harbour.example.dev "zoe" not found\n'


def test_output_formats(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=config_map("a", color="red"))
    found = json.loads(kubectl("get", "cm", "a", "-o", "json"))
    assert kubectl.get("cm", "a") == found
    assert list(found) == ["apiVersion", "data", "kind", "metadata"]
    assert sorted(found["metadata"]) == ["creationTimestamp", "labels", "name", "namespace", "resourceVersion", "uid"]
    many = json.loads(kubectl("get", "cm", "-o", "json"))
    assert (many["apiVersion"], many["kind"], many["metadata"]) == ("v1", "List", {"resourceVersion": ""})
    assert {(one["apiVersion"], one["kind"]) for one in many["items"]} == {("v1", "ConfigMap")}
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.color} {.metadata.name}") == "red a"
    assert kubectl("get", "cm", "a", "-o", "jsonpath-as-json={.data}") == '[\n    {\n        "color": "red"\n    }\n]\n'
    assert kubectl("get", "cm", "a", "-o", "go-template={{.data.color}}") == "red"
    assert kubectl("get", "cm", "a", "-o", "custom-columns=N:.metadata.name,C:.data.color,X:.data.x") == (
        "N     C     X\na     red   <none>\n"
    )
    assert kubectl("get", "cm", "a", "-o", "name") == "configmap/a\n"


def test_watch(kubectl: Kubectl, fleet: None) -> None:
    watch = kubectl.start("get", "boats", "-w", "--output-watch-events", "--request-timeout=30s")
    stdout = watch.stdout
    assert stdout is not None
    try:
        first = [stdout.readline().split() for _ in range(4)]
        assert [line[:2] for line in first] == [
            ["EVENT", "NAME"],
            ["ADDED", "ada"],
            ["ADDED", "bea"],
            ["ADDED", "cleo"],
        ]
        kubectl("scale", "boat/bea", "--replicas=7")
        assert stdout.readline().split()[:3] == ["MODIFIED", "bea", "7"]
        kubectl("delete", "boat", "cleo")
        assert stdout.readline().split()[:3] == ["DELETED", "cleo", "3"]
    finally:
        watch.terminate()
        watch.communicate(timeout=10)


def test_watch_of_one_object(cluster: DevCluster, kubectl: Kubectl, fleet: None) -> None:
    watch = kubectl.start("get", "boat", "ada", "-w", "--watch-only", "--no-headers", "--request-timeout=30s")
    stdout = watch.stdout
    assert stdout is not None
    path = f"/apis/harbour.example.dev/v1/namespaces/{kubectl.namespace}/boats"
    try:
        until(lambda: watches(cluster, path) == 1)
        kubectl("scale", "boat/bea", "--replicas=7")
        kubectl("scale", "boat/ada", "--replicas=8")
        assert stdout.readline().split()[:3] == ["ada", "8", "True"]
    finally:
        watch.terminate()
        watch.communicate(timeout=10)


def test_wait(kubectl: Kubectl, fleet: None) -> None:
    assert kubectl("wait", "--for=condition=Ready", "boat/ada", "--timeout=5s") == (
        "boat.harbour.example.dev/ada condition met\n"
    )
    assert kubectl("wait", "--for=jsonpath={.status.aboard}=2", "boat/ada", "--timeout=5s") == (
        "boat.harbour.example.dev/ada condition met\n"
    )
    assert kubectl("wait", '--for=jsonpath={.status.conditions[?(@.type=="Ready")].reason}=AllAboard', "boat/ada") == (
        "boat.harbour.example.dev/ada condition met\n"
    )
    late = kubectl.run("wait", "--for=condition=Ready", "boat/bea", "--timeout=1s")
    assert (late.returncode, late.stdout) == (1, "")
    assert late.stderr.splitlines()[-1] == "error: timed out waiting for the condition on boats/bea"
    assert kubectl.fails("wait", "--for=condition=Ready", "boat/zoe", "--timeout=1s") == (
        'Error from server (NotFound): boats.harbour.example.dev "zoe" not found\n'
    )
    waiting = kubectl.start("wait", "--for=create", "boat/zoe", "--timeout=20s")
    kubectl("create", "-f", "-", stdin=boat("zoe"))
    assert (waiting.communicate(timeout=30)[0], waiting.returncode) == (
        "boat.harbour.example.dev/zoe condition met\n",
        0,
    )
    waiting = kubectl.start("wait", "--for=condition=Ready", "boats", "-l", "!rig", "--timeout=20s")
    for name in ("cleo", "zoe"):
        kubectl("patch", "boat", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": READY}))
    assert sorted(waiting.communicate(timeout=30)[0].splitlines()) == [
        "boat.harbour.example.dev/cleo condition met",
        "boat.harbour.example.dev/zoe condition met",
    ]


def test_describe_a_config_map(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin={**config_map("a", color="red"), "binaryData": {"raw": "AAEC"}})
    assert kubectl("describe", "cm", "a") == (
        f"Name:         a\nNamespace:    {kubectl.namespace}\nLabels:       app=shop\nAnnotations:  <none>\n"
        "\nData\n====\ncolor:\n----\nred\n\n"
        "\nBinaryData\n====\nraw: 3 bytes\n\nEvents:  <none>\n"
    )


def test_describe_a_custom_resource(kubectl: Kubectl, fleet: None) -> None:
    found = kubectl.get("boat", "ada")["metadata"]
    assert kubectl("describe", "boat", "ada") == (
        f"Name:         ada\nNamespace:    {kubectl.namespace}\nLabels:       rig=sloop\nAnnotations:  <none>\n"
        "API Version:  harbour.example.dev/v1\nKind:         Boat\nMetadata:\n"
        f"  Creation Timestamp:  {found['creationTimestamp']}\n  Generation:          1\n"
        f"  Resource Version:    {found['resourceVersion']}\n  UID:                 {found['uid']}\n"
        "Spec:\n  Berth:  north\n  Cargo:\n    Name:  tea\n    Tons:  2\n  Crew:    3\n"
        "Status:\n  Aboard:  2\n  Conditions:\n    Reason:  AllAboard\n    Status:  True\n    Type:    Ready\n"
        "Events:      <none>\n"
    )


def test_events(kubectl: Kubectl, fleet: None) -> None:
    about = kubectl.get("boat", "ada")
    reference = {
        "apiVersion": about["apiVersion"],
        "kind": "Boat",
        "name": "ada",
        "namespace": kubectl.namespace,
        "uid": about["metadata"]["uid"],
    }
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "ada."},
        "involvedObject": reference,
        "type": "Warning",
        "reason": "Aground",
        "message": "The boat has run aground.",
        "source": {"component": "harbour-master"},
        "count": 3,
        "firstTimestamp": about["metadata"]["creationTimestamp"],
        "lastTimestamp": about["metadata"]["creationTimestamp"],
    }
    kubectl("create", "-f", "-", stdin=event)
    row = ["Warning", "Aground", "boat/ada", "The boat has run aground."]
    assert table(kubectl("get", "events")) == [["TYPE", "REASON", "OBJECT", "MESSAGE"], row]
    assert table(kubectl("events", "--for", "boat/ada"))[1] == [*row[:2], "Boat/ada", row[3]]
    assert table(kubectl("events", "--types=Warning"))[1] == [*row[:2], "Boat/ada", row[3]]
    assert (
        kubectl("get", "events", "--field-selector", "reason=Aground,involvedObject.name=ada", "-o", "name").count("\n")
        == 1
    )
    assert kubectl.warns("get", "events", "--field-selector", "type=Normal")[0] == ""
    described = kubectl("describe", "boat", "ada")
    assert described.splitlines()[-1].split(None, 4)[:2] == ["Warning", "Aground"]
    assert described.endswith("harbour-master  The boat has run aground.\n")


def test_explain(kubectl: Kubectl, boats: None) -> None:
    assert kubectl("explain", "boats.spec") == (
        "GROUP:      harbour.example.dev\nKIND:       Boat\nVERSION:    v1\n\nFIELD: spec <Object>\n\n\n"
        "DESCRIPTION:\n    What the boat is to be.\n    \nFIELDS:\n"
        "  berth\t<string>\n    <no description>\n\n"
        "  cargo\t<[]Object>\n    <no description>\n\n"
        "  crew\t<integer> -required-\n    How many sail it.\n\n\n"
    )
    assert kubectl("explain", "boats.spec.cargo", "--recursive").endswith(
        "FIELDS:\n  name\t<string>\n  tons\t<integer>\n\n"
    )
    assert kubectl("explain", "deployment.spec.strategy.type") == (
        "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: type <string>\n\n\n"
        'DESCRIPTION:\n    Type of deployment. Can be "Recreate" or "RollingUpdate". Default is\n'
        "    RollingUpdate.\n    \n\n"
    )
    assert "\n    template\t<PodTemplateSpec> -required-\n" in kubectl("explain", "jobs", "--recursive")
    assert kubectl("explain", "pods.spec.containers.resources.limits").startswith("KIND:       Pod\nVERSION:    v1\n")
    assert kubectl.run("explain", "boats.spec.nothing").stderr == 'error: field "nothing" does not exist\n'


def test_what_is_served(kubectl: Kubectl, boats: None) -> None:
    rows = {row[0]: row[1:] for row in table(kubectl("api-resources"))}
    assert rows["boats"] == ["bt", "harbour.example.dev/v1", "true", "Boat"]
    assert rows["namespaces"] == ["ns", "v1", "false", "Namespace"]
    assert rows["deployments"] == ["deploy", "apps/v1", "true", "Deployment"]
    wide = table(kubectl("api-resources", "--api-group=harbour.example.dev", "-o", "wide"))
    assert wide == [
        ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"],
        [
            "boats",
            "bt",
            "harbour.example.dev/v1",
            "true",
            "Boat",
            "create,delete,deletecollection,get,list,patch,update,watch",
            "all,harbour",
        ],
    ]
    assert {"v1", "apps/v1", "batch/v1", "harbour.example.dev/v1"} <= set(kubectl("api-versions").split())
    found = json.loads(kubectl("version", "-o", "json"))
    assert (found["serverVersion"]["major"], found["serverVersion"]["minor"]) == ("1", "36")
    server = json.loads(kubectl("config", "view", "-o", "json"))["clusters"][0]["cluster"]["server"]
    assert kubectl("cluster-info").splitlines()[0] == f"Kubernetes control plane is running at {server}"


def test_raw_requests(kubectl: Kubectl) -> None:
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert json.loads(kubectl("get", "--raw", "/version"))["gitVersion"].startswith("v1.36.")
    kubectl("create", "-f", "-", stdin=config_map("a", color="red"))
    path = f"/api/v1/namespaces/{kubectl.namespace}/configmaps/a"
    assert json.loads(kubectl("get", "--raw", path))["data"] == {"color": "red"}
    assert json.loads(kubectl("delete", "--raw", path))["status"] == "Success"
    assert (
        kubectl.fails("get", "--raw", "/nope")
        == "Error from server (NotFound): the server could not find the requested resource\n"
    )


def test_rights(kubectl: Kubectl, boats: None) -> None:
    kubectl("create", "sa", "robot")
    robot = f"--as=system:serviceaccount:{kubectl.namespace}:robot"
    assert kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert kubectl.run("auth", "can-i", "list", "secrets", robot).stdout == "no\n"
    assert kubectl.fails("get", "boats", robot) == (
        'Error from server (Forbidden): boats.harbour.example.dev is forbidden: User "system:serviceaccount:'
        f'{kubectl.namespace}:robot" cannot list resource "boats" in API group "harbour.example.dev" in the namespace '
        f'"{kubectl.namespace}"\n'
    )
    kubectl(
        "create", "role", "sailor", "--verb=get,list", "--resource=boats.harbour.example.dev", "--resource-name=ada"
    )
    kubectl("create", "rolebinding", "sailor", "--role=sailor", f"--serviceaccount={kubectl.namespace}:robot")
    kubectl("create", "-f", "-", stdin=[boat("ada"), boat("bea")])
    assert kubectl("get", "boat", "ada", "-o", "name", robot) == "boat.harbour.example.dev/ada\n"
    assert kubectl("auth", "can-i", "get", "boats/ada", robot) == "yes\n"
    assert kubectl.run("auth", "can-i", "get", "boats/bea", robot).stdout == "no\n"
    # A list by name counts as one of that object.
    assert (
        kubectl("get", "boats", "--field-selector=metadata.name=ada", "-o", "name", robot)
        == "boat.harbour.example.dev/ada\n"
    )
    assert kubectl.run("get", "boats", "--field-selector=metadata.name=bea", robot).returncode == 1
    rows = table(kubectl("auth", "can-i", "--list", robot))
    assert rows[0] == ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]
    assert ["boats.harbour.example.dev", "[]", "[ada]", "[get list]"] in rows


def test_who_am_i(kubectl: Kubectl) -> None:
    assert kubectl("auth", "whoami") == (
        "ATTRIBUTE   VALUE\nUsername    devcluster-admin\nGroups      [system:masters system:authenticated]\n"
    )
    assert kubectl("auth", "whoami", "--as=jane", "--as-group=dev") == (
        "ATTRIBUTE   VALUE\nUsername    jane\nGroups      [dev system:authenticated]\n"
    )
    kubectl("create", "sa", "robot")
    token = kubectl("create", "token", "robot", "--duration=10m").strip()
    found = table(kubectl("auth", "whoami", f"--token={token}", "--kubeconfig", anonymous(kubectl)))
    assert found[1] == ["Username", f"system:serviceaccount:{kubectl.namespace}:robot"]
    assert kubectl.fails("create", "token", "robot", "--duration=1m") == (
        'error: failed to create token: TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: '
        "Invalid value: 60: may not specify a duration less than 10 minutes\n"
    )
    refused = kubectl.fails("get", "cm", "--token=nonsense", "--kubeconfig", anonymous(kubectl))
    assert refused == "error: You must be logged in to the server (Unauthorized)\n"


def anonymous(kubectl: Kubectl) -> Path:
    """A kubeconfig that names the cluster and no user."""
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    path = kubectl.kubeconfig.with_name("anonymous")
    path.write_text(json.dumps({**config, "users": [{"name": config["users"][0]["name"], "user": {}}]}))
    return path
