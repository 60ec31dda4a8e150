"""What a platform team sets up once: namespace, object store, base models, operator."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adapter_quickstart import helm, object_store
from adapter_quickstart.kubectl import JSON, Kubectl

NAMESPACE = "quickstart"
OPERATOR_NAMESPACE = "adapter-system"
BASE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
CLAIM = "base-models"
MODEL_FOLDER = "smollm2-135m"

Show = Callable[[str], None]


@dataclass(frozen=True)
class Platform:
    """A running cluster, and where things are.

    Attributes:
        kubeconfig: the administrator's.
        repository: the project's folder, for charts and examples.
        credentials: folder with the object store's keys, as a pod sees them.
    """

    kubeconfig: Path
    repository: Path
    credentials: Path

    @property
    def kubectl(self) -> Kubectl:
        """Kubectl in the namespace of the product team."""
        return Kubectl(self.kubeconfig, NAMESPACE)

    @property
    def example(self) -> Path:
        """The folder with the manifests and the data."""
        return self.repository / "examples" / "quickstart"

    def address(self, service: str) -> str:
        """Return host and port of a Service."""
        spec = self.kubectl.get("service", service)["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"


def install(platform: Platform, keys: object_store.Keys, show: Show) -> str:
    """Install everything, and return the object store's URL.

    Raises:
        CommandFailed: kubectl or Helm refused something.
    """
    kubectl = platform.kubectl
    show(kubectl("create", "namespace", NAMESPACE).strip())
    for line in kubectl.apply(*keys.secrets()).splitlines():
        show(line)
    for line in kubectl("apply", "-f", platform.example / "platform").splitlines():
        show(line)
    endpoint = f"http://{platform.address('object-store')}"
    charts = platform.repository / "charts"
    for chart, values in (("adapter-operator-crds", {}), ("adapter-operator", {"settings": settings(endpoint)})):
        helm.install(platform.kubeconfig, OPERATOR_NAMESPACE, charts / chart, chart, values)
        show(f"helm: chart {chart} is installed")
    return endpoint


def settings(endpoint: str) -> JSON:
    """Return the operator's settings: what the platform decides for its users."""
    # Both share a machine of two processors: the server has one of them, so that it never slows a training down much.
    trainer = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "8Gi"}}
    server = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "8Gi"}}
    return {
        "clusterName": "quickstart",
        "storage": {
            "root": "s3://adapters",
            "endpointURL": endpoint,
            "region": object_store.REGION,
            "credentialsSecretRef": {"name": object_store.CREDENTIALS_SECRET},
        },
        "pods": {"trainer": {"resources": trainer}, "server": {"resources": server}},
        "baseModels": [
            {"name": BASE_MODEL, "source": {"persistentVolumeClaim": {"claimName": CLAIM, "path": MODEL_FOLDER}}}
        ],
    }


def upload_data(platform: Platform, endpoint: str, show: Show) -> None:
    """Put the data where users keep it.

    Raises:
        StorageError: the store did not come up or refuses it.
    """
    for path in sorted((platform.example / "data").glob("support-*.jsonl")):
        uri = f"s3://datasets/{path.name}"
        object_store.upload(path, uri, endpoint=endpoint, credentials=platform.credentials)
        show(f"uploaded {uri}")
