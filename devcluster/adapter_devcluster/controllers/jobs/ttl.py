"""Finished jobs are deleted ``ttlSecondsAfterFinished`` after their end.

Source: ``pkg/controller/ttlafterfinished/ttlafterfinished_controller.go``, v1.36.
"""

from __future__ import annotations

import datetime as dt

from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.jobs.spec import finished_condition
from adapter_devcluster.objects import Key, Object, is_deleting, parse_time, section, uid


class TtlController(Controller):
    """Deletes finished jobs and, in the background, their pods."""

    def start(self) -> None:
        """Begin to watch."""
        self.watch("jobs.batch")

    def sync(self, item: Key) -> None:
        """Delete a job if its time has come, or come back then. May raise StatusError."""
        job = self.client.get("jobs.batch", *item)
        left = None if job is None else seconds_left(job, dt.datetime.now(dt.UTC))
        if job is None or left is None:
            return
        if left > 0:
            self.enqueue_after(item, left)
            return
        self.client.delete("jobs.batch", *item, uid=uid(job), propagation="Background")


def seconds_left(job: Object, now: dt.datetime) -> float | None:
    """Return the seconds until a job is to be deleted; None where it is not.

    The end is known in whole seconds and lies up to a second after what is written; a job never goes too early.
    """
    ttl, ended = section(job, "spec").get("ttlSecondsAfterFinished"), finished_condition(job)
    if ttl is None or ended is None or is_deleting(job):
        return None
    wait = float(ttl) + 1 if ttl else 0.0
    return wait - (now - parse_time(ended["lastTransitionTime"])).total_seconds()
