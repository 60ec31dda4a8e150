"""Pods: how many containers are ready, and one word for what the pod is at."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.objects import Object, is_deleting, section
from adapter_devcluster.presentation.columns.base import (
    AGE,
    NAME,
    NONE,
    Cell,
    Column,
    KindColumns,
    age,
    condition_status,
    name,
    number,
    since,
)

_SPEC: Final = "io.k8s.api.core.v1.PodSpec"
_STATUS: Final = "io.k8s.api.core.v1.PodStatus"
_FINISHED: Final = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


class _Summary:
    """Goes through the statuses of the containers, as ``kubectl`` has always summed them up."""

    def __init__(self, pod: Object) -> None:
        self.pod = pod
        self.status = section(pod, "status")
        self.conditions = self.status.get("conditions") or []
        self.inits = section(pod, "spec").get("initContainers") or []
        self.sidecars = {one.get("name") for one in self.inits if one.get("restartPolicy") == "Always"}
        self.ready = 0
        self.restarts = 0
        self.last_restart = ""
        self.reason = str(self.status.get("reason") or self.status.get("phase") or "")
        if any(one.get("type") == "PodScheduled" and one.get("reason") == "SchedulingGated" for one in self.conditions):
            self.reason = "SchedulingGated"
        initializing = self._init_containers()
        if not initializing or condition_status(self.conditions, "Initialized") == "True":
            self._containers()
        self._deletion()

    def _count_restarts(self, container: Object) -> None:
        self.restarts += number(container, "restartCount")
        finished = section(container, "lastState", "terminated").get("finishedAt") or ""
        self.last_restart = max(self.last_restart, finished)

    def _init_containers(self) -> bool:
        for position, container in enumerate(self.status.get("initContainerStatuses") or []):
            self._count_restarts(container)
            terminated = section(container, "state").get("terminated")
            if terminated is not None and number(terminated, "exitCode") == 0:
                continue
            if container.get("name") in self.sidecars and container.get("started"):
                self.ready += bool(container.get("ready"))
                continue
            waiting = section(container, "state", "waiting").get("reason")
            if terminated is not None:
                self.reason = f"Init:{_end(terminated)}"
            elif waiting and waiting != "PodInitializing":
                self.reason = f"Init:{waiting}"
            else:
                self.reason = f"Init:{position}/{len(self.inits)}"
            return True
        return False

    def _containers(self) -> None:
        # Once initialized, only what still runs counts: sidecars and the containers.
        self.restarts, self.last_restart = 0, ""
        for container in self.status.get("initContainerStatuses") or []:
            if container.get("name") in self.sidecars:
                self._count_restarts(container)
        running = False
        for container in reversed(self.status.get("containerStatuses") or []):
            self._count_restarts(container)
            state = section(container, "state")
            if waiting := section(state, "waiting").get("reason"):
                self.reason = str(waiting)
            elif state.get("terminated") is not None:
                self.reason = _end(state["terminated"])
            elif container.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed" and running:
            self.reason = "Running" if condition_status(self.conditions, "Ready") == "True" else "NotReady"

    def _deletion(self) -> None:
        if not is_deleting(self.pod):
            return
        if self.status.get("reason") == "NodeLost":
            self.reason = "Unknown"
        elif self.status.get("phase") not in _FINISHED:
            self.reason = "Terminating"


def _end(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    signal = number(terminated, "signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{number(terminated, 'exitCode')}"


def _cells(pod: Object, now: int) -> list[Cell]:
    found = _Summary(pod)
    spec, status = section(pod, "spec"), found.status
    total = len(spec.get("containers") or []) + len(found.sidecars)
    restarts = str(found.restarts)
    if found.restarts and found.last_restart:
        restarts = f"{restarts} ({since(found.last_restart, now)} ago)"
    addresses = status.get("podIPs") or [{}]
    return [
        name(pod),
        f"{found.ready}/{total}",
        found.reason,
        restarts,
        age(pod, now),
        addresses[0].get("ip") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(spec, found.conditions),
    ]


def _readiness_gates(spec: Object, conditions: list[Object]) -> str:
    gates = spec.get("readinessGates") or []
    passed = sum(condition_status(conditions, str(one.get("conditionType"))) == "True" for one in gates)
    return f"{passed}/{len(gates)}" if gates else NONE


def _conditions(pod: Object) -> list[Object]:
    phase = section(pod, "status").get("phase")
    if phase not in _FINISHED:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _FINISHED[phase]}]


COLUMNS: Final = {
    ("", "Pod"): KindColumns(
        (
            NAME,
            Column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
            Column("Status", "The aggregate status of the containers in this pod."),
            Column("Restarts", "How often the containers of this pod were restarted, and when the last of them was."),
            AGE,
            Column("IP", (_STATUS, "podIP"), wide=True),
            Column("Node", (_SPEC, "nodeName"), wide=True),
            Column("Nominated Node", (_STATUS, "nominatedNodeName"), wide=True),
            Column("Readiness Gates", (_SPEC, "readinessGates"), wide=True),
        ),
        _cells,
        _conditions,
    )
}
