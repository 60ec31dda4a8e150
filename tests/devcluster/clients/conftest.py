"""kubectl, and a custom resource, for the cluster of a module, which defines the fixture ``cluster``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.kubectl import Kubectl

DATA = Path(__file__).parent / "data"
_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's home, where kubectl keeps what it has discovered."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def boats(cluster: DevCluster, home: Path) -> None:
    """Define boats: a custom resource with status, scale, columns and a selectable field."""
    kubectl = Kubectl(cluster.kubeconfig, home)
    kubectl("create", "-f", DATA / "boats.yaml")
    kubectl("wait", "--for=condition=Established", "crd/boats.harbour.example.dev", "--timeout=10s")


@pytest.fixture
def kubectl(cluster: DevCluster, home: Path, tmp_path: Path) -> Iterator[Kubectl]:
    """kubectl in a namespace that only this test has."""
    name = f"test-{next(_COUNT)}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    client = cluster.call(lambda: cluster.cluster.api.client("test"))
    cluster.call(lambda: client.create("namespaces", namespace))
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = name
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    yield Kubectl(path, home, name)
    if cluster.call(lambda: client.get("namespaces", "", name)):
        cluster.call(lambda: client.delete("namespaces", "", name))
