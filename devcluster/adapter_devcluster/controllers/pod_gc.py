"""Pods that were deleted before they had a node: nobody runs or ends them, so they are ended here.

Without this a job with ``podReplacementPolicy: Failed`` would wait for their end for ever, and keep them by its
finalizer. Source: ``gcUnscheduledTerminating`` of ``pkg/controller/podgc/gc_controller.go``, v1.36, which looks every
20 seconds.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from adapter_devcluster.client import Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.pod_state import is_terminating, node_name
from adapter_devcluster.objects import Key, meta, parse_time

DELAY_SECONDS: Final = 10.0


class PodGarbageCollector(Controller):
    """Gives the phase Failed to pods that are being deleted and were never scheduled, after ``delay`` seconds."""

    def __init__(self, client: Client, delay: float = DELAY_SECONDS) -> None:
        super().__init__(client)
        self._delay = delay

    def start(self) -> None:
        """Begin to watch."""
        self.watch("pods")

    def sync(self, item: Key) -> None:
        """End one pod if its time has come, or come back then. May raise StatusError."""
        pod = self.client.get("pods", *item)
        if pod is None or not is_terminating(pod) or node_name(pod):
            return
        deleted = parse_time(meta(pod)["deletionTimestamp"])
        left = self._delay - (dt.datetime.now(dt.UTC) - deleted).total_seconds()
        if left > 0:
            self.enqueue_after(item, left)
        else:
            self.client.patch("pods", *item, {"status": {"phase": "Failed"}}, "status")
