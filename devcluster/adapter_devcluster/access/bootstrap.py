"""What a new cluster has: its namespaces, and the roles and bindings that every cluster begins with.

Names, labels and rules are those of ``plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`` (v1.36), for the
resources that are served here. Roles of a real cluster's own components are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapter_devcluster.access.aggregation import aggregated_rules
from adapter_devcluster.access.rbac import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, GROUP
from adapter_devcluster.access.users import AUTHENTICATED, MASTERS, SERVICE_ACCOUNTS, UNAUTHENTICATED
from adapter_devcluster.objects import Object

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")
_AGGREGATE: Final = f"{GROUP}/aggregate-to-"
_WORKLOADS: Final = ("deployments", "replicasets", "statefulsets")
_SCALED: Final = (*_WORKLOADS, *(f"{name}/scale" for name in _WORKLOADS))

_VIEW: Final = {
    "": (
        "configmaps",
        "endpoints",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "serviceaccounts",
        "services",
        "services/status",
        "bindings",
        "events",
        "limitranges",
        "namespaces/status",
        "pods/log",
        "pods/status",
        "replicationcontrollers/status",
        "resourcequotas",
        "resourcequotas/status",
        "namespaces",
    ),
    "discovery.k8s.io": ("endpointslices",),
    "apps": (
        "controllerrevisions",
        "daemonsets",
        "daemonsets/status",
        "deployments/status",
        "replicasets/status",
        "statefulsets/status",
        *_SCALED,
    ),
    "autoscaling": ("horizontalpodautoscalers", "horizontalpodautoscalers/status"),
    "batch": ("cronjobs", "cronjobs/status", "jobs", "jobs/status"),
    "policy": ("poddisruptionbudgets", "poddisruptionbudgets/status"),
    "networking.k8s.io": ("ingresses", "ingresses/status", "networkpolicies"),
}
_PROXIED: Final = ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy")
_EDIT: Final = {
    "": (
        "pods",
        *_PROXIED,
        "configmaps",
        "events",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "secrets",
        "serviceaccounts",
        "services",
        "services/proxy",
    ),
    "apps": (
        "daemonsets",
        "deployments/rollback",
        *_SCALED,
    ),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "policy": ("poddisruptionbudgets",),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
}
_HEALTH: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY: Final = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")
_ISSUER: Final = ("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks")


def bootstrap_objects() -> list[tuple[str, Object]]:
    """Return what to create when a cluster starts, in this order, each with its resource."""
    roles = _roles()
    named = {role["metadata"]["name"]: role for role in roles}
    # The controller would fill these in a moment later; so they hold from the first request on.
    for name in ("view", "edit", "admin"):
        named[name]["rules"] = aggregated_rules(named[name], roles)
    return [
        *(("namespaces", _object("v1", "Namespace", {"name": name})) for name in NAMESPACES),
        *((CLUSTER_ROLES, role) for role in roles),
        *((CLUSTER_ROLE_BINDINGS, binding) for binding in _bindings()),
    ]


def _roles() -> list[Object]:
    everything = [_rule(("*",), "*", ("*",)), {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    reviews = [
        _rule(("create",), "authorization.k8s.io", ("selfsubjectaccessreviews", "selfsubjectrulesreviews")),
        _rule(("create",), "authentication.k8s.io", ("selfsubjectreviews",)),
    ]
    delegated = [
        _rule(("create",), "authentication.k8s.io", ("tokenreviews",)),
        _rule(("create",), "authorization.k8s.io", ("subjectaccessreviews",)),
    ]
    return [
        _role("cluster-admin", everything),
        _role("admin", (), made_of="admin"),
        _role("edit", (), part_of="admin", made_of="edit"),
        _role("view", (), part_of="edit", made_of="view"),
        _role("system:aggregate-to-admin", _admin_rules(), part_of="admin"),
        _role("system:aggregate-to-edit", _edit_rules(), part_of="edit"),
        _role("system:aggregate-to-view", [_rule(_READ, group, _VIEW[group]) for group in _VIEW], part_of="view"),
        _role("system:auth-delegator", delegated),
        _role("system:basic-user", reviews),
        _role("system:discovery", [_paths((*_HEALTH, *_DISCOVERY))]),
        _role("system:public-info-viewer", [_paths(_HEALTH)]),
        _role("system:service-account-issuer-discovery", [_paths(_ISSUER)]),
    ]


def _admin_rules() -> list[Object]:
    return [
        _rule(("create",), "authorization.k8s.io", ("localsubjectaccessreviews",)),
        _rule((*_READ, *_WRITE), GROUP, ("rolebindings", "roles")),
    ]


def _edit_rules() -> list[Object]:
    return [
        _rule(_READ, "", (*_PROXIED, "secrets", "services/proxy")),
        _rule(("impersonate",), "", ("serviceaccounts",)),
        _rule(("create",), "", ("pods/eviction", "serviceaccounts/token")),
        *(_rule(_WRITE, group, _EDIT[group]) for group in _EDIT),
        _rule((*_READ, *_WRITE), "coordination.k8s.io", ("leases",)),
    ]


def _bindings() -> list[Object]:
    groups = {
        "cluster-admin": (MASTERS,),
        "system:basic-user": (AUTHENTICATED,),
        "system:discovery": (AUTHENTICATED,),
        "system:public-info-viewer": (AUTHENTICATED, UNAUTHENTICATED),
        "system:service-account-issuer-discovery": (SERVICE_ACCOUNTS,),
    }
    return [
        {
            **_object(f"{GROUP}/v1", "ClusterRoleBinding", _metadata(name)),
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in found],
        }
        for name, found in groups.items()
    ]


def _role(name: str, rules: Sequence[Object], *, part_of: str = "", made_of: str = "") -> Object:
    labels = {f"{_AGGREGATE}{part_of}": "true"} if part_of else {}
    selectors = [{"matchLabels": {f"{_AGGREGATE}{made_of}": "true"}}]
    return {
        **_object(f"{GROUP}/v1", "ClusterRole", _metadata(name, labels)),
        **({"aggregationRule": {"clusterRoleSelectors": selectors}} if made_of else {}),
        "rules": list(rules),
    }


def _metadata(name: str, labels: dict[str, str] | None = None) -> Object:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **(labels or {})},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }


def _object(api_version: str, kind: str, metadata: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _rule(verbs: Sequence[str], group: str, resources: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _paths(paths: Sequence[str]) -> Object:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}
