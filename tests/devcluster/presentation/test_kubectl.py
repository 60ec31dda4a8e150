"""What kubectl and Helm make of the server: real binaries, a real cluster without a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter_devcluster.devcluster import DevCluster

pytestmark = pytest.mark.integration

KUBECTL = Path(sys.executable).parent / "kubectl"
CRDS = Path(__file__).parents[3] / "crds"
Kubectl = Callable[..., str]

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.shop.example.dev"},
    "spec": {
        "group": "shop.example.dev",
        "scope": "Namespaced",
        "names": {
            "plural": "widgets",
            "singular": "widget",
            "kind": "Widget",
            "shortNames": ["wd"],
            "categories": ["shop"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A thing in the shop.",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "description": "What it is to be.",
                                "properties": {
                                    "size": {"type": "integer", "description": "How big."},
                                    "color": {"type": "string"},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {
                "containers": [{"name": "a", "image": "app:1"}, {"name": "b", "image": "side:1"}],
            },
        },
    },
}


EXPLAINED = """
GROUP: shop.example.dev
KIND: Widget
VERSION: v1
FIELD: spec <Object>
DESCRIPTION: What it is to be.
FIELDS:
  color <string> <no description>
  size <integer> How big.
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    # Clients in Go send the credentials of a kubeconfig over TLS only.
    with DevCluster(node=False, tls=True) as found:
        yield found


@pytest.fixture(scope="module")
def kubectl(cluster: DevCluster, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    home = tmp_path_factory.mktemp("home")

    def run(*arguments: str, stdin: Any = None, code: int = 0) -> str:
        done = subprocess.run(
            [KUBECTL, *arguments],
            input=yaml.safe_dump(stdin) if stdin is not None else None,
            env={"HOME": str(home), "KUBECONFIG": str(cluster.kubeconfig), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    run("create", "-f", "-", stdin=WIDGETS)
    run("wait", "--for=condition=Established", "crd/widgets.shop.example.dev", "--timeout=30s")
    return run


def rows(text: str) -> list[list[str]]:
    """The lines of a table, without the ages."""
    lines = [line.split() for line in text.splitlines()]
    age = lines[0].index("AGE") if "AGE" in lines[0] else None
    return [[cell for position, cell in enumerate(line) if position != age] for line in lines]


def test_resources_of_all_groups(kubectl: Kubectl) -> None:
    found = {line.split()[0]: line.split()[1:] for line in kubectl("api-resources", "--no-headers").splitlines()}
    assert found["pods"] == ["po", "v1", "true", "Pod"]
    assert found["deployments"] == ["deploy", "apps/v1", "true", "Deployment"]
    assert found["widgets"] == ["wd", "shop.example.dev/v1", "true", "Widget"]
    assert kubectl("api-resources", "--categories=shop", "-o", "name").split() == ["widgets.shop.example.dev"]
    assert "shop.example.dev/v1" in kubectl("api-versions").split()


def test_explain(kubectl: Kubectl) -> None:
    containers = kubectl("explain", "pods.spec.containers")
    assert "FIELD: containers <[]Container>" in containers
    assert "volumeMounts\t<[]VolumeMount>" in containers
    assert "    limits\t<map[string]Quantity>" in kubectl("explain", "pods.spec.containers", "--recursive")
    assert kubectl("explain", "widgets.spec").split() == EXPLAINED.split()
    recursive = kubectl("explain", "wd", "--recursive")
    assert "A thing in the shop." in recursive
    assert "managedFields\t<[]ManagedFieldsEntry>" in recursive
    assert "size\t<integer>" in recursive


def test_explain_follows_the_definition(kubectl: Kubectl) -> None:
    path = "/spec/versions/0/schema/openAPIV3Schema/properties/status"
    patch = [{"op": "add", "path": path, "value": {"type": "object"}}]
    kubectl("patch", "crd", "widgets.shop.example.dev", "--type=json", "-p", json.dumps(patch))
    assert "FIELD: status <Object>" in kubectl("explain", "widgets.status")


def test_this_projects_own_kinds_are_explained(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "crd/adaptertrainings.adapters.dev", "--timeout=30s")
    method = kubectl("explain", "adaptertrainings.spec.method")
    assert "FIELD: method <Object>" in method
    assert "lora\t<Object>" in method
    assert "rank\t<integer>" in kubectl("explain", "adaptertrainings", "--recursive")


def test_tables(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "tables")
    kubectl("-n", "tables", "create", "-f", "-", stdin=DEPLOYMENT)
    widget = {
        "apiVersion": "shop.example.dev/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": 3, "color": "red"},
    }
    kubectl("-n", "tables", "create", "-f", "-", stdin=widget)
    assert rows(kubectl("-n", "tables", "get", "deploy")) == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE"],
        ["d", "0/0", "0", "0"],
    ]
    assert rows(kubectl("-n", "tables", "get", "deploy", "-o", "wide")) == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "CONTAINERS", "IMAGES", "SELECTOR"],
        ["d", "0/0", "0", "0", "a,b", "app:1,side:1", "app=d"],
    ]
    widgets = ("-n", "tables", "get", "widgets")
    assert rows(kubectl(*widgets)) == [["NAME", "SIZE"], ["w", "3"]]
    assert rows(kubectl(*widgets, "-o", "wide")) == [["NAME", "SIZE", "COLOR"], ["w", "3", "red"]]
    assert rows(kubectl(*widgets, "--show-labels")) == [["NAME", "SIZE", "LABELS"], ["w", "3", "<none>"]]
    assert rows(kubectl("get", "ns", "tables")) == [["NAME", "STATUS"], ["tables", "Active"]]
    assert kubectl("-n", "tables", "get", "deploy", "-o", "name").split() == ["deployment.apps/d"]
    assert json.loads(kubectl("-n", "tables", "get", "deploy", "d", "-o", "json"))["kind"] == "Deployment"
    assert "Name:" in kubectl("-n", "tables", "describe", "deploy", "d")


def test_every_kind_can_be_shown(kubectl: Kubectl) -> None:
    names = kubectl("api-resources", "--verbs=list", "-o", "name").split()
    assert len(names) > 30
    kubectl("get", ",".join(names), "-A", "-o", "wide")


def test_typed_commands_speak_protobuf(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "typed")
    on = ("-n", "typed")
    kubectl(*on, "create", "configmap", "c", "--from-literal=a=b")
    kubectl(*on, "create", "secret", "generic", "s", "--from-literal=a=b")
    kubectl(*on, "create", "deployment", "d", "--image=app", "--replicas=0", "--port=80")
    kubectl(*on, "create", "service", "clusterip", "s", "--tcp=80:http")
    kubectl(*on, "create", "role", "r", "--verb=get", "--resource=pods")
    kubectl(*on, "create", "rolebinding", "r", "--role=r", "--serviceaccount=typed:default")
    kubectl(*on, "create", "poddisruptionbudget", "p", "--selector=a=b", "--min-available=50%")
    kubectl(*on, "create", "job", "j", "--image=app", "--", "sleep", "1")
    found = json.loads(kubectl(*on, "get", "deploy/d", "svc/s", "pdb/p", "job/j", "-o", "json"))["items"]
    assert found[0]["spec"]["replicas"] == 0
    assert found[0]["spec"]["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert found[1]["spec"]["ports"][0]["targetPort"] == "http"
    assert found[2]["spec"]["minAvailable"] == "50%"
    assert found[3]["spec"]["template"]["spec"]["containers"][0]["command"] == ["sleep", "1"]
    assert kubectl(*on, "auth", "can-i", "create", "pods").strip() == "yes"
    account = "--as=system:serviceaccount:typed:default"
    assert kubectl(*on, "auth", "can-i", "get", "pods", account).strip() == "yes"
    assert kubectl(*on, "auth", "can-i", "delete", "pods", account, code=1).strip() == "no"
    assert kubectl(*on, "create", "token", "default", "--duration=10m").count(".") == 2


def test_apply_merges_lists_by_their_keys(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "applied")
    kubectl("-n", "applied", "apply", "-f", "-", stdin=DEPLOYMENT)
    # Somebody else adds a container; it stays, because containers are merged by name.
    other = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "other:1"}]}}}}
    kubectl("-n", "applied", "patch", "deploy", "d", "-p", json.dumps(other))
    changed = yaml.safe_load(yaml.safe_dump(DEPLOYMENT))
    changed["spec"]["template"]["spec"]["containers"] = [{"name": "a", "image": "app:2"}]
    assert "deployment.apps/d configured" in kubectl("-n", "applied", "apply", "-f", "-", stdin=changed)
    found = json.loads(kubectl("-n", "applied", "get", "deploy", "d", "-o", "json"))
    containers = found["spec"]["template"]["spec"]["containers"]
    assert {one["name"]: one["image"] for one in containers} == {"a": "app:2", "c": "other:1"}
    changed["spec"]["template"]["spec"]["containers"] = [{"name": "a", "image": "app:3"}]
    difference = kubectl("-n", "applied", "diff", "-f", "-", stdin=changed, code=1).splitlines()
    images = [line.split()[-1] for line in difference if line[0] in "+-" and " image:" in line]
    assert images == ["app:2", "app:3"]


def test_apply_of_a_custom_resource_and_strict_validation(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "custom")
    widget: dict[str, Any] = {
        "apiVersion": "shop.example.dev/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"size": 3, "color": "red"},
    }
    kubectl("-n", "custom", "apply", "-f", "-", stdin=widget)
    widget["spec"] = {"size": 4}
    assert "widget.shop.example.dev/w configured" in kubectl("-n", "custom", "apply", "-f", "-", stdin=widget)
    assert json.loads(kubectl("-n", "custom", "get", "wd", "w", "-o", "json"))["spec"] == {"size": 4}
    widget["spec"] = {"shape": "round"}
    refused = kubectl("-n", "custom", "apply", "--validate=strict", "-f", "-", stdin=widget, code=1)
    assert 'unknown field "spec.shape"' in refused
    assert "serverside-applied" in kubectl(
        "-n", "custom", "apply", "--server-side", "--force-conflicts", "-f", "-", stdin={**widget, "spec": {"size": 5}}
    )
    dry = kubectl("-n", "custom", "apply", "--dry-run=server", "-f", "-", stdin={**widget, "spec": {"size": 6}})
    assert "(server dry run)" in dry


HELM = """
import json, sys
import helm_python
chart, kubeconfig = sys.argv[1:]
with helm_python.Config(kubeconfig_path=kubeconfig, namespace="helm") as config:
    config.install(chart, "shop", {"size": 1}, create_namespace=True)
    config.upgrade(chart, "shop", {"size": 2})
    print(json.dumps([one["status"] for one in config.history("shop")]))
    config.rollback("shop")
    print(config.status("shop")["manifest"])
    config.uninstall("shop")
"""


def test_a_release_of_helm(cluster: DevCluster, kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    widget = {"apiVersion": "shop.example.dev/v1", "kind": "Widget", "metadata": {"name": "w"}}
    size = "spec: {size: {{ .Values.size }}}\n"
    (tmp_path / "templates" / "widget.yaml").write_text(yaml.safe_dump(widget) + size)
    (tmp_path / "templates" / "deployment.yaml").write_text(yaml.safe_dump(DEPLOYMENT))
    done = subprocess.run(
        [sys.executable, "-c", HELM, tmp_path, cluster.kubeconfig],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statuses, manifest = done.stdout.split("\n", 1)
    assert json.loads(statuses) == ["superseded", "deployed"]
    assert "size: 1" in manifest
    assert "No resources found" in kubectl("-n", "helm", "get", "widgets")
    assert "No resources found" in kubectl("-n", "helm", "get", "secrets", "-l", "owner=helm")
