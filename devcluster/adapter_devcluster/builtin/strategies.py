"""Which strategy each stored built-in type has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from adapter_devcluster.builtin import (
    cluster_kinds,
    config,
    endpoints,
    events,
    extending,
    jobs,
    namespaces,
    networking,
    pods,
    rbac,
    revisions,
    scaling,
    services,
    storage,
    workloads,
)
from adapter_devcluster.builtin.judging import BuiltinJudge
from adapter_devcluster.builtin.strategy import Strategy
from adapter_devcluster.resource_types import Judge, ResourceType

_ADMISSION: Final = "admissionregistration.k8s.io"
_RBAC: Final = "rbac.authorization.k8s.io"
STRATEGIES: Final[Mapping[str, Strategy]] = {
    "configmaps": config.CONFIG_MAPS,
    "endpoints": endpoints.ENDPOINTS,
    "events": events.EVENTS,
    "limitranges": cluster_kinds.LIMIT_RANGES,
    "namespaces": namespaces.NAMESPACES,
    "nodes": namespaces.NODES,
    "persistentvolumeclaims": storage.CLAIMS,
    "persistentvolumes": storage.VOLUMES,
    "pods": pods.PODS,
    "resourcequotas": cluster_kinds.QUOTAS,
    "secrets": config.SECRETS,
    "serviceaccounts": config.SERVICE_ACCOUNTS,
    "services": services.SERVICES,
    "controllerrevisions.apps": revisions.CONTROLLER_REVISIONS,
    "daemonsets.apps": workloads.DAEMON_SETS,
    "deployments.apps": workloads.DEPLOYMENTS,
    "replicasets.apps": workloads.REPLICA_SETS,
    "statefulsets.apps": workloads.STATEFUL_SETS,
    "cronjobs.batch": jobs.CRON_JOBS,
    "jobs.batch": jobs.JOBS,
    "horizontalpodautoscalers.autoscaling": scaling.AUTOSCALERS,
    "poddisruptionbudgets.policy": scaling.BUDGETS,
    "ingresses.networking.k8s.io": networking.INGRESSES,
    "ingressclasses.networking.k8s.io": networking.INGRESS_CLASSES,
    "networkpolicies.networking.k8s.io": networking.NETWORK_POLICIES,
    "endpointslices.discovery.k8s.io": endpoints.ENDPOINT_SLICES,
    f"clusterroles.{_RBAC}": rbac.CLUSTER_ROLES,
    f"clusterrolebindings.{_RBAC}": rbac.CLUSTER_ROLE_BINDINGS,
    f"roles.{_RBAC}": rbac.ROLES,
    f"rolebindings.{_RBAC}": rbac.ROLE_BINDINGS,
    "leases.coordination.k8s.io": cluster_kinds.LEASES,
    "events.events.k8s.io": events.NEW_EVENTS,
    "runtimeclasses.node.k8s.io": cluster_kinds.RUNTIME_CLASSES,
    "priorityclasses.scheduling.k8s.io": cluster_kinds.PRIORITY_CLASSES,
    "storageclasses.storage.k8s.io": storage.CLASSES,
    f"mutatingwebhookconfigurations.{_ADMISSION}": extending.MUTATING_WEBHOOKS,
    f"validatingadmissionpolicies.{_ADMISSION}": extending.POLICIES,
    f"validatingadmissionpolicybindings.{_ADMISSION}": extending.POLICY_BINDINGS,
    f"validatingwebhookconfigurations.{_ADMISSION}": extending.VALIDATING_WEBHOOKS,
    "customresourcedefinitions.apiextensions.k8s.io": extending.DEFINITIONS,
}


@cache
def judge_for(resource_type: ResourceType) -> Judge:
    """Return the judge of a stored built-in type. Raises KeyError for a type that is not stored."""
    return BuiltinJudge(resource_type, STRATEGIES[resource_type.resource])
