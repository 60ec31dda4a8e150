"""What the operator works with: its own kinds, and the children of each, found by one label."""

from collections.abc import Iterator
from typing import Final

from adapter_operator.api.v1alpha1.kinds import ADAPTER_DEPLOYMENT, ADAPTER_TRAINING, API_VERSION
from adapter_operator.api.v1alpha1.labels import DEPLOYMENT, MANAGED_BY, OPERATOR, TRAINING
from adapter_operator.runtime.objects import Object, owner_uids
from adapter_operator.runtime.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    ResourceType,
)

ADAPTER_TRAININGS: Final = ResourceType(API_VERSION, "AdapterTraining", ADAPTER_TRAINING.plural)
ADAPTER_DEPLOYMENTS: Final = ResourceType(API_VERSION, "AdapterDeployment", ADAPTER_DEPLOYMENT.plural)
OWN: Final = (ADAPTER_TRAININGS, ADAPTER_DEPLOYMENTS)
CHILDREN: Final = (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
)
CHILD_SELECTOR: Final = f"{MANAGED_BY}={OPERATOR}"
WATCHED: Final = (*((kind, "") for kind in OWN), *((kind, CHILD_SELECTOR) for kind in CHILDREN))
"""Every kind that is watched, with the label selector by which the server filters."""


def of_training(namespace: str, name: str) -> str:
    """Word of the store's index: what is labelled as belonging to a training of this name."""
    return f"training/{namespace}/{name}"


def of_deployment(namespace: str, name: str) -> str:
    """Word of the store's index: what is labelled as belonging to a deployment of this name."""
    return f"deployment/{namespace}/{name}"


def index_words(obj: Object) -> Iterator[str]:
    """The words by which the store finds an object: the UIDs of its owners, and whom its labels name."""
    yield from owner_uids(obj)
    labels, namespace = obj["metadata"].get("labels") or {}, obj["metadata"].get("namespace") or ""
    if TRAINING in labels:
        yield of_training(namespace, labels[TRAINING])
    if DEPLOYMENT in labels:
        yield of_deployment(namespace, labels[DEPLOYMENT])
