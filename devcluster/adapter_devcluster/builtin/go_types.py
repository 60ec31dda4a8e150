"""What the schema definitions don't say of Kubernetes' Go types: which fields show when they are empty.

Go leaves out an empty field that is tagged ``omitempty``, except a pointer's target and a struct. Facts of
``k8s.io/api`` and ``k8s.io/apiextensions-apiserver`` v0.36.2 for the types that are served, without volume
plugins that the node doesn't have. Fields that a schema requires always show, too, if not named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, TypeAlias

_Fields: TypeAlias = Mapping[str, Mapping[str, str]]

_POINTERS: Final[_Fields] = {
    "io.k8s.api.admissionregistration.v1": {
        "MatchResources": "matchPolicy",
        "MutatingWebhook": "failurePolicy matchPolicy timeoutSeconds reinvocationPolicy sideEffects",
        "NamedRuleWithOperations": "scope",
        "ParamRef": "parameterNotFoundAction",
        "RuleWithOperations": "scope",
        "ServiceReference": "path port",
        "ValidatingAdmissionPolicySpec": "failurePolicy",
        "ValidatingWebhook": "failurePolicy matchPolicy timeoutSeconds sideEffects",
        "Validation": "reason",
        "WebhookClientConfig": "url",
    },
    "io.k8s.api.apps.v1": {
        "DaemonSetSpec": "revisionHistoryLimit",
        "DaemonSetStatus": "collisionCount",
        "DeploymentSpec": "replicas revisionHistoryLimit progressDeadlineSeconds",
        "DeploymentStatus": "terminatingReplicas collisionCount",
        "ReplicaSetSpec": "replicas",
        "ReplicaSetStatus": "terminatingReplicas",
        "RollingUpdateStatefulSetStrategy": "partition",
        "StatefulSetSpec": "replicas revisionHistoryLimit",
        "StatefulSetStatus": "collisionCount",
    },
    "io.k8s.api.autoscaling.v2": {
        "HPAScalingRules": "stabilizationWindowSeconds selectPolicy",
        "HorizontalPodAutoscalerSpec": "minReplicas",
        "HorizontalPodAutoscalerStatus": "observedGeneration",
        "MetricTarget": "averageUtilization",
        "MetricValueStatus": "averageUtilization",
    },
    "io.k8s.api.batch.v1": {
        "CronJobSpec": "timeZone startingDeadlineSeconds suspend successfulJobsHistoryLimit failedJobsHistoryLimit",
        "JobSpec": (
            "parallelism completions activeDeadlineSeconds backoffLimit backoffLimitPerIndex "
            "maxFailedIndexes manualSelector ttlSecondsAfterFinished completionMode suspend "
            "podReplacementPolicy managedBy"
        ),
        "JobStatus": "terminating failedIndexes ready",
        "PodFailurePolicyOnExitCodesRequirement": "containerName",
        "SuccessPolicyRule": "succeededIndexes succeededCount",
    },
    "io.k8s.api.coordination.v1": {
        "LeaseSpec": "holderIdentity leaseDurationSeconds leaseTransitions strategy preferredHolder",
    },
    "io.k8s.api.core.v1": {
        "ClientIPConfig": "timeoutSeconds",
        "ConfigMap": "immutable",
        "ConfigMapEnvSource": "optional",
        "ConfigMapKeySelector": "optional",
        "ConfigMapProjection": "optional",
        "ConfigMapVolumeSource": "defaultMode optional",
        "Container": "restartPolicy",
        "ContainerStatus": "started stopSignal",
        "DownwardAPIVolumeFile": "mode",
        "DownwardAPIVolumeSource": "defaultMode",
        "EndpointAddress": "nodeName",
        "EndpointPort": "appProtocol",
        "EphemeralContainer": "restartPolicy",
        "GRPCAction": "service",
        "HostPathVolumeSource": "type",
        "KeyToPath": "mode",
        "Lifecycle": "stopSignal",
        "LoadBalancerIngress": "ipMode",
        "LocalVolumeSource": "fsType",
        "PersistentVolumeClaimSpec": "storageClassName volumeMode volumeAttributesClassName",
        "PersistentVolumeClaimStatus": "currentVolumeAttributesClassName",
        "PersistentVolumeSpec": "volumeMode volumeAttributesClassName",
        "PodDNSConfigOption": "value",
        "PodSecurityContext": (
            "runAsUser runAsGroup runAsNonRoot supplementalGroupsPolicy fsGroup fsGroupChangePolicy seLinuxChangePolicy"
        ),
        "PodSpec": (
            "terminationGracePeriodSeconds activeDeadlineSeconds automountServiceAccountToken "
            "shareProcessNamespace priority runtimeClassName enableServiceLinks preemptionPolicy "
            "setHostnameAsFQDN hostUsers hostnameOverride"
        ),
        "PortStatus": "error",
        "Probe": "terminationGracePeriodSeconds",
        "ProjectedVolumeSource": "defaultMode",
        "SeccompProfile": "localhostProfile",
        "Secret": "immutable",
        "SecretEnvSource": "optional",
        "SecretKeySelector": "optional",
        "SecretProjection": "optional",
        "SecretVolumeSource": "defaultMode optional",
        "SecurityContext": (
            "privileged runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation procMount"
        ),
        "ServiceAccount": "automountServiceAccountToken",
        "ServiceAccountTokenProjection": "expirationSeconds",
        "ServicePort": "appProtocol",
        "ServiceSpec": (
            "ipFamilyPolicy allocateLoadBalancerNodePorts loadBalancerClass internalTrafficPolicy trafficDistribution"
        ),
        "Toleration": "tolerationSeconds",
        "TopologySpreadConstraint": "minDomains nodeAffinityPolicy nodeTaintsPolicy",
        "TypedLocalObjectReference": "apiGroup",
        "TypedObjectReference": "apiGroup namespace",
        "VolumeMount": "recursiveReadOnly mountPropagation",
        "VolumeMountStatus": "recursiveReadOnly",
    },
    "io.k8s.api.discovery.v1": {
        "Endpoint": "hostname nodeName zone",
        "EndpointConditions": "ready serving terminating",
        "EndpointPort": "name protocol port appProtocol",
    },
    "io.k8s.api.networking.v1": {
        "HTTPIngressPath": "pathType",
        "IngressClassParametersReference": "apiGroup namespace scope",
        "IngressPortStatus": "error",
        "IngressSpec": "ingressClassName",
        "NetworkPolicyPort": "protocol endPort",
    },
    "io.k8s.api.policy.v1": {
        "PodDisruptionBudgetSpec": "unhealthyPodEvictionPolicy",
    },
    "io.k8s.api.scheduling.v1": {
        "PriorityClass": "preemptionPolicy",
    },
    "io.k8s.api.storage.v1": {
        "StorageClass": "reclaimPolicy allowVolumeExpansion volumeBindingMode",
    },
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": {
        "CustomResourceDefinitionVersion": "deprecationWarning",
        "CustomResourceSubresourceScale": "labelSelectorPath",
        "JSONSchemaProps": (
            "$ref maximum minimum maxLength minLength maxItems minItems multipleOf maxProperties "
            "minProperties x-kubernetes-preserve-unknown-fields x-kubernetes-list-type x-kubernetes-map- "
            "type"
        ),
        "ServiceReference": "path port",
        "ValidationRule": "reason optionalOldSelf",
        "WebhookClientConfig": "url",
    },
}

# Structs by value, and fields with no omitempty that schemas call optional.
_ALWAYS: Final[_Fields] = {
    "io.k8s.api.apps.v1": {
        "ControllerRevision": "data",
        "DaemonSetCondition": "lastTransitionTime",
        "DaemonSetSpec": "updateStrategy",
        "DeploymentCondition": "lastUpdateTime lastTransitionTime",
        "DeploymentSpec": "strategy",
        "ReplicaSetCondition": "lastTransitionTime",
        "ReplicaSetSpec": "template",
        "StatefulSetCondition": "lastTransitionTime",
        "StatefulSetSpec": "serviceName updateStrategy",
        "StatefulSetStatus": "availableReplicas",
    },
    "io.k8s.api.authentication.v1": {
        "SelfSubjectReviewStatus": "userInfo",
        "TokenRequestStatus": "token expirationTimestamp",
    },
    "io.k8s.api.autoscaling.v2": {
        "HorizontalPodAutoscalerCondition": "lastTransitionTime",
        "HorizontalPodAutoscalerStatus": "currentMetrics",
    },
    "io.k8s.api.batch.v1": {
        "JobCondition": "lastProbeTime lastTransitionTime",
        "JobTemplateSpec": "spec",
        "PodFailurePolicyOnPodConditionsPattern": "status",
    },
    "io.k8s.api.core.v1": {
        "Container": "resources",
        "ContainerStateRunning": "startedAt",
        "ContainerStateTerminated": "startedAt finishedAt",
        "ContainerStatus": "state lastState",
        "EphemeralContainer": "resources",
        "Event": "reportingComponent reportingInstance source firstTimestamp lastTimestamp eventTime",
        "EventSeries": "lastObservedTime",
        "GRPCAction": "service",
        "NamespaceCondition": "lastTransitionTime",
        "NodeCondition": "lastHeartbeatTime lastTransitionTime",
        "NodeDaemonEndpoints": "kubeletEndpoint",
        "NodeStatus": "daemonEndpoints nodeInfo",
        "PersistentVolumeClaimCondition": "lastProbeTime lastTransitionTime",
        "PersistentVolumeClaimSpec": "resources",
        "PodCondition": "lastProbeTime lastTransitionTime",
        "PodTemplateSpec": "spec",
        "ProjectedVolumeSource": "sources",
        "ResourceFieldSelector": "divisor",
        "ServicePort": "targetPort",
        "ServiceStatus": "loadBalancer",
        "TypedLocalObjectReference": "apiGroup",
        "TypedObjectReference": "apiGroup",
    },
    "io.k8s.api.discovery.v1": {
        "Endpoint": "conditions",
        "EndpointSlice": "endpoints ports",
    },
    "io.k8s.api.events.v1": {
        "Event": "regarding deprecatedSource deprecatedFirstTimestamp deprecatedLastTimestamp",
    },
    "io.k8s.api.networking.v1": {
        "IngressClassParametersReference": "scope",
        "IngressServiceBackend": "port",
        "IngressStatus": "loadBalancer",
        "NetworkPolicySpec": "podSelector",
    },
    "io.k8s.api.policy.v1": {
        "PodDisruptionBudgetStatus": "disruptionsAllowed currentHealthy desiredHealthy expectedPods",
    },
    "io.k8s.api.rbac.v1": {
        "ClusterRole": "rules",
        "Role": "rules",
        "RoleRef": "apiGroup",
    },
    "io.k8s.api.scheduling.v1": {
        "PriorityClass": "value",
    },
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": {
        "CustomResourceDefinitionCondition": "lastTransitionTime",
        "CustomResourceDefinitionStatus": "conditions acceptedNames storedVersions",
    },
}

_OMITTED: Final[_Fields] = {
    "io.k8s.api.admissionregistration.v1": {
        "ValidatingAdmissionPolicyBindingSpec": "policyName validationActions",
    },
    "io.k8s.api.authentication.v1": {
        "TokenReviewSpec": "token",
    },
    "io.k8s.api.core.v1": {
        "ContainerRestartRule": "action",
        "ContainerRestartRuleOnExitCodes": "operator",
        "ImageVolumeStatus": "imageRef",
    },
}


@cache
def pointers(definition: str) -> frozenset[str]:
    """Return the scalar fields of a type that are pointers: 0, "" and false are kept in them, and null is not these."""
    return _fields(_POINTERS, definition)


@cache
def always_shown(definition: str) -> frozenset[str]:
    """Return the optional fields of a type that are served even if they are empty."""
    return _fields(_ALWAYS, definition)


@cache
def omitted(definition: str) -> frozenset[str]:
    """Return the required fields of a type that are not served if they are empty."""
    return _fields(_OMITTED, definition)


def _fields(table: _Fields, definition: str) -> frozenset[str]:
    package, _, name = definition.rpartition(".")
    return frozenset(table.get(package, {}).get(name, "").split())
