"""The Service in front of a deployment's pods, and the URL that it gives."""

from typing import Any, Final

from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.build.metadata import child_metadata
from adapter_operator.build.server_deployment import HTTP_PORT_NAME, pod_labels

JSON = dict[str, Any]

_HTTP: Final = 80


def serving_service(deployment: AdapterDeployment) -> JSON:
    """The Service; the management port is not in it."""
    port = {
        "name": HTTP_PORT_NAME,
        "port": deployment.spec.service.port,
        "protocol": "TCP",
        "targetPort": HTTP_PORT_NAME,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(deployment, deployment.metadata.name),
        "spec": {"type": "ClusterIP", "ports": [port], "selector": pod_labels(deployment)},
    }


def endpoint(deployment: AdapterDeployment) -> str:
    """Base URL for OpenAI clients inside the cluster."""
    metadata, port = deployment.metadata, deployment.spec.service.port
    shown = "" if port == _HTTP else f":{port}"
    return f"http://{metadata.name}.{metadata.namespace}.svc{shown}/v1"
