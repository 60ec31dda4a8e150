"""Metadata of children: who owns them, and the labels by which they are found again."""

from collections.abc import Mapping
from typing import Any

from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.kinds import API_VERSION
from adapter_operator.api.v1alpha1.labels import (
    DEPLOYMENT,
    DEPLOYMENT_UID,
    MANAGED_BY,
    OPERATOR,
    TRAINING,
    TRAINING_UID,
)
from adapter_operator.api.v1alpha1.training import AdapterTraining

JSON = dict[str, Any]

Parent = AdapterTraining | AdapterDeployment


def owner_labels(parent: Parent) -> dict[str, str]:
    """The labels of every child, and of the pods below it. The parent's own labels are not copied."""
    name, uid = (TRAINING, TRAINING_UID) if isinstance(parent, AdapterTraining) else (DEPLOYMENT, DEPLOYMENT_UID)
    return {MANAGED_BY: OPERATOR, name: parent.metadata.name, uid: parent.metadata.uid}


def uid_selector(parent: Parent) -> str:
    """The label selector of everything that belongs to this very object, not to an earlier one of its name."""
    uid = TRAINING_UID if isinstance(parent, AdapterTraining) else DEPLOYMENT_UID
    return f"{uid}={parent.metadata.uid}"


def controller_reference(parent: Parent) -> JSON:
    """The owner reference that makes the parent the child's controller."""
    return {
        "apiVersion": API_VERSION,
        "kind": parent.kind,
        "name": parent.metadata.name,
        "uid": parent.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child_metadata(
    parent: Parent, name: str, *, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str] | None = None
) -> JSON:
    """The metadata of a child: name, namespace, labels, controller.

    Args:
        parent: the owner.
        name: of the child.
        labels: beside those of every child.
        annotations: where there are any.

    """
    metadata: JSON = {
        "name": name,
        "namespace": parent.metadata.namespace,
        "labels": owner_labels(parent) | dict(labels or {}),
        "ownerReferences": [controller_reference(parent)],
    }
    return metadata | ({"annotations": dict(annotations)} if annotations else {})
