"""A deployment and its surroundings as plain values: plans are carried out on them, and the test plays the cluster."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapter_contract import (
    AdapterReport,
    AdapterSet,
    AdapterState,
    AdapterStatus,
    EngineFacts,
    sha256_json,
)
from adapter_contract.layout import artifact_uri
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.conditions import violations
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.observe.deployment import ObservedDeployment, PodReport, observe_deployment
from adapter_operator.plan.deployment import plan_deployment
from adapter_operator.plan.plan import Plan

JSON = dict[str, Any]

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
UID = "11111111-aaaa-4bbb-8ccc-000000000001"
ENDPOINT = "http://store:9000"
OUTPUT = "s3://adapters/lab/team-a"
SETTINGS: JSON = {
    "clusterName": "lab",
    "images": {"trainer": "registry.example/adapter-trainer:1.0", "server": "registry.example/adapter-server:1.0"},
    "storage": {
        "root": "s3://adapters",
        "endpointURL": ENDPOINT,
        "region": "eu-central-1",
        "credentialsSecretRef": {"name": "store"},
    },
    "baseModels": [{"name": BASE, "source": {"s3": {"uri": "s3://models/smollm2/"}}}],
}


def digest(of: str) -> str:
    """The digest of an imagined artifact."""
    return sha256_json(of)


def written_time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def settings(**changes: Any) -> OperatorSettings:
    return OperatorSettings.read(deepcopy(SETTINGS) | changes)


def training(
    name: str = "support-bot",
    *,
    namespace: str = "team-a",
    version: int | None = 1,
    versions: Iterable[int] = (),
    shared_with: Iterable[str] = (),
    labels: Mapping[str, str] | None = None,
    endpoint: str | None = ENDPOINT,
) -> JSON:
    """An AdapterTraining that has published a version, or with None not yet."""
    status: JSON = {"conditions": [{"type": "Ready", "status": "False", "reason": "Training"}]}
    if endpoint is not None or version is not None:
        status["resolved"] = {"storage": {"uri": OUTPUT, **({"endpointURL": endpoint} if endpoint else {})}}
    if version is not None:
        status["adapter"] = record(name, version)
        status["versions"] = [record(name, number) for number in sorted({version, *versions}, reverse=True)]
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "labels": dict(labels or {}),
        },
        "spec": {"sharing": {"namespaces": list(shared_with)}} if shared_with else {},
        "status": status,
    }


def record(name: str, number: int) -> JSON:
    """What status says of a version."""
    found = digest(f"{name} {number}")
    return {"version": number, "digest": found, "uri": artifact_uri(OUTPUT, name, found)}


def revision(of: JSON, number: int, *, pruning: bool = False) -> JSON:
    """The ControllerRevision of a version."""
    name = of["metadata"]["name"]
    annotations = {"adapters.dev/pruning": "2030-01-01T00:00:00Z"} if pruning else {}
    return {
        "metadata": {
            "name": f"{name}-v{number}",
            "annotations": annotations,
            "ownerReferences": [{"kind": "AdapterTraining", "uid": of["metadata"]["uid"], "controller": True}],
        },
        "revision": number,
        "data": {**record(name, number), "version": number},
    }


def follows(name: str = "support-bot", *, adapter: str | None = None, **source: Any) -> JSON:
    """An entry of spec.adapters."""
    return {"name": adapter or name, "source": {"training": {"name": name, **source}}}


@dataclass
class ServingWorld:
    """What the API server holds, and what the pods say."""

    spec: JSON
    settings: OperatorSettings = field(default_factory=settings)
    now: datetime = NOW
    generation: int = 1
    status: JSON | None = None
    deployment: JSON | None = None
    service: JSON | None = None
    budget: JSON | None = None
    config_maps: dict[str, JSON] = field(default_factory=dict)
    replica_sets: dict[str, JSON] = field(default_factory=dict)
    pods: dict[str, JSON] = field(default_factory=dict)
    reports: dict[str, PodReport] = field(default_factory=dict)
    trainings: dict[tuple[str, str], JSON] = field(default_factory=dict)
    revisions: list[JSON] = field(default_factory=list)
    foreign: dict[str, JSON] = field(default_factory=dict)
    namespace: str = "team-a"
    _serial: int = 0

    @classmethod
    def of(cls, *adapters: JSON, trainings: Iterable[JSON] = (), **spec: Any) -> "ServingWorld":
        world = cls({"baseModel": {"name": BASE}, "adapters": list(adapters), **spec})
        world.set_trainings(*trainings)
        return world

    def set_trainings(self, *trainings: JSON) -> None:
        self.trainings = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in trainings}

    def edit(self, **spec: Any) -> None:
        """A user applies another spec."""
        self.spec = self.spec | spec
        self.generation += 1

    @property
    def resource(self) -> AdapterDeployment:
        metadata = {
            "name": "support",
            "namespace": self.namespace,
            "uid": UID,
            "generation": self.generation,
            "resourceVersion": "1",
        }
        document = {
            "apiVersion": "adapters.dev/v1alpha1",
            "kind": "AdapterDeployment",
            "metadata": metadata,
            "spec": self.spec,
        }
        return AdapterDeployment.parse(document | ({"status": self.status} if self.status is not None else {}))

    def observe(self) -> ObservedDeployment:
        children = [*self.foreign.values()]
        own = {"Deployment": self.deployment, "Service": self.service, "PodDisruptionBudget": self.budget}
        children += [one for one in own.values() if one is not None]
        children += self.config_maps.values()
        by_kind: dict[str, list[JSON]] = {}
        for one in children:
            by_kind.setdefault(one["kind"], []).append(one)
        return observe_deployment(
            self.resource,
            deployments=by_kind.get("Deployment", ()),
            services=by_kind.get("Service", ()),
            disruption_budgets=by_kind.get("PodDisruptionBudget", ()),
            config_maps=by_kind.get("ConfigMap", ()),
            replica_sets=list(self.replica_sets.values()),
            pods=list(self.pods.values()),
            reports=self.reports,
            trainings=self.trainings,
            revisions=self.revisions,
        )

    def plan(self) -> Plan:
        return plan_deployment(self.resource, self.observe(), self.settings, self.now)

    def reconcile(self) -> Plan:
        """Plan once and carry it out."""
        plan = self.plan()
        if plan.status is not None:
            self.status = deepcopy(plan.status)
            assert violations("AdapterDeployment", self.status, self.generation) == []
        for one in plan.apply:
            self._apply(deepcopy(one))
        for deletion in plan.delete:
            assert self.config_maps.pop(deletion.name)["metadata"]["uid"] == deletion.uid
        for nudge in plan.nudge:
            self.pods[nudge.name]["metadata"].setdefault("annotations", {}).update(nudge.annotations)
        return plan

    def settle(self) -> None:
        """Reconcile until nothing changes any more, time standing still."""
        for _ in range(6):
            if self.reconcile().is_empty:
                return
        raise AssertionError("the plans do not settle")

    def _apply(self, wanted: JSON) -> None:
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        wanted["metadata"]["uid"] = f"uid-{kind}-{name}"
        if kind == "ConfigMap":
            self.config_maps[name] = wanted
        elif kind == "Service":
            self.service = wanted
        elif kind == "PodDisruptionBudget":
            self.budget = wanted
        else:
            before = self.deployment or {"metadata": {"generation": 0}, "status": {}}
            number = before["metadata"]["generation"] + 1
            wanted["metadata"]["generation"] = number
            self.deployment = wanted | {"status": before["status"] | {"observedGeneration": number}}

    # The cluster's part.

    def template_name(self) -> str:
        """Name of the ReplicaSet of the present template."""
        assert self.deployment is not None
        return f"support-{sha256_json(self.deployment['spec']['template'])[7:17]}"

    def roll_out(self) -> None:
        """Create the ReplicaSet of the present template, and one pod of it that is starting."""
        assert self.deployment is not None
        name = self.template_name()
        owner = {"kind": "Deployment", "uid": self.deployment["metadata"]["uid"], "controller": True}
        self.replica_sets.setdefault(
            name,
            {
                "metadata": {"name": name, "uid": f"uid-{name}", "ownerReferences": [owner]},
                "spec": {"replicas": 1, "template": deepcopy(self.deployment["spec"]["template"])},
            },
        )

    def start_pod(self, *, ready: bool = True) -> str:
        """A new pod of the present template."""
        self.roll_out()
        self._serial += 1
        owner, name = self.template_name(), f"support-{self._serial}"
        template = deepcopy(self.replica_sets[owner]["spec"]["template"])
        self.pods[name] = {
            "metadata": {
                "name": name,
                "uid": f"uid-{name}",
                "creationTimestamp": written_time(self.now),
                "annotations": template["metadata"].get("annotations", {}),
                "ownerReferences": [{"kind": "ReplicaSet", "uid": f"uid-{owner}", "controller": True}],
            },
            "spec": template["spec"],
            "status": {"phase": "Running", "conditions": []},
        }
        self.set_ready(name, ready=ready)
        return name

    def set_ready(self, pod: str, *, ready: bool = True) -> None:
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": written_time(self.now)}
        self.pods[pod]["status"]["conditions"] = [condition]

    def remove_pod(self, pod: str) -> None:
        del self.pods[pod]
        self.reports.pop(f"uid-{pod}", None)
        used = {one["metadata"]["ownerReferences"][0]["uid"] for one in self.pods.values()}
        present = self.template_name() if self.deployment is not None else ""
        self.replica_sets = {
            name: one for name, one in self.replica_sets.items() if f"uid-{name}" in used or name == present
        }

    def was_heard(self, pod: str) -> bool:
        """Whether the pod's last answer, with the generation that it applied, is known."""
        known = self.reports.get(f"uid-{pod}")
        return known is not None and known.report is not None

    def mounted_set(self, pod: str) -> AdapterSet:
        volumes = {one["name"]: one for one in self.pods[pod]["spec"]["volumes"]}
        name = volumes["adapter-set"]["configMap"]["name"]
        return AdapterSet.from_json(self.config_maps[name]["data"]["adapter-set.json"])

    def report(self, pod: str, *states: AdapterStatus, generation: int | None = None) -> None:
        """The pod's management port answers."""
        report = AdapterReport(
            contract_version=1,
            generation=generation,
            ready=True,
            engine=EngineFacts(type="Transformers", base_model_name=BASE),
            adapters=states,
        )
        self.reports[f"uid-{pod}"] = PodReport(report, received=self.now)

    def sync(self, *pods: str, refuse: Mapping[str, tuple[str, str]] | None = None) -> None:
        """The pods make their mounted set so: all of them, unless some are named.

        Args:
            pods: those that do.
            refuse: reason and message by digest.

        """
        for pod in pods or tuple(self.pods):
            mounted = self.mounted_set(pod)
            states = [self._synced(entry, refuse or {}) for entry in mounted.adapters]
            self.report(pod, *states, generation=mounted.generation)

    def _synced(self, entry: Any, refuse: Mapping[str, tuple[str, str]]) -> AdapterStatus:
        fallback = entry.fallback.digest if entry.fallback is not None else None
        if entry.digest is None:
            return AdapterStatus(name=entry.name, state=AdapterState.WAITING, served_digest=fallback, since=self.now)
        if entry.digest in refuse:
            reason, message = refuse[entry.digest]
            return AdapterStatus(
                name=entry.name,
                state=AdapterState.REFUSED,
                desired_digest=entry.digest,
                served_digest=fallback if fallback != entry.digest else None,
                reason=reason,
                message=message,
                since=self.now,
            )
        return AdapterStatus(
            name=entry.name,
            state=AdapterState.SERVED,
            desired_digest=entry.digest,
            served_digest=entry.digest,
            since=self.now,
        )

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # What a test looks at.

    @property
    def ready(self) -> tuple[str, str]:
        """Status and reason of Ready."""
        condition = self.condition("Ready")
        assert condition is not None
        return condition["status"], condition["reason"]

    @property
    def message(self) -> str:
        condition = self.condition("Ready")
        assert condition is not None
        return str(condition["message"])

    def condition(self, type_: str) -> JSON | None:
        assert self.status is not None
        return next((one for one in self.status["conditions"] if one["type"] == type_), None)

    def adapter(self, name: str = "support-bot") -> JSON:
        assert self.status is not None
        return next(one for one in self.status["adapters"] if one["name"] == name)

    @property
    def current_set(self) -> AdapterSet:
        """The set that the present template mounts."""
        assert self.deployment is not None
        volumes = {one["name"]: one for one in self.deployment["spec"]["template"]["spec"]["volumes"]}
        name = volumes["adapter-set"]["configMap"]["name"]
        return AdapterSet.from_json(self.config_maps[name]["data"]["adapter-set.json"])

    def entry(self, name: str = "support-bot") -> Any:
        return next(one for one in self.current_set.adapters if one.name == name)


def serving(*adapters: JSON, trainings: Iterable[JSON] = (), **spec: Any) -> ServingWorld:
    """A world in which one pod serves all that is listed."""
    world = ServingWorld.of(*adapters, trainings=trainings, **spec)
    world.settle()
    for _ in range(spec.get("replicas", 1)):
        world.start_pod()
    world.sync()
    world.settle()
    world.sync()
    world.settle()
    return world
