"""The PodDisruptionBudget of a deployment: nodes are drained one server at a time."""

from typing import Any

from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.build.metadata import child_metadata
from adapter_operator.build.server_deployment import pod_labels

JSON = dict[str, Any]


def disruption_budget(deployment: AdapterDeployment) -> JSON:
    """The budget. With one replica it allows its eviction: a budget must never stop a node from being drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(deployment, deployment.metadata.name),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": pod_labels(deployment)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
