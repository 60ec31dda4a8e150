"""The truth table of conditions: every situation an object can be in, and what its conditions say of it.

Ready says whether the object is usable. Reconciling and Stalled are there only while they are True, as kstatus
reads them (https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md): Reconciling asks
for patience, Stalled for a human. One reason belongs to one situation, so a reason decides all three.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

KindName = Literal["AdapterTraining", "AdapterDeployment"]
Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Situation:
    """A row of the table.

    Attributes:
        kind: the kind that it is about.
        name: short name of the situation.
        when: when an object is in it.
        ready: status of Ready.
        abnormal: the one of Reconciling and Stalled that is True; the others are absent.
        reasons: reasons of Ready (and of the abnormal condition) by what they mean.
        resolved: status that AdaptersResolved must have, where the situation demands one.

    """

    kind: KindName
    name: str
    when: str
    ready: Status
    abnormal: Literal["Reconciling", "Stalled"] | None
    reasons: Mapping[str, str]
    resolved: Status | None = None


TRAINING_USABLE = Situation(
    "AdapterTraining",
    "usable",
    "the adapter of this generation is published and passed its gates",
    ready="True",
    abnormal=None,
    reasons={
        "Succeeded": "The run ended well and its adapter is promoted.",
        "Reused": "The same inputs were trained before: that adapter is promoted, without a GPU.",
    },
)

TRAINING_IN_PROGRESS = Situation(
    "AdapterTraining",
    "in progress",
    "queued, in preflight, training, retrying, uploading",
    ready="False",
    abnormal="Reconciling",
    reasons={
        "Pending": "The object was seen; its run has not started yet.",
        "WaitingForParent": "The training that initializeFrom names has no adapter yet.",
        "Preflight": "Data, model, output and memory are being checked on a CPU.",
        "Queued": "Kueue has not admitted the Job yet.",
        "QuotaExceeded": "A ResourceQuota does not admit the pod; it is tried again.",
        "Unschedulable": "No node has room for the pod; the message holds the scheduler's words.",
        "ImagePullFailed": "The image can't be pulled; it is tried again.",
        "VolumeUnavailable": "A Secret, ConfigMap or volume that the pod mounts is missing.",
        "Starting": "The pod is starting: image, volumes, base model.",
        "Training": "The pod is training; progress holds the figures.",
        "Evaluating": "The pod is evaluating.",
        "Uploading": "The adapter is being uploaded.",
        "Interrupted": "The pod was evicted, preempted or lost; the next attempt goes on from the checkpoint.",
        "Retrying": "The last attempt failed; another one is due.",
        "StorageUnavailable": "The store does not answer; it is tried again until the deadline.",
        "InputMissing": "An input is missing; it is tried again until the deadline.",
        "PermissionDenied": "The store denies access; it is tried again until the deadline.",
        "InUse": "The object is being deleted, and waits while deployments use its artifacts.",
        "Stopping": "A Job that is no longer wanted is being stopped; its checkpoint is saved.",
    },
)

TRAINING_STALLED = Situation(
    "AdapterTraining",
    "failed",
    "gates failed, the run failed, a name conflict, a bad reference",
    ready="False",
    abnormal="Stalled",
    reasons={
        "GateFailed": (
            "The adapter is trained, but a gate of promotion did not pass; the version before stays in service."
        ),
        "InvalidSpec": "The spec breaks a rule that the API server could not judge.",
        "NotPermitted": "The platform does not allow a field or value in this namespace.",
        "UnknownBaseModel": "baseModel.source is missing and the platform's catalogue does not know baseModel.name.",
        "ReferenceNotFound": "A training, version or queue that the spec names does not exist.",
        "NameConflict": "An object that this training does not own has the name of one of its children.",
        "OutputInUse": "Another object publishes under the same output and name.",
        "PreflightFailed": "Preflight found an error; no GPU was used.",
        "BadConfiguration": "The trainer refused its configuration (exit code 64).",
        "BadData": "The trainer refused the data (exit code 65).",
        "OutOfMemory": "The training does not fit into memory, also after its retries (exit code 76).",
        "Diverged": "The loss became infinite or no number (exit code 78); nothing was published.",
        "TrainerFailed": "The trainer crashed, also after its retries (exit code 70).",
        "NoProgress": "Five attempts in a row went on from the same step.",
        "DeadlineExceeded": "The attempts took longer than deadlineSeconds; the message holds the last failure.",
    },
)

TRAINING_SUSPENDED = Situation(
    "AdapterTraining",
    "suspended",
    "spec.suspend is true",
    ready="False",
    abnormal=None,
    reasons={"Suspended": "suspend is true: no pod runs, and the checkpoint is kept."},
)

DEPLOYMENT_SERVING = Situation(
    "AdapterDeployment",
    "serving",
    "all resolved adapters are served by all wanted pods",
    ready="True",
    abnormal=None,
    reasons={"AdaptersServed": "Every pod answers, and has verified, loaded and probed every adapter."},
    resolved="True",
)

DEPLOYMENT_LAST_VERSION = Situation(
    "AdapterDeployment",
    "serving the last version",
    "a followed training is gone or no longer shared, and its last version is served",
    ready="True",
    abnormal=None,
    reasons={"LastVersionServed": "An adapter's source no longer resolves; the last digest stays in service."},
    resolved="False",
)

DEPLOYMENT_SCALED_TO_ZERO = Situation(
    "AdapterDeployment",
    "scaled to zero",
    "no pod is wanted",
    ready="True",
    abnormal=None,
    reasons={"ScaledToZero": "replicas is 0, by the spec or by the autoscaler."},
)

DEPLOYMENT_IN_PROGRESS = Situation(
    "AdapterDeployment",
    "in progress",
    "pods are coming, adapters are loading, a training is waited for",
    ready="False",
    abnormal="Reconciling",
    reasons={
        "Pending": "The object was seen; its children are not there yet.",
        "PodsStarting": "Pods are starting: image, volumes, base model.",
        "Unschedulable": "No node has room for a pod; the message holds the scheduler's words.",
        "ImagePullFailed": "The image can't be pulled; it is tried again.",
        "QuotaExceeded": "A ResourceQuota does not admit a pod; it is tried again.",
        "VolumeUnavailable": "A Secret, ConfigMap or volume that the pods mount is missing.",
        "AdaptersLoading": "Pods are downloading, verifying or loading adapters.",
        "WaitingForTraining": "A followed training has not published its first version yet.",
        "RollingUpdate": "Pods are being replaced.",
        "ReducedCapacity": "Fewer pods than wanted answer, for want of room or of maxSurge.",
        "StorageUnavailable": "The store does not answer; what is loaded stays in service.",
    },
)

DEPLOYMENT_UNREACHABLE = Situation(
    "AdapterDeployment",
    "unreachable",
    "a pod has not been reachable for 60 seconds",
    ready="Unknown",
    abnormal="Reconciling",
    reasons={"PodUnreachable": "A pod's management port does not answer, so what it serves is not known."},
)

DEPLOYMENT_STALLED = Situation(
    "AdapterDeployment",
    "stalled",
    "an adapter is refused (forged, incompatible), or the pods cannot progress",
    ready="False",
    abnormal="Stalled",
    reasons={
        "AdapterRefused": "An artifact is torn, forged or not an adapter; the message names the file.",
        "BaseModelMismatch": "An adapter was trained on another base model.",
        "MethodNotSupported": "The engine can't serve an adapter's method.",
        "RankExceedsEngine": "An adapter's rank is over engine.maxRank: raise it, or train a smaller rank.",
        "StorageMismatch": "A training publishes to a store that spec.storage can't read.",
        "TooManyAdapters": "adapters and adapterSelector give more than 256 adapters together.",
        "InvalidMerge": "A merge names an adapter that is not there, or one that can't be merged.",
        "InvalidSpec": "The spec breaks a rule that the API server could not judge.",
        "NotPermitted": "The platform does not allow a field or value in this namespace.",
        "UnknownBaseModel": "baseModel.source is missing and the platform's catalogue does not know baseModel.name.",
        "NameConflict": "An object that this deployment does not own has the name of one of its children.",
        "ProgressDeadlineExceeded": "Pods did not become ready in time; the message holds the last failure.",
    },
)

DEPLOYMENT_UNRESOLVED = Situation(
    "AdapterDeployment",
    "nothing to serve",
    "a followed training is gone or not shared, and nothing of it was ever served",
    ready="False",
    abnormal="Stalled",
    reasons={
        "TrainingNotFound": "An adapter's training does not exist: check its name and namespace.",
        "NotShared": (
            "An adapter's training does not share with this namespace: add it to spec.sharing.namespaces there."
        ),
        "VersionNotFound": "An adapter's digest is no version of its training, or was pruned.",
    },
    resolved="False",
)

SITUATIONS = (
    TRAINING_USABLE,
    TRAINING_IN_PROGRESS,
    TRAINING_STALLED,
    TRAINING_SUSPENDED,
    DEPLOYMENT_SERVING,
    DEPLOYMENT_IN_PROGRESS,
    DEPLOYMENT_STALLED,
    DEPLOYMENT_LAST_VERSION,
    DEPLOYMENT_UNRESOLVED,
    DEPLOYMENT_UNREACHABLE,
    DEPLOYMENT_SCALED_TO_ZERO,
)

# Conditions beside the three of the table: what they say when True.
FURTHER_CONDITIONS: Mapping[KindName, Mapping[str, str]] = {
    "AdapterTraining": {
        "QuotaReserved": "Kueue has reserved quota for the Job (mirrored from its Workload).",
        "Admitted": "Kueue has admitted the Job (mirrored from its Workload).",
    },
    "AdapterDeployment": {
        "AdaptersResolved": "Every adapter's source names a version that this deployment may serve.",
    },
}
