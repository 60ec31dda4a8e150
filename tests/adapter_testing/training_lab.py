"""One AdapterTraining in a model of a cluster: plans are carried out as the operator's executor does, in memory.

The tests play scheduler, kubelet and Job controller. Every status is held against the truth table and the API's schema.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from adapter_contract.exit_codes import ExitCode
from adapter_contract.progress import Phase, Progress
from adapter_contract.trainer_result import TrainerResult
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.conditions import violations
from adapter_operator.api.v1alpha1.labels import TRAINING_UID
from adapter_operator.api.v1alpha1.scalars import format_time
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.observe.training import ObservedTraining, observe_training
from adapter_operator.plan.plan import Deletion, EventRecord, FencedCreate, Plan
from adapter_operator.plan.training import plan_training
from adapter_testing.manifests import changed, example

JSON = dict[str, Any]

START = datetime(2030, 1, 31, 12, 0, 0, tzinfo=UTC)
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
SETTINGS = OperatorSettings.read(
    {
        "clusterName": "lab",
        "images": {"trainer": "adapter-trainer:1", "server": "adapter-server:1"},
        "storage": {
            "root": "s3://adapters/root",
            "endpointURL": "http://127.0.0.1:8333",
            "credentialsSecretRef": {"name": "store"},
        },
        "baseModels": [{"name": BASE, "revision": "r1", "source": {"s3": {"uri": "s3://models/smollm2/"}}}],
    }
)


def digest_of(letter: str) -> str:
    """A digest that a test can tell from others."""
    return f"sha256:{letter * 64}"


def training_document(put: Mapping[str, Any] | None = None, *, name: str = "support-bot", uid: str = "uid-1") -> JSON:
    """The minimal example as the API server has stored it, with changes."""
    document = changed(example("minimal", "AdapterTraining"), {"metadata.name": name, **(put or {})})
    document["metadata"] |= {"namespace": "team-a", "uid": uid, "generation": 1}
    return document


def trainer_result(run: int = 1, attempt: int = 1, digest: str | None = None, **fields: Any) -> TrainerResult:
    """A result; with a digest it is a success."""
    if digest is not None:
        fields = {"exit_code": ExitCode.DONE, "digest": digest, "metrics": {"Loss": "1.18"}} | fields
    return TrainerResult(run=run, attempt=attempt, **fields)


class TrainingLab:
    """The training, its children and a clock. `events` are all that were posted, `statuses` all that were written."""

    def __init__(
        self,
        put: Mapping[str, Any] | None = None,
        *,
        settings: OperatorSettings = SETTINGS,
        trainings: Mapping[str, JSON] | None = None,
    ) -> None:
        self.document = training_document(put)
        self.settings = settings
        self.trainings = dict(trainings or {})
        self.now = START
        self.jobs: dict[str, JSON] = {}
        self.pods: dict[str, JSON] = {}
        self.config_maps: dict[str, JSON] = {}
        self.revisions: dict[str, JSON] = {}
        self.progress: dict[str, Progress] = {}
        self.kubernetes_events: list[JSON] = []
        self.events: list[EventRecord] = []
        self.statuses: list[JSON] = []
        self.posted: list[str] = []
        self.requeue_after: float | None = None
        self._uids = itertools.count(1)

    # What the tests look at

    @property
    def status(self) -> JSON:
        found: JSON = self.document.get("status", {})
        return found

    @property
    def ready(self) -> JSON:
        return next(one for one in self.status["conditions"] if one["type"] == "Ready")

    @property
    def reason(self) -> str:
        return str(self.ready["reason"])

    @property
    def message(self) -> str:
        return str(self.ready["message"])

    @property
    def event_reasons(self) -> list[str]:
        return [event.reason for event in self.events]

    def outcomes(self) -> list[tuple[int, int, str | None]]:
        return [(one["run"], one["number"], one.get("outcome")) for one in self.status.get("attempts", [])]

    def live_jobs(self) -> list[str]:
        return [name for name, job in self.jobs.items() if not _is_finished(job)]

    def live_pods(self) -> list[str]:
        return [name for name, pod in self.pods.items() if not _has_ended(pod)]

    # What the operator does

    def training(self) -> AdapterTraining:
        return AdapterTraining.parse(deepcopy(self.document))

    def observe(self) -> ObservedTraining:
        return observe_training(
            self.training(),
            jobs=self.jobs.values(),
            pods=self.pods.values(),
            config_maps=self.config_maps.values(),
            revisions=self.revisions.values(),
            progress=self.progress,
            trainings=self.trainings,
            events=self.kubernetes_events,
        )

    def plan(self) -> Plan:
        return plan_training(self.training(), self.observe(), self.settings, self.now)

    def reconcile(self, limit: int = 10) -> None:
        """Plan and carry out until nothing is left to do."""
        for _ in range(limit):
            plan = self.plan()
            self.requeue_after = plan.requeue_after
            if plan.is_empty:
                return
            self.carry_out(plan)
        raise AssertionError(f"still something to do after {limit} rounds: {self.plan()}")

    def carry_out(self, plan: Plan) -> None:
        """Carry out the parts in their order."""
        for manifest in plan.create:
            self._create(manifest)
        if plan.status is not None:
            self._write_status(plan.status)
        if plan.fenced is not None:
            self._create_fenced(plan.fenced)
        assert not plan.apply
        assert not plan.nudge
        for deletion in plan.delete:
            self._delete(deletion)
        self.events.extend(plan.events)

    def _create(self, manifest: JSON) -> None:
        store = {"ConfigMap": self.config_maps, "ControllerRevision": self.revisions}[manifest["kind"]]
        name = manifest["metadata"]["name"]
        stored = store.get(name)
        if stored is None:
            store[name] = deepcopy(manifest)
            store[name]["metadata"]["uid"] = f"uid-{manifest['kind']}-{next(self._uids)}"
            return
        content = {key: value for key, value in stored.items() if key != "metadata"}
        assert content == {key: value for key, value in manifest.items() if key != "metadata"}

    def _write_status(self, status: JSON) -> None:
        generation = self.document["metadata"]["generation"]
        assert violations("AdapterTraining", status, generation) == []
        assert status != self.document.get("status"), "a status that does not differ is not to be written"
        self.document["status"] = deepcopy(status)
        assert self.training().to_dict()["status"] == status, "the API's schema would prune it"
        self.statuses.append(deepcopy(status))

    def _create_fenced(self, fenced: FencedCreate) -> None:
        name = fenced.manifest["metadata"]["name"]
        assert fenced.selector == f"{TRAINING_UID}={self.document['metadata']['uid']}"
        assert self.status["run"]["job"] == name, "the status must name the Job first"
        assert self.status["run"]["configMap"] in self.config_maps, "the Job's config map must exist"
        if name in self.jobs:
            return
        assert self.live_jobs() == [], "two live Jobs"
        assert self.live_pods() == [], "a pod of another attempt still runs"
        job = deepcopy(fenced.manifest)
        job["metadata"] |= {"uid": f"uid-job-{next(self._uids)}", "creationTimestamp": format_time(self.now)}
        self.jobs[name] = job
        self.posted.append(name)

    def _delete(self, deletion: Deletion) -> None:
        store = {"Job": self.jobs, "ConfigMap": self.config_maps}[deletion.kind]
        found = store.get(deletion.name)
        assert found is not None
        assert found["metadata"]["uid"] == deletion.uid
        if deletion.kind == "ConfigMap":
            del store[deletion.name]
            return
        assert deletion.propagation == "Foreground"
        found["metadata"]["deletionTimestamp"] = format_time(self.now)
        self.collect_garbage()

    # What users and the cluster do

    def edit(self, put: Mapping[str, Any] | None = None, remove: tuple[str, ...] = ()) -> None:
        """Change the spec; the generation goes up."""
        self.document = changed(
            self.document,
            {f"spec.{path}": value for path, value in (put or {}).items()},
            tuple(f"spec.{path}" for path in remove),
        )
        self.document["metadata"]["generation"] += 1

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def add_pod(self, *, scheduled: bool = True) -> JSON:
        """The Job controller makes the pod of the one live Job, and a node takes it."""
        (name,) = self.live_jobs()
        job = self.jobs[name]
        uid = f"uid-pod-{next(self._uids)}"
        pod: JSON = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-{uid[-2:]}",
                "namespace": "team-a",
                "uid": uid,
                "labels": dict(job["spec"]["template"]["metadata"]["labels"]),
                "creationTimestamp": format_time(self.now),
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": name,
                        "uid": job["metadata"]["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": deepcopy(job["spec"]["template"]["spec"]),
            "status": {"phase": "Pending"},
        }
        if scheduled:
            pod["status"]["startTime"] = format_time(self.now)
        self.pods[pod["metadata"]["name"]] = pod
        return pod

    def run_pod(self) -> JSON:
        """The one live pod runs; it is made if there is none."""
        pod = self.pods[self.live_pods()[0]] if self.live_pods() else self.add_pod()
        pod["status"] |= {
            "phase": "Running",
            "startTime": pod["status"].get("startTime", format_time(self.now)),
            "containerStatuses": [{"name": "trainer", "state": {"running": {"startedAt": format_time(self.now)}}}],
        }
        return pod

    def report(self, phase: Phase = Phase.TRAINING, *, step: int = 1, **fields: Any) -> None:
        """The stream of the one live pod tells."""
        (name,) = self.live_pods()
        run = self.status["run"]
        self.progress[self.pods[name]["metadata"]["uid"]] = Progress(
            run=run["number"], attempt=run["attempt"], phase=phase, step=step, updated_time=self.now, **fields
        )

    def end_pod(
        self,
        exit_code: int | None,
        message: str | bytes = "",
        *,
        reason: str | None = None,
        disrupted: bool = False,
        job_finishes: bool = True,
    ) -> None:
        """The one live pod ends, and its Job with it."""
        (name,) = self.live_pods()
        pod, end = self.pods[name], format_time(self.now)
        status: JSON = {**pod["status"], "phase": "Succeeded" if exit_code == 0 else "Failed", "conditions": []}
        text = message.decode() if isinstance(message, bytes) else message
        terminated = {"exitCode": exit_code, "finishedAt": end, "message": text}
        if reason == "Evicted":
            status["reason"] = reason
        else:
            terminated["reason"] = reason or ("Completed" if exit_code == 0 else "Error")
        status["containerStatuses"] = (
            [] if exit_code is None else [{"name": "trainer", "state": {"terminated": terminated}}]
        )
        if disrupted:
            status["conditions"] = [{"type": "DisruptionTarget", "status": "True", "lastTransitionTime": end}]
        pod["status"] = status
        if job_finishes:
            self.finish_jobs()

    def end_with(self, result: TrainerResult) -> None:
        """The one live pod ends with a result."""
        self.end_pod(int(result.exit_code), result.to_termination_message())

    def succeed(self, digest: str, **fields: Any) -> None:
        """The one live pod publishes."""
        run = self.status["run"]
        self.end_with(trainer_result(run["number"], run["attempt"], digest, **fields))

    def fail(self, code: ExitCode, message: str = "it failed", **fields: Any) -> None:
        """The one live pod ends with one of the trainer's codes."""
        run = self.status["run"]
        self.end_with(trainer_result(run["number"], run["attempt"], exit_code=code, message=message, **fields))

    def finish_jobs(self) -> None:
        """The Job controller sees which pods have ended."""
        for pod in self.pods.values():
            job = self.jobs.get(pod["metadata"]["ownerReferences"][0]["name"])
            if job is None or not _has_ended(pod) or _is_finished(job):
                continue
            kind = "Complete" if pod["status"]["phase"] == "Succeeded" else "Failed"
            condition = {"type": kind, "status": "True", "lastTransitionTime": format_time(self.now)}
            job["status"] = {"conditions": [condition]}
        self.collect_garbage()

    def collect_garbage(self) -> None:
        """Jobs that are deleted in the foreground go when their pods have ended, and take them along."""
        for name in [name for name, job in self.jobs.items() if "deletionTimestamp" in job["metadata"]]:
            below = [pod for pod in self.pods.values() if pod["metadata"]["ownerReferences"][0]["name"] == name]
            for pod in below:
                pod["metadata"]["deletionTimestamp"] = self.jobs[name]["metadata"]["deletionTimestamp"]
            if all(_has_ended(pod) for pod in below) and not self.keeps_ended_pods:
                self.drop_job(name)

    keeps_ended_pods = False
    """Whether the garbage collector is late: what has ended is still seen for a while."""

    def drop_job(self, name: str) -> None:
        """A Job and its pods are gone: TTL, garbage collection, a user."""
        self.jobs.pop(name, None)
        for pod in [pod for pod in self.pods.values() if pod["metadata"]["ownerReferences"][0]["name"] == name]:
            del self.pods[pod["metadata"]["name"]]


def _is_finished(job: JSON) -> bool:
    return bool(job.get("status", {}).get("conditions"))


def _has_ended(pod: JSON) -> bool:
    return pod["status"]["phase"] in {"Succeeded", "Failed"}
