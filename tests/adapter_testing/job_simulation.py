"""A job and its pods with a clock of their own; plans are carried out as the Job controller does it, with no server."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.jobs.plan import Plan, make_plan
from adapter_devcluster.controllers.jobs.situation import Memory
from adapter_devcluster.controllers.jobs.spec import is_finished
from adapter_devcluster.objects import Object, copy, is_deleting, timestamp

START = dt.datetime(2026, 5, 4, 12, 0, 0, 700_000, tzinfo=dt.UTC)


def job_manifest(name: str = "train", **spec: Any) -> Object:
    """Return a job as the server would have stored it; ``restart`` is the restart policy of its pods."""
    restart = spec.pop("restart", "Never")
    labels = {"batch.kubernetes.io/controller-uid": "uid-job"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "lab", "uid": "uid-job", "creationTimestamp": timestamp(START)},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"restartPolicy": restart, "containers": [{"name": "main", "image": "app:1"}]},
            },
            **spec,
        },
        "status": {},
    }


class JobSimulation:
    """``statuses`` are all statuses that were written, ``events`` the reasons of all events."""

    def __init__(self, base_delay: float = 10.0, **spec: Any) -> None:
        self.job = job_manifest(**spec)
        self.base_delay = base_delay
        self.now = START
        self.pods: dict[str, Object] = {}
        self.memory = Memory()
        self.statuses: list[Object] = []
        self.events: list[str] = []
        self.wake_after: float | None = None
        self._numbers = itertools.count(1)

    @property
    def status(self) -> Object:
        """The job's status."""
        found: Object = self.job["status"]
        return found

    @property
    def conditions(self) -> list[tuple[str, str, str]]:
        """Type, status and reason of each condition."""
        return [(one["type"], one["status"], one["reason"]) for one in self.status.get("conditions", [])]

    @property
    def active(self) -> list[str]:
        """The names of the active pods."""
        return [name for name, pod in self.pods.items() if pod_state.is_active(pod)]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += dt.timedelta(seconds=seconds)

    def settle(self) -> None:
        """Sync until nothing changes any more."""
        for _ in range(20):
            if is_finished(self.job):
                return
            before = copy([self.job, self.pods])
            self.sync()
            if before == [self.job, self.pods]:
                return
        raise AssertionError("the job never comes to rest")

    def sync(self) -> Plan:
        """Sync once."""
        plan = make_plan(self.job, list(self.pods.values()), self.memory, self.now, self.base_delay)
        for pod in plan.delete:
            if plan.uncounted_removal:
                self.untrack(pod["metadata"]["name"])
            self.delete(pod["metadata"]["name"])
        for pod in plan.create:
            self._add(pod)
        if plan.status != self.status:
            self.job["status"] = copy(plan.status)
            self.statuses.append(copy(plan.status))
        for pod in plan.untrack:
            self.untrack(pod["metadata"]["name"])
        self.events += [reason for _, reason, _ in plan.events]
        self.memory, self.wake_after = plan.memory, plan.wake_after
        return plan

    def run(self, name: str, *, ready: bool = True) -> None:
        """Let a pod run."""
        self._set_status(name, "Running", {"running": {"startedAt": timestamp(self.now)}}, ready=ready)

    def finish(self, name: str, code: int = 0, conditions: tuple[Object, ...] = ()) -> None:
        """Let a pod end with an exit code. One that is being deleted and counted goes with that."""
        end = {"terminated": {"exitCode": code, "finishedAt": timestamp(self.now)}}
        self._set_status(name, "Failed" if code else "Succeeded", end, ready=False, conditions=conditions)
        self._drop_if_released(name)

    def delete(self, name: str) -> None:
        """Delete a pod; it takes its time to end."""
        self.pods[name] = copy(self.pods[name])
        self.pods[name]["metadata"] |= {"deletionTimestamp": timestamp(self.now), "deletionGracePeriodSeconds": 0}
        self._drop_if_released(name)

    def untrack(self, name: str) -> None:
        """Take the finalizer from a pod, if it is still there."""
        if name not in self.pods:
            return
        self.pods[name] = copy(self.pods[name])
        self.pods[name]["metadata"].pop("finalizers", None)
        self._drop_if_released(name)

    def _add(self, pod: Object) -> None:
        number = next(self._numbers)
        pod = copy(pod)
        name = f"{pod['metadata'].pop('generateName')}{number:05}"
        pod["metadata"] |= {"name": name, "uid": f"uid-{number}", "creationTimestamp": timestamp(self.now)}
        pod["status"] = {"phase": "Pending"}
        self.pods[name] = pod

    def _set_status(
        self, name: str, phase: str, state: Object, *, ready: bool, conditions: tuple[Object, ...] = ()
    ) -> None:
        self.pods[name] = copy(self.pods[name])
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "lastTransitionTime": timestamp(self.now),
        }
        container = {"name": "main", "restartCount": 0, "state": state}
        self.pods[name]["status"] = {
            "phase": phase,
            "conditions": [condition, *conditions],
            "containerStatuses": [container],
        }

    def _drop_if_released(self, name: str) -> None:
        """A deleted pod goes once it has ended (one that never ran has nothing to end) and has no finalizer."""
        pod = self.pods[name]
        running = pod["status"]["phase"] == "Running"
        if is_deleting(pod) and not running and not pod["metadata"].get("finalizers"):
            del self.pods[name]


def started(**spec: Any) -> JobSimulation:
    """Return the simulation of a job whose first syncs are done."""
    simulation = JobSimulation(**spec)
    simulation.settle()
    return simulation
