"""What is there of an AdapterDeployment: its children, its pods and what they say, the trainings that it may follow."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapter_contract import AdapterReport, AdapterSet
from adapter_contract.errors import ContractError
from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.api.v1alpha1 import names
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.observe.owners import is_being_deleted, is_controlled_by
from adapter_operator.observe.pods import JSON
from adapter_operator.observe.served_trainings import FollowedTraining, Version, read_training
from adapter_operator.observe.server_pods import (
    PodReport,
    ServerPod,
    mounted_sets,
    read_server_pods,
)

__all__ = [
    "Conflict",
    "FollowedTraining",
    "LiveDeployment",
    "LiveSet",
    "ObservedDeployment",
    "PodReport",
    "ServerPod",
    "Version",
    "observe_deployment",
]


@dataclass(frozen=True)
class LiveSet:
    """A config map with an AdapterSet. `content` is None where somebody else has spoilt it."""

    name: str
    uid: str
    content: AdapterSet | None


@dataclass(frozen=True)
class LiveDeployment:
    """The apps/v1 Deployment.

    Attributes:
        manifest: the whole object.
        inputs_hash: what its pod template was made from, as annotated.
        applied_template: digest of the template as it was last built and applied, as annotated.
        contract_version: version of the AdapterSet that the template's image reads, as annotated.
        set_names: AdapterSets that the template mounts.
        settled: the Deployment controller has seen the newest spec.
        deadline_message: why it makes no progress; None while it does.
        creation_failure: why a pod could not be created; None where all could.
    """

    manifest: JSON
    inputs_hash: str | None = None
    applied_template: str | None = None
    contract_version: int | None = None
    set_names: tuple[str, ...] = ()
    settled: bool = True
    deadline_message: str | None = None
    creation_failure: str | None = None

    @property
    def template(self) -> JSON:
        """The pod template as it is."""
        found: JSON = self.manifest["spec"]["template"]
        return found

    @property
    def image(self) -> str:
        """What its pods run."""
        return str(self.template["spec"]["containers"][0]["image"])


@dataclass(frozen=True)
class Conflict:
    """An object that is not ours and has the name of a child.

    `leaving`: it is being deleted, or belongs to an earlier AdapterDeployment of the same name and will be.
    """

    kind: str
    name: str
    leaving: bool


@dataclass(frozen=True)
class ObservedDeployment:
    """Everything that planning a deployment needs to know of the cluster.

    Attributes:
        deployment, service, disruption_budget: the children of that kind; None where there is none of ours.
        sets: config maps of AdapterSets, ours alone.
        mounted_sets: names of those that a pod, or a ReplicaSet with replicas, mounts.
        pods: the living ones.
        trainings: by namespace and name.
        conflicts: objects of others that have the name of a child, or of an AdapterSet that a child could have.
    """

    deployment: LiveDeployment | None = None
    service: JSON | None = None
    disruption_budget: JSON | None = None
    sets: tuple[LiveSet, ...] = ()
    mounted_sets: frozenset[str] = frozenset()
    pods: tuple[ServerPod, ...] = ()
    trainings: Mapping[tuple[str, str], FollowedTraining] = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()

    def live_set(self, name: str) -> LiveSet | None:
        """The config map of that name."""
        return next((one for one in self.sets if one.name == name), None)

    def reports(self) -> tuple[AdapterReport, ...]:
        """What the living pods say."""
        return tuple(pod.report for pod in self.pods if pod.report is not None)


def observe_deployment(
    deployment: AdapterDeployment,
    *,
    deployments: Iterable[JSON] = (),
    replica_sets: Iterable[JSON] = (),
    pods: Iterable[JSON] = (),
    config_maps: Iterable[JSON] = (),
    services: Iterable[JSON] = (),
    disruption_budgets: Iterable[JSON] = (),
    events: Iterable[JSON] = (),
    reports: Mapping[str, PodReport] | None = None,
    trainings: Mapping[tuple[str, str], JSON] | None = None,
    revisions: Iterable[JSON] = (),
) -> ObservedDeployment:
    """Read the objects of one namespace, as the API server gave them, for one AdapterDeployment.

    Objects of others do no harm, but count as conflicts where they have the name of a child.

    Args:
        deployment: the resource.
        deployments: apps/v1 Deployments.
        replica_sets: apps/v1 ReplicaSets.
        pods: its pods, also those that are being deleted.
        config_maps: config maps.
        services: Services.
        disruption_budgets: PodDisruptionBudgets.
        events: Events about its pods.
        reports: what the pods said, by UID.
        trainings: AdapterTrainings of all namespaces, by namespace and name.
        revisions: ControllerRevisions of those trainings.

    """
    name, uid = deployment.metadata.name, deployment.metadata.uid
    workload = _named(name, deployments)
    owned = workload if workload is not None and is_controlled_by(workload, uid) else None
    children = {
        "Deployment": workload,
        "Service": _named(name, services),
        "PodDisruptionBudget": _named(name, disruption_budgets),
    }
    sets = [one for one in config_maps if _is_set_name(one["metadata"]["name"], name)]
    all_pods, all_revisions = list(pods), list(revisions)
    replicas = [one for one in replica_sets if owned is not None and is_controlled_by(one, owned["metadata"]["uid"])]
    return ObservedDeployment(
        deployment=None if owned is None else _read_deployment(owned, name),
        service=_if_ours(children["Service"], uid),
        disruption_budget=_if_ours(children["PodDisruptionBudget"], uid),
        sets=tuple(_read_set(one) for one in sets if is_controlled_by(one, uid)),
        mounted_sets=_sets_of(replicas, all_pods, name),
        pods=read_server_pods(
            all_pods,
            owners=[one["metadata"]["uid"] for one in replicas],
            deployment=name,
            reports=reports or {},
            events=events,
        ),
        trainings={key: read_training(one, all_revisions) for key, one in (trainings or {}).items()},
        conflicts=tuple(
            Conflict(kind, one["metadata"]["name"], leaving=_is_leaving(one, name))
            for kind, one in (*children.items(), *(("ConfigMap", one) for one in sets))
            if one is not None and not is_controlled_by(one, uid)
        ),
    )


def _named(name: str, objects: Iterable[JSON]) -> JSON | None:
    return next((one for one in objects if one["metadata"]["name"] == name), None)


def _if_ours(child: JSON | None, uid: str) -> JSON | None:
    return child if child is not None and is_controlled_by(child, uid) else None


def _is_leaving(child: JSON, deployment: str) -> bool:
    """Whether a foreign child will be gone soon: the garbage collector takes what an earlier object has left."""
    earlier = any(
        reference.get("controller")
        and (reference["kind"], reference["name"]) == (AdapterDeployment.__name__, deployment)
        for reference in child["metadata"].get("ownerReferences") or ()
    )
    return earlier or is_being_deleted(child)


def _is_set_name(name: str, deployment: str) -> bool:
    """Whether a config map stands where an AdapterSet of the deployment would."""
    return re.fullmatch(rf"{re.escape(deployment)}-set-[0-9a-f]{{{names.HASH_CHARACTERS}}}", name) is not None


def _read_set(config_map: JSON) -> LiveSet:
    try:
        content = AdapterSet.from_json((config_map.get("data") or {}).get(keys.SET_KEY) or "")
    except ContractError:
        content = None
    return LiveSet(config_map["metadata"]["name"], config_map["metadata"]["uid"], content)


def _sets_of(replica_sets: Iterable[JSON], pods: Iterable[JSON], deployment: str) -> frozenset[str]:
    """AdapterSets that a pod mounts, also one that is being deleted, or would mount if its ReplicaSet made it."""
    specs = [pod.get("spec", {}) for pod in pods]
    specs += [
        one["spec"]["template"]["spec"]
        for one in replica_sets
        if one["spec"].get("replicas") or one.get("status", {}).get("replicas")
    ]
    return frozenset(name for one in specs for name in mounted_sets(one, deployment))


def _read_deployment(workload: JSON, name: str) -> LiveDeployment:
    metadata, status, template = workload["metadata"], workload.get("status", {}), workload["spec"]["template"]
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    progressing, failure = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    annotated = metadata.get("annotations") or {}
    version = (template["metadata"].get("annotations") or {}).get(keys.CONTRACT_VERSION, "")
    return LiveDeployment(
        manifest=workload,
        inputs_hash=annotated.get(keys.TEMPLATE_INPUTS),
        applied_template=annotated.get(keys.TEMPLATE),
        contract_version=int(version) if version.isdecimal() else None,
        set_names=mounted_sets(template["spec"], name),
        settled=status.get("observedGeneration", 0) >= metadata.get("generation", 0),
        deadline_message=(
            progressing.get("message", "") if progressing.get("reason") == "ProgressDeadlineExceeded" else None
        ),
        creation_failure=failure.get("message", "") if failure.get("status") == "True" else None,
    )
