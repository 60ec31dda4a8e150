"""The write that policies decide on, and how CEL sees it as ``request``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapter_devcluster.access.users import User, user_info
from adapter_devcluster.objects import Object

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """A write, as admission sees it: after defaults and validation, before it is stored.

    ``resource`` is the plural. ``object`` is None on DELETE, ``old_object`` on CREATE.
    """

    operation: Operation
    group: str
    version: str
    resource: str
    kind: str
    name: str
    object: Object | None
    user: User
    subresource: str = ""
    namespace: str = ""
    old_object: Object | None = None
    dry_run: bool = False
    uid: str = ""

    @property
    def is_namespace(self) -> bool:
        """Whether the write is to a namespace itself, or to its subresources."""
        return self.resource == "namespaces" and not self.group

    @property
    def effective_namespace(self) -> str:
        """The namespace of the request, which for a namespace itself is its own name."""
        return self.name if self.is_namespace else self.namespace


@dataclass(frozen=True, slots=True)
class Match:
    """Under which group, version and kind a policy sees a request: its own, or an equivalent one."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of the objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


def request_value(request: AdmissionRequest, match: Match) -> Object:
    """Write a request as ``admission.k8s.io/v1`` AdmissionRequest, without what is empty."""
    own_kind = {"group": request.group, "version": request.version, "kind": request.kind}
    own_resource = {"group": request.group, "version": request.version, "resource": request.resource}
    found = {
        "uid": request.uid,
        "kind": {"group": match.group, "version": match.version, "kind": match.kind},
        "resource": {**own_resource, "group": match.group, "version": match.version},
        "subResource": request.subresource,
        "requestKind": own_kind,
        "requestResource": own_resource,
        "requestSubResource": request.subresource,
        "name": request.name,
        "namespace": request.effective_namespace,
        "operation": request.operation,
        "userInfo": user_info(request.user),
        "options": _options(request.operation, dry_run=request.dry_run),
    }
    return {**{name: value for name, value in found.items() if value}, "dryRun": request.dry_run}


def _options(operation: Operation, *, dry_run: bool) -> Object:
    if operation == "CONNECT":
        return {}
    kind = f"{operation.capitalize()}Options"
    return {"apiVersion": "meta.k8s.io/v1", "kind": kind, **({"dryRun": ["All"]} if dry_run else {})}
