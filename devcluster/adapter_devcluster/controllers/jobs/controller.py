"""The Job controller: reads a job and its pods, plans, and does what the plan says.

Source: ``pkg/controller/job/job_controller.go``, v1.36.
"""

from __future__ import annotations

import datetime as dt

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.jobs.backoff import BASE_SECONDS
from adapter_devcluster.controllers.jobs.claims import claim_pods, untrack
from adapter_devcluster.controllers.jobs.orphans import OrphanedPods
from adapter_devcluster.controllers.jobs.plan import Plan, make_plan, with_fewer_active
from adapter_devcluster.controllers.jobs.situation import Memory
from adapter_devcluster.controllers.jobs.spec import is_finished, is_managed_elsewhere
from adapter_devcluster.controllers.ownership import namespace_is_terminating
from adapter_devcluster.objects import Key, Object, controller_of, copy, key, labels_of, section, uid
from adapter_devcluster.recorder import Recorder
from adapter_devcluster.selectors import label_selector
from adapter_devcluster.statuses import StatusError


class JobController(Controller):
    """Runs the pods of jobs and keeps their status.

    ``base_delay`` is the wait in seconds before the first replacement of a failed pod; it doubles from there.
    """

    def __init__(self, client: Client, base_delay: float = BASE_SECONDS) -> None:
        super().__init__(client)
        self._base_delay = base_delay
        self._recorder = Recorder(client, "job-controller")
        self._memories: dict[Key, tuple[str, Memory]] = {}
        self._orphans = OrphanedPods(client)

    def start(self) -> None:
        """Begin to watch."""
        self.watch("jobs.batch")
        self.watch_owned("pods", "Job")
        self.watch("pods", self._stray_changed)
        self._orphans.start()

    def stop(self) -> None:
        """End watches and timers."""
        super().stop()
        self._orphans.stop()

    def sync(self, item: Key) -> None:
        """Bring one job on. May raise StatusError."""
        job = self.client.get("jobs.batch", *item)
        if job is None or is_finished(job):
            self._memories.pop(item, None)
            return
        if is_managed_elsewhere(job):
            return
        pods = claim_pods(self.client, job)
        remembered, memory = self._memories.get(item, ("", Memory()))
        memory = memory if remembered == uid(job) else Memory()
        plan = make_plan(job, pods, memory, dt.datetime.now(dt.UTC), self._base_delay)
        self._delete(job, plan)
        made, refusal = self._create(job, plan)
        self._write(job, plan, made)
        self._memories[item] = uid(job), plan.memory
        for pod in plan.untrack:
            untrack(self.client, pod)
        if plan.wake_after is not None:
            self.enqueue_after(item, plan.wake_after)
        if refusal is not None:
            raise refusal

    def _stray_changed(self, change: Change) -> None:
        """Enqueue each job that may take over a pod without a controller."""
        pod = change.object
        if controller_of(pod) is not None:
            return
        for job in self.client.list("jobs.batch", key(pod)[0]):
            if label_selector(section(job, "spec").get("selector")).matches(labels_of(pod)):
                self.enqueue(key(job))

    def _delete(self, job: Object, plan: Plan) -> None:
        for pod in plan.delete:
            namespace, name = key(pod)
            if plan.uncounted_removal:
                untrack(self.client, pod)
            try:
                self.client.delete("pods", namespace, name, uid=uid(pod))
            except StatusError as error:
                self._recorder.event(job, "Warning", "FailedDelete", f"Error deleting: {error}")
                raise
            self._recorder.event(job, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    def _create(self, job: Object, plan: Plan) -> tuple[int, StatusError | None]:
        """Create pods. Return how many there are, and the refusal that ended it.

        After a refusal the rest is not tried, as it would be refused likewise. In a namespace that is being deleted
        there is nothing to report or to try again.
        """
        for made, pod in enumerate(plan.create):
            try:
                created = self.client.create("pods", pod)
            except StatusError as error:
                if namespace_is_terminating(error):
                    return made, None
                self._recorder.event(job, "Warning", "FailedCreate", f"Error creating: {error}")
                return made, error
            self._recorder.event(job, "Normal", "SuccessfulCreate", f"Created pod: {key(created)[1]}")
        return len(plan.create), None

    def _write(self, job: Object, plan: Plan, made: int) -> None:
        status = with_fewer_active(plan.status, len(plan.create) - made)
        if status != section(job, "status"):
            self.client.update("jobs.batch", {**copy(job), "status": status}, "status")
        for kind, reason, message in plan.events:
            self._recorder.event(job, kind, reason, message)
