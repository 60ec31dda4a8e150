"""The resource types of Kubernetes 1.36 that this server serves, as discovery shows them.

Sources: ``pkg/registry/*/*/storage`` (names, subresources, categories), ``pkg/apis/*/v1/conversion.go``
(fields that selectors may name) and the strategies' ``AllowUnconditionalUpdate``.
"""

from __future__ import annotations

from typing import Any, Final

from adapter_devcluster.resource_types import ALL_VERBS, ResourceType, Subresource

_CREATE: Final = ("create",)
_ALL: Final = ("all",)
_EXTENSIONS: Final = ("api-extensions",)
_PROXY_VERBS: Final = ("create", "delete", "get", "patch", "update")
_ABOUT: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _type(group: str, version: str, kind: str, plural: str, *, status: bool = False, **more: Any) -> ResourceType:  # noqa: ANN401 - fields of ResourceType
    """Make a type; ``status``: it has that subresource, before the others."""
    found = (Subresource("status", kind),) if status else ()
    more["subresources"] = found + more.get("subresources", ())
    return ResourceType(group, version, kind, plural, more.pop("singular", kind.lower()), **more)


def _scale() -> Subresource:
    return Subresource("scale", "Scale", group="autoscaling", version="v1")


_CORE: Final = (
    _type("", "v1", "ConfigMap", "configmaps", short_names=("cm",)),
    _type("", "v1", "Endpoints", "endpoints", short_names=("ep",), create_on_update=True),
    _type(
        "",
        "v1",
        "Event",
        "events",
        short_names=("ev",),
        create_on_update=True,
        selectable_fields=(
            *(f"involvedObject.{name}" for name in _ABOUT),
            *("reason", "reportingComponent", "source", "type"),
        ),
    ),
    _type("", "v1", "LimitRange", "limitranges", short_names=("limits",), create_on_update=True),
    _type(
        "",
        "v1",
        "Namespace",
        "namespaces",
        status=True,
        namespaced=False,
        short_names=("ns",),
        verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
        subresources=(Subresource("finalize", "Namespace", ("update",)),),
        selectable_fields=("status.phase",),
    ),
    _type(
        "",
        "v1",
        "Node",
        "nodes",
        status=True,
        namespaced=False,
        short_names=("no",),
        selectable_fields=("spec.unschedulable",),
    ),
    _type("", "v1", "PersistentVolume", "persistentvolumes", status=True, namespaced=False, short_names=("pv",)),
    _type("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", status=True, short_names=("pvc",)),
    _type(
        "",
        "v1",
        "Pod",
        "pods",
        status=True,
        short_names=("po",),
        categories=_ALL,
        subresources=(
            Subresource("binding", "Binding", _CREATE),
            Subresource("eviction", "Eviction", _CREATE, "policy", "v1"),
            Subresource("log", "Pod", ("get",)),
            Subresource("proxy", "PodProxyOptions", _PROXY_VERBS),
        ),
        selectable_fields=(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ),
    ),
    _type("", "v1", "ResourceQuota", "resourcequotas", status=True, short_names=("quota",)),
    _type("", "v1", "Secret", "secrets", selectable_fields=("type",)),
    _type(
        "",
        "v1",
        "Service",
        "services",
        status=True,
        short_names=("svc",),
        categories=_ALL,
        subresources=(Subresource("proxy", "ServiceProxyOptions", _PROXY_VERBS),),
        selectable_fields=("spec.clusterIP", "spec.type"),
        create_on_update=True,
    ),
    _type(
        "",
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        short_names=("sa",),
        subresources=(Subresource("token", "TokenRequest", _CREATE, "authentication.k8s.io", "v1"),),
        unconditional_update=False,
    ),
)

_WORKLOADS: Final = (
    _type("apps", "v1", "ControllerRevision", "controllerrevisions"),
    _type("apps", "v1", "DaemonSet", "daemonsets", status=True, short_names=("ds",), categories=_ALL),
    _type(
        "apps",
        "v1",
        "Deployment",
        "deployments",
        status=True,
        short_names=("deploy",),
        categories=_ALL,
        subresources=(_scale(),),
    ),
    _type(
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        status=True,
        short_names=("rs",),
        categories=_ALL,
        subresources=(_scale(),),
        selectable_fields=("status.replicas",),
    ),
    _type(
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        status=True,
        short_names=("sts",),
        categories=_ALL,
        subresources=(_scale(),),
    ),
    _type("batch", "v1", "CronJob", "cronjobs", status=True, short_names=("cj",), categories=_ALL),
    _type("batch", "v1", "Job", "jobs", status=True, categories=_ALL, selectable_fields=("status.successful",)),
    _type(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        status=True,
        short_names=("hpa",),
        categories=_ALL,
    ),
    _type(
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        status=True,
        short_names=("pdb",),
        unconditional_update=False,
    ),
)

_NETWORK: Final = (
    _type("networking.k8s.io", "v1", "Ingress", "ingresses", status=True, short_names=("ing",)),
    _type("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False),
    _type("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short_names=("netpol",)),
    _type("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
)

_RBAC: Final = (
    _type("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False, create_on_update=True),
    _type(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        namespaced=False,
        create_on_update=True,
    ),
    _type("rbac.authorization.k8s.io", "v1", "Role", "roles", create_on_update=True),
    _type("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", create_on_update=True),
)

_CLUSTER: Final = (
    _type("coordination.k8s.io", "v1", "Lease", "leases", unconditional_update=False, create_on_update=True),
    _type(
        "events.k8s.io",
        "v1",
        "Event",
        "events",
        short_names=("ev",),
        create_on_update=True,
        selectable_fields=(*(f"regarding.{name}" for name in _ABOUT), "reason", "reportingController", "type"),
    ),
    _type("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False, unconditional_update=False),
    _type("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False, short_names=("pc",)),
    _type("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False, short_names=("sc",)),
)


def _extension(group: str, kind: str, plural: str, **more: Any) -> ResourceType:  # noqa: ANN401 - see _type
    return _type(
        group, "v1", kind, plural, namespaced=False, categories=_EXTENSIONS, unconditional_update=False, **more
    )


_EXTENDING: Final = (
    _extension("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    _extension("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", status=True),
    _extension("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    _extension("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    _extension(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        status=True,
        short_names=("crd", "crds"),
    ),
)


def _review(group: str, kind: str, *, namespaced: bool = False) -> ResourceType:
    return _type(group, "v1", kind, f"{kind.lower()}s", namespaced=namespaced, verbs=_CREATE)


_REVIEWS: Final = (
    _review("authentication.k8s.io", "SelfSubjectReview"),
    _review("authentication.k8s.io", "TokenReview"),
    _review("authorization.k8s.io", "LocalSubjectAccessReview", namespaced=True),
    _review("authorization.k8s.io", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io", "SelfSubjectRulesReview"),
    _review("authorization.k8s.io", "SubjectAccessReview"),
)

# Every built-in type. Those of ``_REVIEWS`` answer a question and are stored nowhere.
BUILTIN: Final[tuple[ResourceType, ...]] = (
    *_CORE,
    *_WORKLOADS,
    *_NETWORK,
    *_RBAC,
    *_CLUSTER,
    *_EXTENDING,
    *_REVIEWS,
)
