"""Puts pods on nodes: kube-scheduler's filters, its order by priority, and no preemption.

Pods with ``schedulerName: default-scheduler`` only. Pods' affinity to each other and topology spread have no
meaning on one node and are not looked at. A pod that fits nowhere is tried again when a pod ends or a node or a
claim changes, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.node.fit import problems, refusal
from adapter_devcluster.node.pod_requests import Amounts, added, amounts, pod_requests
from adapter_devcluster.node.pod_status import TERMINAL
from adapter_devcluster.objects import Key, Object, is_deleting, key, meta, section, timestamp, uid
from adapter_devcluster.recorder import Recorder
from adapter_devcluster.statuses import StatusError

_NAME: Final = "default-scheduler"
_QUEUE: Final = ("", "queue")


class Scheduler(Controller):
    """Keeps what each node has given away, and a queue of pods that wait."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._recorder = Recorder(client, _NAME)
        self._nodes: dict[str, Object] = {}
        # Pods on nodes that count, by uid: node and what they ask for.
        self._placed: dict[str, tuple[str, Amounts]] = {}
        self._used: dict[str, Amounts] = {}
        self._waiting_pods: dict[str, Object] = {}
        # Those of them that a node has refused, until something changes.
        self._refused: set[str] = set()

    def start(self) -> None:
        """Begin to watch."""
        self.watch("nodes", self._on_node)
        self.watch("persistentvolumeclaims", self._on_claim)
        self.watch("pods", self._on_pod)

    def sync(self, item: Key) -> None:
        """Place what can be placed, by priority and then by age."""
        del item
        todo = [pod for number, pod in self._waiting_pods.items() if number not in self._refused]
        for pod in sorted(todo, key=_order):
            self._schedule(pod)

    def _on_node(self, change: Change) -> None:
        name = str(meta(change.object)["name"])
        if change.type == "DELETED":
            self._nodes.pop(name, None)
            return
        old = self._nodes.get(name, {})
        self._nodes[name] = change.object
        if _matters(old) != _matters(change.object):
            self._retry_all()

    def _on_claim(self, change: Change) -> None:
        if change.type == "ADDED":
            self._retry_all()

    def _on_pod(self, change: Change) -> None:
        pod, number = change.object, uid(change.object)
        spec, phase = section(pod, "spec"), section(pod, "status").get("phase")
        if change.type == "DELETED" or phase in TERMINAL:
            self._waiting_pods.pop(number, None)
            self._refused.discard(number)
            self._forget(number)
        elif spec.get("nodeName"):
            self._waiting_pods.pop(number, None)
            self._refused.discard(number)
            self._place(pod, str(spec["nodeName"]))
        elif spec.get("schedulerName", _NAME) == _NAME and not spec.get("schedulingGates") and not is_deleting(pod):
            old = self._waiting_pods.get(number)
            self._waiting_pods[number] = pod
            if old is None or old["spec"] != spec:
                self._refused.discard(number)
                self.enqueue(_QUEUE)
        else:
            self._waiting_pods.pop(number, None)

    def _place(self, pod: Object, node: str) -> None:
        if uid(pod) not in self._placed:
            asked = pod_requests(pod)
            self._placed[uid(pod)] = node, asked
            self._used[node] = added(self._used.get(node, {}), asked)

    def _forget(self, number: str) -> None:
        node, asked = self._placed.pop(number, ("", {}))
        if node:
            self._used[node] = added(self._used[node], {name: -amount for name, amount in asked.items()})
            self._retry_all()

    def _retry_all(self) -> None:
        self._refused.clear()
        if self._waiting_pods:
            self.enqueue(_QUEUE)

    def _schedule(self, pod: Object) -> None:
        asked = pod_requests(pod)
        missing = next(self._missing_claims(pod), "")
        reasons = {name: problems(pod, node, asked, self._free(name, node)) for name, node in self._nodes.items()}
        fitting = [] if missing else [name for name, found in reasons.items() if not found]
        if not fitting:
            self._refuse(pod, refusal(list(reasons.values()), missing))
            self._refused.add(uid(pod))
            return
        # The emptiest: that is what the scheduler's default score comes to.
        self._bind(pod, min(fitting, key=lambda name: self._used.get(name, {}).get("pods", Fraction())))

    def _free(self, name: str, node: Object) -> Amounts:
        used = self._used.get(name, {})
        return {
            resource: amount - used.get(resource, Fraction())
            for resource, amount in amounts(section(node, "status", "allocatable")).items()
        }

    def _missing_claims(self, pod: Object) -> Iterator[str]:
        for volume in section(pod, "spec").get("volumes") or []:
            claim = section(volume, "persistentVolumeClaim").get("claimName")
            if claim and self.client.get("persistentvolumeclaims", key(pod)[0], claim) is None:
                yield f'persistentvolumeclaim "{claim}" not found'

    def _bind(self, pod: Object, node: str) -> None:
        namespace, name = key(pod)
        self._waiting_pods.pop(uid(pod), None)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": uid(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            self.client.update("pods", binding, "binding")
        except StatusError as error:
            # Deleted or bound by somebody else meanwhile: the watch will tell.
            self._recorder.event(pod, "Warning", "FailedScheduling", f"Binding rejected: {error}")
            return
        self._place(pod, node)
        self._recorder.event(pod, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")

    def _refuse(self, pod: Object, message: str) -> None:
        current = self.client.get("pods", *key(pod))
        if current is None or uid(current) != uid(pod):
            return
        conditions = section(current, "status").get("conditions") or []
        old: Object = next((one for one in conditions if one["type"] == "PodScheduled"), {})
        told = {"status": "False", "reason": "Unschedulable", "message": message}
        if {field: old.get(field) for field in told} != told:
            since = old.get("lastTransitionTime") if old.get("status") == "False" else None
            condition = {
                "type": "PodScheduled",
                "observedGeneration": meta(current).get("generation", 1),
                "lastProbeTime": None,
                "lastTransitionTime": since or timestamp(),
                **told,
            }
            others = [one for one in conditions if one["type"] != "PodScheduled"]
            status = {**section(current, "status"), "conditions": [*others, condition]}
            self.client.update("pods", {**current, "status": status}, "status")
        self._recorder.event(pod, "Warning", "FailedScheduling", message)


def _order(pod: Object) -> tuple[int, str]:
    return -int(section(pod, "spec").get("priority") or 0), str(meta(pod).get("creationTimestamp"))


def _matters(node: Object) -> object:
    """Return what of a node decides about pods."""
    spec = section(node, "spec")
    return (
        spec.get("unschedulable"),
        spec.get("taints"),
        meta(node).get("labels"),
        section(node, "status", "allocatable"),
    )
