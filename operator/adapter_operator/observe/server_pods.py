"""The pods of a deployment: what Kubernetes says of each, and what each says of its adapters."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from adapter_contract import AdapterReport
from adapter_contract.adapter_set import AdapterStatus
from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.observe.owners import controller_uid, is_being_deleted
from adapter_operator.observe.pods import JSON, Waiting, is_terminal, read_time, waiting_for

_GENERATION: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_NUDGE: Final = re.compile(r"(?P<times>[0-9]{1,6})@(?P<time>[0-9T:-]+Z)", re.ASCII)
_MAX_WORDS: Final = 512


@dataclass(frozen=True)
class PodReport:
    """What is known from a pod's management port.

    Attributes:
        report: the latest answer; None before the first.
        received: when it came; before the first answer, when it was first asked for.
        unreachable_since: since when the pod does not answer; None while it does.
    """

    report: AdapterReport | None
    received: datetime
    unreachable_since: datetime | None = None


@dataclass(frozen=True)
class Nudge:
    """What a pod's annotations say of the nudges that it got.

    Attributes:
        generation: of the AdapterSet that it was told of.
        times: how often it was told.
        time: when last.
    """

    generation: int
    times: int
    time: datetime


@dataclass(frozen=True)
class ServerPod:
    """One pod of a deployment that is not being deleted and has not ended.

    Attributes:
        set_names: the config maps of AdapterSets that it mounts.
        inputs_hash: of the template that it was made from.
        running: its containers were started.
        ready: it gets requests.
        ready_since: since when it does.
        created: when the object was created.
        nudge: the nudges that it got.
        waiting: what keeps it from running, where that needs attention.
        failure: how its container last ended, where it is not ready since.
        heard: what is known from its management port; None where nobody asked yet.
    """

    name: str
    uid: str
    set_names: tuple[str, ...]
    inputs_hash: str | None
    running: bool
    ready: bool
    ready_since: datetime | None = None
    created: datetime | None = None
    nudge: Nudge | None = None
    waiting: Waiting | None = None
    failure: str | None = None
    heard: PodReport | None = None

    @property
    def report(self) -> AdapterReport | None:
        """The latest answer of the management port."""
        return self.heard.report if self.heard is not None else None

    def adapter(self, name: str) -> AdapterStatus | None:
        """What the pod says of an adapter."""
        return self._adapters.get(name)

    @cached_property
    def _adapters(self) -> Mapping[str, AdapterStatus]:
        return {one.name: one for one in self.report.adapters} if self.report is not None else {}


def read_server_pods(
    pods: Iterable[JSON],
    *,
    owners: Iterable[str],
    deployment: str,
    reports: Mapping[str, PodReport],
    events: Iterable[JSON] = (),
) -> tuple[ServerPod, ...]:
    """The living pods that are controlled by one of the owners, oldest first.

    Args:
        pods: as the API server gave them.
        owners: UIDs of the deployment's ReplicaSets.
        deployment: name of the AdapterDeployment.
        reports: what was heard, by the UID of the pod.
        events: of the pods; only they tell that a volume can't be mounted.
    """
    wanted, about = frozenset(owners), list(events)
    found = [
        _read(pod, deployment, reports.get(pod["metadata"]["uid"]), about)
        for pod in pods
        if controller_uid(pod) in wanted and not is_being_deleted(pod) and not is_terminal(pod)
    ]
    return tuple(sorted(found, key=lambda pod: (pod.created.timestamp() if pod.created else 0.0, pod.name)))


def mounted_sets(pod_spec: JSON, deployment: str) -> tuple[str, ...]:
    """Names of the AdapterSet config maps of a deployment that a pod spec mounts."""
    names = (str((volume.get("configMap") or {}).get("name", "")) for volume in pod_spec.get("volumes") or ())
    return tuple(name for name in names if name.startswith(f"{deployment}-set-"))


def _read(pod: JSON, deployment: str, heard: PodReport | None, events: Iterable[JSON]) -> ServerPod:
    metadata, status = pod["metadata"], pod.get("status", {})
    annotations = metadata.get("annotations") or {}
    ready: JSON = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), {})
    is_ready = ready.get("status") == "True"
    return ServerPod(
        name=metadata["name"],
        uid=metadata["uid"],
        set_names=mounted_sets(pod.get("spec", {}), deployment),
        inputs_hash=annotations.get(keys.TEMPLATE_INPUTS),
        running=status.get("phase") == "Running",
        ready=is_ready,
        ready_since=read_time(ready.get("lastTransitionTime")) if is_ready else None,
        created=read_time(metadata.get("creationTimestamp")),
        nudge=_read_nudge(annotations),
        waiting=waiting_for(pod, events),
        failure=None if is_ready else _failure(pod),
        heard=heard,
    )


def _failure(pod: JSON) -> str | None:
    """How a container of the pod last ended, if it did not end well."""
    for container in pod.get("status", {}).get("containerStatuses") or ():
        last = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
        if last and last.get("exitCode") != 0:
            why = [str(last[key]) for key in ("reason", "message") if last.get(key) and last[key] != "Error"]
            words = " ".join(": ".join(why).split())[:_MAX_WORDS]
            restarts = container.get("restartCount") or 0
            how = f"container {container['name']} ended with code {last.get('exitCode')}, restarts: {restarts}"
            return f"{how}: {words}" if words else how
    return None


def _read_nudge(annotations: Mapping[str, str]) -> Nudge | None:
    """Anybody may have written the annotations: what makes no sense is none."""
    generation = annotations.get(keys.SET_GENERATION, "")
    match = _NUDGE.fullmatch(annotations.get(keys.SET_NUDGE, ""))
    if match is None or not _GENERATION.fullmatch(generation):
        return None
    try:
        time = datetime.fromisoformat(match["time"])
    except ValueError:
        return None
    return Nudge(int(generation), int(match["times"]), time)
