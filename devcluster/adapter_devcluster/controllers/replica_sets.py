"""The ReplicaSet controller: as many pods of a template as were asked for.

Source: ``pkg/controller/replicaset`` and ``pkg/controller/controller_utils.go``, v1.36. Where that keeps
expectations, because its caches lag behind its writes, this reads its own writes at once.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.ownership import (
    claim,
    controller_reference,
    namespace_is_terminating,
    possible_owners,
)
from adapter_devcluster.objects import (
    Key,
    Object,
    annotations_of,
    controller_of,
    copy,
    is_deleting,
    key,
    labels_of,
    meta,
    parse_time,
    section,
    timestamp,
    uid,
)
from adapter_devcluster.recorder import Recorder
from adapter_devcluster.selectors import label_selector
from adapter_devcluster.statuses import StatusError

REPLICA_SETS: Final = "replicasets.apps"
_PHASES: Final = {"Pending": 0, "Unknown": 1, "Running": 2}


class ReplicaSetController(Controller):
    """Creates and deletes the pods of ReplicaSets, and counts them in their status."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._recorder = Recorder(client, "replicaset-controller")

    def start(self) -> None:
        """Watch ReplicaSets, their pods, and pods that nobody controls."""
        self.watch(REPLICA_SETS)
        self.watch_owned("pods", "ReplicaSet")
        self.watch("pods", self._offer_orphan)

    def _offer_orphan(self, change: Change) -> None:
        for item in possible_owners(self.client, REPLICA_SETS, change):
            self.enqueue(item)

    def sync(self, item: Key) -> None:
        """Bring the number of pods to what the spec says, then write the status."""
        replica_set = self.client.get(REPLICA_SETS, *item)
        if replica_set is None:
            return
        selector = label_selector(section(replica_set, "spec").get("selector"))
        pods = self.client.list("pods", item[0])
        active = claim(self.client, replica_set, "pods", selector, filter(pod_state.is_active, pods))
        failure = None if is_deleting(replica_set) else self._manage(replica_set, active)
        # Only what was there at the beginning is counted: pods made or deleted just now show in the next round.
        now = dt.datetime.now(dt.UTC)
        status = new_status(replica_set, active, terminating_pods(replica_set, pods), failure, now)
        if status != section(replica_set, "status"):
            self.client.update(REPLICA_SETS, {**replica_set, "status": status}, "status")
        self._look_again(item, replica_set, active, now)
        if failure is not None:
            raise failure

    def _manage(self, replica_set: Object, active: Sequence[Object]) -> StatusError | None:
        missing = wanted_replicas(replica_set) - len(active)
        if missing > 0:
            return self._create(replica_set, missing)
        if missing < 0:
            return self._delete(replica_set, active, -missing)
        return None

    def _create(self, replica_set: Object, count: int) -> StatusError | None:
        """Create pods until one is refused: the next would be refused for the same reason."""
        for _ in range(count):
            try:
                pod = self.client.create("pods", pod_from_template(replica_set))
            except StatusError as error:
                if namespace_is_terminating(error):
                    return None
                self._recorder.event(replica_set, "Warning", "FailedCreate", f"Error creating: {error}")
                return error
            message = f"Created pod: {meta(pod)['name']}"
            self._recorder.event(replica_set, "Normal", "SuccessfulCreate", message)
        return None

    def _delete(self, replica_set: Object, active: Sequence[Object], count: int) -> StatusError | None:
        failure = None
        for pod in deletion_order(active, self._related_pods(replica_set), dt.datetime.now(dt.UTC))[:count]:
            try:
                self.client.delete("pods", *key(pod), uid=uid(pod))
            except StatusError as error:
                self._recorder.event(replica_set, "Warning", "FailedDelete", f"Error deleting: {error}")
                failure = failure or error
                continue
            message = f"Deleted pod: {meta(pod)['name']}"
            self._recorder.event(replica_set, "Normal", "SuccessfulDelete", message)
        return failure

    def _related_pods(self, replica_set: Object) -> list[Object]:
        """Return the pods of every ReplicaSet of the same Deployment: they crowd nodes too."""
        owner = controller_of(replica_set)
        if owner is None:
            return []
        namespace = key(replica_set)[0]
        siblings = {
            uid(one)
            for one in self.client.list(REPLICA_SETS, namespace)
            if (controller_of(one) or {}).get("uid") == owner["uid"]
        }
        return [
            pod
            for pod in self.client.list("pods", namespace)
            if (controller_of(pod) or {}).get("uid") in siblings and pod_state.is_active(pod)
        ]

    def _look_again(self, item: Key, replica_set: Object, active: Sequence[Object], now: dt.datetime) -> None:
        """Count again when the next ready pod will have been ready for long enough."""
        seconds = [pod_state.available_in(pod, min_ready_seconds(replica_set), now) for pod in active]
        waiting = [one for one in seconds if one]
        if waiting:
            self.enqueue_after(item, min(waiting))


def wanted_replicas(replica_set: Object) -> int:
    """Return ``spec.replicas``; the default is 1."""
    found = section(replica_set, "spec").get("replicas")
    return 1 if found is None else int(found)


def min_ready_seconds(owner: Object) -> int:
    """Return ``spec.minReadySeconds``; the default is 0."""
    return int(section(owner, "spec").get("minReadySeconds") or 0)


def pod_from_template(replica_set: Object) -> Object:
    """Return a pod to create: the template with a name to be generated and its controller."""
    template = section(replica_set, "spec", "template")
    fields = ("labels", "annotations", "finalizers")
    metadata = {field: copy(meta(template)[field]) for field in fields if meta(template).get(field)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "namespace": key(replica_set)[0],
            "generateName": f"{key(replica_set)[1]}-",
            "ownerReferences": [controller_reference(replica_set)],
        },
        "spec": copy(section(template, "spec")),
    }


def terminating_pods(replica_set: Object, pods: Sequence[Object]) -> list[Object]:
    """Return the ReplicaSet's own pods that are going but have not ended."""
    return [
        pod
        for pod in pods
        if pod_state.is_terminating(pod) and (controller_of(pod) or {}).get("uid") == uid(replica_set)
    ]


def deletion_order(pods: Sequence[Object], related: Sequence[Object], now: dt.datetime) -> list[Object]:
    """Sort pods by how little is lost with them, the first to delete first.

    Unscheduled, then pending, then not ready ones; then those of the least deletion cost, on the most crowded
    nodes, ready for the shortest time, with the most restarts, and newest. Times count by their order of
    magnitude, as upstream's logarithmic scale down has it. ``related`` are the pods that crowd nodes.
    """
    crowd = Counter(pod_state.node_name(pod) for pod in related)

    def rank(pod: Object) -> tuple[Any, ...]:
        since = pod_state.ready_since(pod)
        created = meta(pod).get("creationTimestamp")
        return (
            bool(pod_state.node_name(pod)),
            _PHASES.get(pod_state.phase(pod), 0),
            pod_state.is_ready(pod),
            _deletion_cost(pod),
            -crowd[pod_state.node_name(pod)],
            _magnitude(since, now),
            -_restarts(pod),
            _magnitude(parse_time(created) if created else None, now),
            uid(pod),
        )

    return sorted(pods, key=rank)


def _deletion_cost(pod: Object) -> int:
    text = annotations_of(pod).get("controller.kubernetes.io/pod-deletion-cost", "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _magnitude(moment: dt.datetime | None, now: dt.datetime) -> int:
    """Return the order of magnitude of an age; -1 for one that is unknown or none."""
    nanoseconds = (now - moment).total_seconds() * 1e9 if moment else 0
    return int(math.log2(nanoseconds)) if nanoseconds > 0 else -1


def _restarts(pod: Object) -> int:
    statuses: list[Object] = section(pod, "status").get("containerStatuses") or []
    return max((int(one.get("restartCount") or 0) for one in statuses), default=0)


def new_status(
    replica_set: Object,
    active: Sequence[Object],
    terminating: Sequence[Object],
    failure: StatusError | None,
    now: dt.datetime,
) -> Object:
    """Count pods into a status. ``failure`` is why pods could not be made or deleted, if so."""
    labels = labels_of(section(replica_set, "spec", "template")).items()
    needed = min_ready_seconds(replica_set)
    counts = {
        "fullyLabeledReplicas": sum(labels <= labels_of(pod).items() for pod in active),
        "readyReplicas": sum(map(pod_state.is_ready, active)),
        "availableReplicas": sum(pod_state.available_in(pod, needed, now) == 0 for pod in active),
    }
    status: Object = {"replicas": len(active), "terminatingReplicas": len(terminating)}
    status |= {field: count for field, count in counts.items() if count}
    status["observedGeneration"] = int(meta(replica_set).get("generation") or 0)
    conditions = _conditions(replica_set, len(active), failure, now)
    return {**status, "conditions": conditions} if conditions else status


def _conditions(replica_set: Object, count: int, failure: StatusError | None, now: dt.datetime) -> list[Object]:
    """A failure that goes on keeps the condition of its beginning."""
    present: list[Object] = section(replica_set, "status").get("conditions") or []
    others = [one for one in present if one.get("type") != "ReplicaFailure"]
    if failure is None:
        return others
    if len(others) < len(present):
        return present
    return [
        *others,
        {
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": timestamp(now),
            "reason": "FailedCreate" if count < wanted_replicas(replica_set) else "FailedDelete",
            "message": str(failure),
        },
    ]
