"""A trainer's pod as the planner sees it: whether it waits, runs or has ended, and what it said at its end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapter_contract.errors import ContractError
from adapter_contract.progress import Progress
from adapter_contract.trainer_result import TrainerResult
from adapter_operator.observe.pods import Waiting, condition_status, is_running, is_terminal, read_time, waiting_for

JSON = Mapping[str, Any]

CONTAINER = "trainer"


@dataclass(frozen=True)
class PodEnd:
    """How a pod ended.

    Attributes:
        exit_code: of the trainer; None where it never ran or the pod vanished.
        reason: of the container's end (`OOMKilled`), else the pod's (`Evicted`).
        disrupted: something else than the trainer ended the pod: eviction, preemption, a lost node.
        time: when; None where nobody knows.
        result: what the trainer reported.
        message: the words of the trainer or the kubelet, where there is no result.

    """

    exit_code: int | None = None
    reason: str | None = None
    disrupted: bool = False
    time: datetime | None = None
    result: TrainerResult | None = None
    message: str = ""


VANISHED = PodEnd(message="the pod vanished before its end was seen")


@dataclass(frozen=True)
class ObservedPod:
    """A trainer's pod.

    Attributes:
        name, uid: of the pod.
        start_time: when the kubelet took it; None while it waits for a node.
        gpus: how many it holds.
        running: its container runs.
        waiting: what keeps it from running, where that needs attention.
        progress: the newest report of its stream.
        end: how it ended; None while it has not.

    """

    name: str
    uid: str
    start_time: datetime | None = None
    gpus: int = 0
    running: bool = False
    waiting: Waiting | None = None
    progress: Progress | None = None
    end: PodEnd | None = None


def observe_pod(pod: JSON, progress: Progress | None, events: Iterable[JSON]) -> ObservedPod:
    """Read a pod. Progress of a pod that has ended is of no use any more."""
    status = pod.get("status", {})
    return ObservedPod(
        name=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        start_time=read_time(status.get("startTime")),
        gpus=_gpus(pod),
        running=is_running(pod),
        waiting=waiting_for(pod, events),
        progress=progress,
        end=_end(pod) if is_terminal(pod) else None,
    )


def _gpus(pod: JSON) -> int:
    """Extended resources have a domain in their name; of them a trainer asks for GPUs alone."""
    limits = _trainer(pod.get("spec", {}).get("containers")).get("resources", {}).get("limits") or {}
    return sum(int(amount) for name, amount in limits.items() if "/" in name)


def _trainer(containers: Iterable[JSON] | None) -> JSON:
    """The trainer among containers or their statuses: something may have added sidecars to the pod."""
    return next((container for container in containers or () if container["name"] == CONTAINER), {})


def _end(pod: JSON) -> PodEnd:
    status = pod["status"]
    terminated: JSON = _trainer(status.get("containerStatuses")).get("state", {}).get("terminated") or {}
    said = str(terminated.get("message") or "")
    result, problem = _result(said)
    code = terminated.get("exitCode")
    return PodEnd(
        exit_code=None if code is None else int(code),
        reason=_reason(terminated, status),
        disrupted=condition_status(pod, "DisruptionTarget") == "True",
        time=read_time(terminated.get("finishedAt")) or _last_transition(status),
        result=result,
        message=" ".join((problem or str(status.get("message") or "")).split()),
    )


def _reason(terminated: JSON, status: JSON) -> str | None:
    """OOMKilled of the container, else what the kubelet says of the pod, such as Evicted."""
    reason = terminated.get("reason")
    found = reason if reason not in {None, "Error", "Completed"} else status.get("reason")
    return None if found is None else str(found)


def _result(message: str) -> tuple[TrainerResult | None, str]:
    """The trainer's result, else what it said in plain words, or why its document can't be read."""
    if not message.lstrip().startswith("{"):
        return None, message
    try:
        return TrainerResult.from_json(message.strip()), ""
    except ContractError as error:
        return None, f"the trainer's result can't be read: {error}"


def _last_transition(status: JSON) -> datetime | None:
    """When the pod's conditions last changed: near its end, where no container tells."""
    times = [read_time(condition.get("lastTransitionTime")) for condition in status.get("conditions") or ()]
    return max((time for time in times if time is not None), default=None)
