"""PodDisruptionBudgets: their status, and whether they let a pod be evicted.

Source: ``pkg/controller/disruption/disruption.go`` and ``pkg/registry/core/pod/storage/eviction.go``, v1.36.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.int_or_percent import scaled_value
from adapter_devcluster.controllers.replica_sets import wanted_replicas
from adapter_devcluster.objects import (
    Key,
    Object,
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
from adapter_devcluster.statuses import StatusError, forbidden, internal_error, status_error

BUDGETS: Final = "poddisruptionbudgets.policy"
CRDS: Final = "customresourcedefinitions.apiextensions.k8s.io"
_MOST_DISRUPTED: Final = 2000
# An evicted pod whose deletion nobody has seen for this long is taken to be alive.
_EVICTION_SECONDS: Final = 120
_BUILT_IN_SCALES: Final = frozenset({"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"})


class UnknownScaleError(Exception):
    """The number of pods that a controller wants can't be found out."""


class DisruptionController(Controller):
    """Keeps the status of PodDisruptionBudgets."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._recorder = Recorder(client, "controllermanager")

    def start(self) -> None:
        """Watch budgets and pods, and the controllers whose size counts."""
        self.watch(BUDGETS)
        self.watch("pods", self._pod_changed)
        for resource in ("replicasets.apps", "deployments.apps"):
            self.watch(resource, self._owner_changed)

    def _pod_changed(self, change: Change) -> None:
        for budget in self.client.list(BUDGETS, key(change.object)[0]):
            if any(_covers(budget, one) for one in (change.object, change.old) if one is not None):
                self.enqueue(key(budget))

    def _owner_changed(self, change: Change) -> None:
        if change.old is not None and wanted_replicas(change.old) != wanted_replicas(change.object):
            for budget in self.client.list(BUDGETS, key(change.object)[0]):
                self.enqueue(key(budget))

    def sync(self, item: Key) -> None:
        """Count the pods of one budget and write its status."""
        budget = self.client.get(BUDGETS, *item)
        if budget is None:
            return
        now = dt.datetime.now(dt.UTC)
        pods = [pod for pod in self.client.list("pods", item[0]) if _covers(budget, pod)]
        if not pods:
            self._recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            expected, desired = self._expectation(budget, pods)
        except UnknownScaleError as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self._recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            self._write(budget, failed_status(budget, str(error), now))
            return
        status = budget_status(budget, pods, expected, desired, now)
        self._write(budget, status)
        if status.get("disruptedPods"):
            self.enqueue_after(item, _EVICTION_SECONDS)

    def _write(self, budget: Object, status: Object) -> None:
        if status != section(budget, "status"):
            self.client.update(BUDGETS, {**budget, "status": status}, "status")

    def _expectation(self, budget: Object, pods: Sequence[Object]) -> tuple[int, int]:
        """Return how many pods there should be, and how many of them have to be healthy."""
        spec = section(budget, "spec")
        if "maxUnavailable" in spec:
            expected = self._expected_scale(pods)
            return expected, max(0, expected - scaled_value(spec["maxUnavailable"], expected, round_up=True))
        least = spec.get("minAvailable")
        if isinstance(least, str):
            expected = self._expected_scale(pods)
            return expected, scaled_value(least, expected, round_up=True)
        return (0, 0) if least is None else (len(pods), int(least))

    def _expected_scale(self, pods: Sequence[Object]) -> int:
        """Return the sum of what the pods' controllers want. Raises UnknownScaleError."""
        references = [(key(pod)[0], controller_of(pod)) for pod in pods]
        found = {one["uid"]: scale_of(self.client, namespace, one) for namespace, one in references if one}
        return sum(dict(found.values()).values())


def scale_of(client: Client, namespace: str, reference: Object) -> tuple[str, int]:
    """Return the uid and the wanted pods of what stands behind a pod's controller reference.

    A ReplicaSet answers with its Deployment. Raises UnknownScaleError where nothing says how many pods there
    should be, as for a Job.
    """
    kind, name = str(reference["kind"]), str(reference["name"])
    resource = client.resource_for(str(reference["apiVersion"]), kind)
    owner = client.get(resource, namespace, name) if resource else None
    if resource is None or owner is None or uid(owner) != reference["uid"]:
        message = f'found no controllers for pod: {kind} "{name}"'
        raise UnknownScaleError(message)
    above = controller_of(owner)
    if kind == "ReplicaSet" and above is not None and above.get("kind") == "Deployment":
        return scale_of(client, namespace, above)
    if kind in _BUILT_IN_SCALES:
        return uid(owner), wanted_replicas(owner)
    return uid(owner), _custom_scale(client, resource, owner)


def _custom_scale(client: Client, resource: str, owner: Object) -> int:
    """Read a custom resource's replicas where its definition says they are."""
    definition = client.get(CRDS, "", resource) or {}
    version = str(owner["apiVersion"]).rpartition("/")[2]
    versions: list[Object] = section(definition, "spec").get("versions") or []
    for one in versions:
        path = section(one, "subresources", "scale").get("specReplicasPath")
        if one.get("name") == version and path:
            *parents, last = str(path).strip(".").split(".")
            return int(section(owner, *parents).get(last) or 0)
    message = f"{resource} does not implement the scale subresource"
    raise UnknownScaleError(message)


def _covers(budget: Object, pod: Object) -> bool:
    same_namespace = key(budget)[0] == key(pod)[0]
    return same_namespace and label_selector(section(budget, "spec").get("selector")).matches(labels_of(pod))


def budget_status(budget: Object, pods: Sequence[Object], expected: int, desired: int, now: dt.datetime) -> Object:
    """Count pods into a status: ``expected`` of them there should be, ``desired`` of them healthy. Pure."""
    disrupted = _disrupted(budget, pods, now)
    healthy = sum(pod_state.is_ready(pod) for pod in pods if not is_deleting(pod) and key(pod)[1] not in disrupted)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    status: Object = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": _generation(budget),
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    reason = "SufficientPods" if allowed > 0 else "InsufficientPods"
    status["conditions"] = _conditions(budget, "True" if allowed > 0 else "False", reason, "", now)
    return status


def _disrupted(budget: Object, pods: Sequence[Object], now: dt.datetime) -> Mapping[str, str]:
    """Return the evicted pods whose deletion is still to be seen, with the time of the eviction."""
    evicted: dict[str, str] = section(budget, "status", "disruptedPods")
    present = {key(pod)[1] for pod in pods if not is_deleting(pod)}
    return {
        name: moment
        for name, moment in evicted.items()
        if name in present and (now - parse_time(moment)).total_seconds() < _EVICTION_SECONDS
    }


def failed_status(budget: Object, problem: str, now: dt.datetime) -> Object:
    """Return the present status with no disruption allowed, because counting has failed. Pure."""
    conditions = _conditions(budget, "False", "SyncFailed", problem, now)
    counts = dict.fromkeys(("currentHealthy", "desiredHealthy", "expectedPods"), 0)
    return {**counts, **section(budget, "status"), "disruptionsAllowed": 0, "conditions": conditions}


def _conditions(budget: Object, state: str, reason: str, message: str, now: dt.datetime) -> list[Object]:
    present = pod_state.condition(budget, "DisruptionAllowed")
    same = present is not None and present.get("status") == state
    fresh = {
        "type": "DisruptionAllowed",
        "status": state,
        "observedGeneration": _generation(budget),
        "lastTransitionTime": present["lastTransitionTime"] if present is not None and same else timestamp(now),
        "reason": reason,
        "message": message,
    }
    others = [one for one in section(budget, "status").get("conditions") or [] if one["type"] != fresh["type"]]
    return [*others, fresh]


def _generation(budget: Object) -> int:
    return int(meta(budget).get("generation") or 0)


def eviction_allowed(client: Client, pod: Object, *, dry_run: bool = False) -> StatusError | None:
    """Return why a pod must not be evicted; None if it may, which its budget then remembers.

    The budget counts the pod as gone at once, so that a second eviction is judged before the controller has
    seen the first; with ``dry_run`` nothing is written. May raise StatusError.
    """
    if pod_state.phase(pod) in {*pod_state.TERMINAL_PHASES, "Pending"} or is_deleting(pod):
        return None
    budgets = [one for one in client.list(BUDGETS, key(pod)[0]) if _covers(one, pod)]
    if not budgets:
        return None
    if len(budgets) > 1:
        return internal_error(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    budget = budgets[0]
    if _ignores_unhealthy(budget, pod):
        return None
    refusal = _refusal(budget)
    if refusal is None and not dry_run:
        _remember(client, budget, pod)
    return refusal


def _ignores_unhealthy(budget: Object, pod: Object) -> bool:
    """Whether a pod that isn't ready may go, because it adds nothing or because enough others are healthy."""
    if pod_state.is_ready(pod):
        return False
    status = section(budget, "status")
    desired = int(status.get("desiredHealthy") or 0)
    enough = 0 < desired <= int(status.get("currentHealthy") or 0)
    return enough or section(budget, "spec").get("unhealthyPodEvictionPolicy") == "AlwaysAllow"


def _refusal(budget: Object) -> StatusError | None:
    status, name = section(budget, "status"), key(budget)[1]
    if int(status.get("observedGeneration") or 0) < _generation(budget):
        return _too_many(f"The disruption budget {name} is still being processed by the server.", 10)
    if len(status.get("disruptedPods") or {}) > _MOST_DISRUPTED:
        problem = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        return forbidden(BUDGETS, name, problem)
    if int(status.get("disruptionsAllowed") or 0) > 0:
        return None
    desired, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    message = f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    found = pod_state.condition(budget, "DisruptionAllowed") or {}
    if found.get("reason") == "SyncFailed":
        message = f"The disruption budget {name} does not allow evicting pods currently"
        message = f"{message} because it failed sync: {found.get('message')}"
    return _too_many(message, 0)


def _too_many(cause: str, retry_after: int) -> StatusError:
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    causes = [{"reason": "DisruptionBudget", "message": cause}]
    return status_error(429, "TooManyRequests", message, causes=causes, retry_after=retry_after)


def _remember(client: Client, budget: Object, pod: Object) -> None:
    now = dt.datetime.now(dt.UTC)
    changed = copy(budget)
    status = changed["status"]
    status["disruptionsAllowed"] -= 1
    status.setdefault("disruptedPods", {})[key(pod)[1]] = timestamp(now)
    if status["disruptionsAllowed"] == 0:
        status["conditions"] = _conditions(budget, "False", "InsufficientPods", "", now)
    client.update(BUDGETS, changed, "status")
