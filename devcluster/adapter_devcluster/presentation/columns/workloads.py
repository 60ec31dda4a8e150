"""Workloads: what makes pods, and what says how many there are to be."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.objects import Object, controller_of, is_deleting, section
from adapter_devcluster.presentation.columns.base import (
    AGE,
    CONTAINERS,
    NAME,
    NONE,
    Cell,
    Column,
    KindColumns,
    age,
    condition_status,
    container_cells,
    label_selector_text,
    labels_text,
    name,
    number,
    since,
    template_cells,
    true_or_false,
)
from adapter_devcluster.selectors import selector_text

_APPS: Final = "io.k8s.api.apps.v1."
_BATCH: Final = "io.k8s.api.batch.v1."
_POD_SPEC: Final = "io.k8s.api.core.v1.PodSpec"
_READY: Final = Column("Ready", "Number of the pod with ready state")


def _selector(definition: str) -> Column:
    return Column("Selector", (definition, "selector"), wide=True)


def _deployment(obj: Object, now: int) -> list[Cell]:
    spec, status = section(obj, "spec"), section(obj, "status")
    return [
        name(obj),
        f"{number(status, 'readyReplicas')}/{number(spec, 'replicas')}",
        number(status, "updatedReplicas"),
        number(status, "availableReplicas"),
        age(obj, now),
        *template_cells(obj),
        selector_text(section(spec, "selector")),
    ]


def _replica_set(obj: Object, now: int) -> list[Cell]:
    spec, status = section(obj, "spec"), section(obj, "status")
    return [
        name(obj),
        number(spec, "replicas"),
        number(status, "replicas"),
        number(status, "readyReplicas"),
        age(obj, now),
        *template_cells(obj),
        label_selector_text(spec.get("selector")),
    ]


def _stateful_set(obj: Object, now: int) -> list[Cell]:
    ready = f"{number(section(obj, 'status'), 'readyReplicas')}/{number(section(obj, 'spec'), 'replicas')}"
    return [name(obj), ready, age(obj, now), *template_cells(obj)]


def _daemon_set(obj: Object, now: int) -> list[Cell]:
    spec, status = section(obj, "spec"), section(obj, "status")
    return [
        name(obj),
        number(status, "desiredNumberScheduled"),
        number(status, "currentNumberScheduled"),
        number(status, "numberReady"),
        number(status, "updatedNumberScheduled"),
        number(status, "numberAvailable"),
        labels_text(section(spec, "template", "spec").get("nodeSelector")),
        age(obj, now),
        *template_cells(obj),
        label_selector_text(spec.get("selector")),
    ]


def _controller_revision(obj: Object, now: int) -> list[Cell]:
    owner, controller = controller_of(obj), NONE
    if owner:
        group = str(owner.get("apiVersion", "")).rpartition("/")[0]
        kind = f"{owner.get('kind')}.{group}" if group else str(owner.get("kind"))
        controller = f"{kind.lower()}/{owner.get('name')}"
    return [name(obj), controller, number(obj, "revision"), age(obj, now)]


def _job(obj: Object, now: int) -> list[Cell]:
    spec, status = section(obj, "spec"), section(obj, "status")
    return [
        name(obj),
        _job_status(obj),
        _completions(spec, status),
        _duration(status, now),
        age(obj, now),
        *template_cells(obj),
        label_selector_text(spec.get("selector")),
    ]


def _job_status(obj: Object) -> str:
    def has(kind: str) -> bool:
        return condition_status(section(obj, "status").get("conditions"), kind) == "True"

    if finished := next((kind for kind in ("Complete", "Failed") if has(kind)), None):
        return finished
    if is_deleting(obj):
        return "Terminating"
    return next((kind for kind in ("Suspended", "FailureTarget") if has(kind)), "Running")


def _completions(spec: Object, status: Object) -> str:
    succeeded, parallelism = number(status, "succeeded"), number(spec, "parallelism")
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(status: Object, now: int) -> str:
    if not status.get("startTime"):
        return ""
    end = go_time.parse_date_time(status["completionTime"]) if status.get("completionTime") else now
    return since(status["startTime"], end)


def _cron_job(obj: Object, now: int) -> list[Cell]:
    spec, status = section(obj, "spec"), section(obj, "status")
    job = section(spec, "jobTemplate", "spec")
    last = status.get("lastScheduleTime")
    return [
        name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        true_or_false(spec.get("suspend")),
        len(status.get("active") or []),
        since(last, now) if last else NONE,
        age(obj, now),
        *container_cells(section(job, "template", "spec")),
        label_selector_text(job.get("selector")),
    ]


def _disruption_budget(obj: Object, now: int) -> list[Cell]:
    spec = section(obj, "spec")
    limits = [
        str(spec[field]) if spec.get(field) is not None else "N/A" for field in ("minAvailable", "maxUnavailable")
    ]
    return [name(obj), *limits, number(section(obj, "status"), "disruptionsAllowed"), age(obj, now)]


COLUMNS: Final = {
    ("apps", "Deployment"): KindColumns(
        (
            NAME,
            _READY,
            Column("Up-to-date", (f"{_APPS}DeploymentStatus", "updatedReplicas")),
            Column("Available", (f"{_APPS}DeploymentStatus", "availableReplicas")),
            AGE,
            *CONTAINERS,
            _selector(f"{_APPS}DeploymentSpec"),
        ),
        _deployment,
    ),
    ("apps", "ReplicaSet"): KindColumns(
        (
            NAME,
            Column("Desired", (f"{_APPS}ReplicaSetSpec", "replicas"), "integer"),
            Column("Current", (f"{_APPS}ReplicaSetStatus", "replicas"), "integer"),
            Column("Ready", (f"{_APPS}ReplicaSetStatus", "readyReplicas"), "integer"),
            AGE,
            *CONTAINERS,
            _selector(f"{_APPS}ReplicaSetSpec"),
        ),
        _replica_set,
    ),
    ("apps", "StatefulSet"): KindColumns((NAME, _READY, AGE, *CONTAINERS), _stateful_set),
    ("apps", "DaemonSet"): KindColumns(
        (
            NAME,
            Column("Desired", (f"{_APPS}DaemonSetStatus", "desiredNumberScheduled"), "integer"),
            Column("Current", (f"{_APPS}DaemonSetStatus", "currentNumberScheduled"), "integer"),
            Column("Ready", (f"{_APPS}DaemonSetStatus", "numberReady"), "integer"),
            Column("Up-to-date", (f"{_APPS}DaemonSetStatus", "updatedNumberScheduled"), "integer"),
            Column("Available", (f"{_APPS}DaemonSetStatus", "numberAvailable"), "integer"),
            Column("Node Selector", (_POD_SPEC, "nodeSelector")),
            AGE,
            *CONTAINERS,
            _selector(f"{_APPS}DaemonSetSpec"),
        ),
        _daemon_set,
    ),
    ("apps", "ControllerRevision"): KindColumns(
        (
            NAME,
            Column("Controller", "Controller of the object"),
            Column("Revision", (f"{_APPS}ControllerRevision", "revision")),
            AGE,
        ),
        _controller_revision,
    ),
    ("batch", "Job"): KindColumns(
        (
            NAME,
            Column("Status", "Status of the job."),
            Column("Completions", (f"{_BATCH}JobStatus", "succeeded")),
            Column("Duration", "Time required to complete the job."),
            AGE,
            *CONTAINERS,
            _selector(f"{_BATCH}JobSpec"),
        ),
        _job,
    ),
    ("batch", "CronJob"): KindColumns(
        (
            NAME,
            Column("Schedule", (f"{_BATCH}CronJobSpec", "schedule")),
            Column("Timezone", (f"{_BATCH}CronJobSpec", "timeZone")),
            Column("Suspend", (f"{_BATCH}CronJobSpec", "suspend"), "boolean"),
            Column("Active", (f"{_BATCH}CronJobStatus", "active"), "integer"),
            Column("Last Schedule", (f"{_BATCH}CronJobStatus", "lastScheduleTime")),
            AGE,
            *CONTAINERS,
            _selector(f"{_BATCH}JobSpec"),
        ),
        _cron_job,
    ),
    ("policy", "PodDisruptionBudget"): KindColumns(
        (
            NAME,
            Column("Min Available", "The minimum number of pods that must be available."),
            Column("Max Unavailable", "The maximum number of pods that may be unavailable."),
            Column("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.", "integer"),
            AGE,
        ),
        _disruption_budget,
    ),
}
