"""Pods that carry the job finalizer with no job left to count them: the finalizer goes, so that they can go.

Source: ``syncOrphanPod`` and ``cleanupPodFinalizers`` of ``pkg/controller/job/job_controller.go``, v1.36.
"""

from __future__ import annotations

from adapter_devcluster.client import Change
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.jobs.claims import untrack
from adapter_devcluster.controllers.jobs.pods import is_tracked
from adapter_devcluster.controllers.jobs.spec import is_finished, is_managed_elsewhere
from adapter_devcluster.objects import Key, Object, controller_of, key, uid


class OrphanedPods(Controller):
    """Its keys are pods."""

    def start(self) -> None:
        """Begin to watch."""
        self.watch("pods", self._pod_changed)
        self.watch("jobs.batch", self._job_changed)

    def sync(self, item: Key) -> None:
        """Take the finalizer from a pod whose job is gone or finished. May raise StatusError."""
        pod = self.client.get("pods", *item)
        if pod is not None and is_tracked(pod) and not self._is_counted_by_somebody(pod):
            untrack(self.client, pod)

    def _pod_changed(self, change: Change) -> None:
        if change.type != "DELETED" and is_tracked(change.object):
            self.enqueue(key(change.object))

    def _job_changed(self, change: Change) -> None:
        """Look after the pods of a job that has ended or is gone."""
        if change.type != "DELETED" and not is_finished(change.object):
            return
        for pod in self.client.list("pods", key(change.object)[0]):
            controller = controller_of(pod)
            if controller and controller.get("uid") == uid(change.object) and is_tracked(pod):
                self.enqueue(key(pod))

    def _is_counted_by_somebody(self, pod: Object) -> bool:
        """Whether a controller will still take the finalizer itself."""
        controller = controller_of(pod)
        if controller is None:
            return False
        if (controller.get("apiVersion"), controller.get("kind")) != ("batch/v1", "Job"):
            return True
        job = self.client.get("jobs.batch", key(pod)[0], str(controller.get("name")))
        if job is None or uid(job) != controller.get("uid"):
            return False
        return is_managed_elsewhere(job) or not is_finished(job)
