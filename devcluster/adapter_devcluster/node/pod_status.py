"""A pod's status, worked out from its containers.

Sources: ``getPhase`` in ``pkg/kubelet/kubelet_pods.go`` and ``pkg/kubelet/status/generate.go``, v1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.node.container_state import ContainerState
from adapter_devcluster.objects import Object, meta, section

TERMINAL: Final = ("Succeeded", "Failed")


@dataclass(slots=True, kw_only=True)
class PodFacts:
    """What the status says beside the containers' states.

    ``ended``: no container will run again. ``phase``, ``reason`` and ``message``: what an end for another cause
    than the containers' own puts there. ``disruption`` is the condition DisruptionTarget.
    """

    host_address: str
    address: str = ""
    start_time: str = ""
    ended: bool = False
    phase: str = ""
    reason: str = ""
    message: str = ""
    disruption: Object | None = None


def pod_phase(spec: Object, states: Sequence[ContainerState], *, ended: bool) -> str:
    """Return Pending, Running, Succeeded or Failed; ``ended``: no container will run (again)."""
    policy = str(spec.get("restartPolicy") or "Always")
    mains = [one for one in states if one.kind == "main"]
    ends = [_exit_code(one) for one in mains]
    if policy == "Never" and any(one.exit_code for one in states if one.kind == "init"):
        return "Failed"
    if not ended and not all("running" in one.state or code is not None for one, code in zip(mains, ends, strict=True)):
        return "Pending"
    restarts = policy == "Always" or (policy == "OnFailure" and any(ends))
    if any("running" in one.state for one in mains) or (restarts and not ended):
        return "Running"
    return "Succeeded" if all(code == 0 for code in ends) else "Failed"


def _exit_code(state: ContainerState) -> int | None:
    """Return how a container ended, also while it waits to run again."""
    if "waiting" in state.state:
        found = section(state.last_state, "terminated").get("exitCode")
        return None if found is None else int(found)
    return state.exit_code


def pod_status(pod: Object, states: Sequence[ContainerState], facts: PodFacts, now: str) -> Object:
    """Return the whole status; what the kubelet does not own is kept from the pod's."""
    before = section(pod, "status")
    phase = pod_phase(pod["spec"], states, ended=facts.ended)
    if facts.ended and facts.phase:
        phase = facts.phase
    elif phase in TERMINAL and not facts.ended:
        # A pod whose processes may still run, sidecars included, holds what it has.
        phase = str(before.get("phase") or "Pending")
    # A phase that others ended the pod with stays.
    phase = before["phase"] if before.get("phase") in TERMINAL else phase
    status = {
        **{field: value for field, value in before.items() if field not in ("reason", "message")},
        "observedGeneration": meta(pod).get("generation", 1),
        "phase": phase,
        "hostIP": facts.host_address,
        "hostIPs": [{"ip": facts.host_address}],
        "startTime": facts.start_time,
        "conditions": _conditions(pod, states, facts, phase, now),
        "containerStatuses": [one.status() for one in states if one.kind == "main"],
    }
    if facts.address:
        status |= {"podIP": facts.address, "podIPs": [{"ip": facts.address}]}
    if inits := [one.status() for one in states if one.kind != "main"]:
        status["initContainerStatuses"] = inits
    told = {"reason": facts.reason, "message": facts.message} if facts.ended else before
    status |= {field: told[field] for field in ("reason", "message") if told.get(field)}
    return status


def _conditions(pod: Object, states: Sequence[ContainerState], facts: PodFacts, phase: str, now: str) -> list[Object]:
    before: list[Object] = section(pod, "status").get("conditions") or []
    ready = _containers_ready(states, phase)
    can_start = bool(facts.address) and not facts.ended
    wanted: list[Object] = [
        {"type": "PodReadyToStartContainers", "status": "True" if can_start else "False"},
        {"type": "Initialized", **_initialized(states, phase)},
        {"type": "Ready", **_pod_ready(pod, before, ready)},
        {"type": "ContainersReady", **ready},
        {"type": "PodScheduled", "status": "True"},
    ]
    if facts.disruption:
        wanted.append({"type": "DisruptionTarget", **facts.disruption})
    named = {one["type"] for one in wanted}
    generation = meta(pod).get("generation", 1)
    found = [_dated(one, before, generation, now) for one in wanted]
    return found + [one for one in before if one["type"] not in named]


def _dated(condition: Object, before: Sequence[Object], generation: int, now: str) -> Object:
    old = next((one for one in before if one["type"] == condition["type"]), {})
    since = old.get("lastTransitionTime") if old.get("status") == condition["status"] else None
    return {
        "type": condition["type"],
        "observedGeneration": generation,
        "status": condition["status"],
        "lastProbeTime": None,
        "lastTransitionTime": since or now,
        **{field: condition[field] for field in ("reason", "message") if condition.get(field)},
    }


def _initialized(states: Sequence[ContainerState], phase: str) -> Object:
    if phase == "Succeeded":
        return {"status": "True", "reason": "PodCompleted"}
    if any(one.kind == "main" and (one.container_id or one.last_state) for one in states):
        return {"status": "True"}
    incomplete = [one.name for one in states if not _is_complete(one)]
    if not incomplete:
        return {"status": "True"}
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return {"status": "False", "reason": "ContainersNotInitialized", "message": message}


def _is_complete(state: ContainerState) -> bool:
    return state.kind == "main" or (state.started if state.kind == "sidecar" else state.exit_code == 0)


def _containers_ready(states: Sequence[ContainerState], phase: str) -> Object:
    if phase in ("Succeeded", "Failed"):
        return {"status": "False", "reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    unready = [one.name for one in states if one.kind != "init" and not one.ready]
    if not unready:
        return {"status": "True"}
    message = f"containers with unready status: [{' '.join(unready)}]"
    return {"status": "False", "reason": "ContainersNotReady", "message": message}


def _pod_ready(pod: Object, conditions: Sequence[Object], containers_ready: Object) -> Object:
    if containers_ready["status"] != "True":
        return containers_ready
    problems = []
    for gate in section(pod, "spec").get("readinessGates") or []:
        kind = gate["conditionType"]
        found = next((one for one in conditions if one["type"] == kind), None)
        if found is None:
            problems.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif found["status"] != "True":
            problems.append(f'the status of pod readiness gate "{kind}" is not "True", but {found["status"]}')
    if not problems:
        return containers_ready
    return {"status": "False", "reason": "ReadinessGatesNotReady", "message": ", ".join(problems)}
