"""A server's store, filled by hand, for tests of rights and policies: nothing judges what is put there."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from adapter_devcluster.access.users import AUTHENTICATED, User
from adapter_devcluster.api.server import Api
from adapter_devcluster.objects import Object
from adapter_devcluster.resource_types import ResourceType

RBAC = "rbac.authorization.k8s.io"
ANN = User("ann", ("staff", AUTHENTICATED))
STATIC_TOKEN = "a-static-token"


class AccessLab:
    """A server in this process. ``clock`` is what a test moves."""

    def __init__(self) -> None:
        self.api = Api({STATIC_TOKEN: ANN})
        self.client = self.api.client("test")
        self.authorizer = self.api.authorizer
        self.clock = 1_000_000.0

    def put(
        self,
        resource: str,
        name: str,
        namespace: str = "",
        *,
        labels: dict[str, str] | None = None,
        uid: str = "",
        **fields: Any,
    ) -> Object:
        """Store an object, in place of one of its name."""
        before = self.client.get(resource, namespace, name)
        metadata = {
            "name": name,
            **({"namespace": namespace} if namespace else {}),
            **({"labels": labels} if labels else {}),
            "uid": uid or (before["metadata"]["uid"] if before else str(uuid.uuid4())),
            "generation": before["metadata"]["generation"] + 1 if before else 1,
        }
        obj = {"metadata": metadata, **fields}
        return (self.api.store.update if before else self.api.store.create)(resource, obj).object

    def remove(self, resource: str, name: str, namespace: str = "") -> None:
        """Take an object out of the store."""
        found = self.client.get(resource, namespace, name)
        assert found is not None
        self.api.store.delete(resource, found)

    def serve(self, group: str, version: str, kind: str, *, namespaced: bool = True) -> None:
        """Serve another resource. What judges config maps stands for its judge."""
        plural = f"{kind.lower()}s"
        served = self.api.registry.stored("configmaps")
        assert served is not None
        found = ResourceType(group, version, kind, plural, kind.lower(), namespaced=namespaced)
        self.api.registry.add(replace(served, type=found))

    def role(self, name: str, rules: Sequence[Object], namespace: str = "", **fields: Any) -> Object:
        """Store a Role, or a ClusterRole where there is no namespace."""
        kind = "roles" if namespace else "clusterroles"
        return self.put(f"{kind}.{RBAC}", name, namespace, rules=list(rules), **fields)

    def bind(self, name: str, role: str, *subjects: Object, namespace: str = "", kind: str = "ClusterRole") -> Object:
        """Store a RoleBinding, or a ClusterRoleBinding where there is no namespace."""
        resource = "rolebindings" if namespace else "clusterrolebindings"
        reference = {"apiGroup": RBAC, "kind": kind, "name": role}
        return self.put(f"{resource}.{RBAC}", name, namespace, roleRef=reference, subjects=list(subjects))


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> Object:
    """Return a rule; lists are written as words."""
    named = {"resourceNames": names.split()} if names else {}
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split(), **named}


def to_user(name: str) -> Object:
    """Return a subject."""
    return {"kind": "User", "apiGroup": RBAC, "name": name}


def to_group(name: str) -> Object:
    """Return a subject."""
    return {"kind": "Group", "apiGroup": RBAC, "name": name}


def to_account(name: str, namespace: str = "") -> Object:
    """Return a subject."""
    return {"kind": "ServiceAccount", "name": name, **({"namespace": namespace} if namespace else {})}
