"""The EndpointSlice controller: where the pods of a Service are to be reached.

Source: ``k8s.io/endpointslice`` (v0.36) and ``pkg/controller/endpointslice``, v1.36. Only IPv4 exists here.
As upstream a pod whose node is unknown is left out, unless the Service publishes pods that are not ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapter_devcluster.client import Change
from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.ownership import controller_reference, namespace_is_terminating
from adapter_devcluster.objects import (
    Key,
    Object,
    controller_of,
    copy,
    is_deleting,
    key,
    labels_of,
    meta,
    section,
    uid,
)
from adapter_devcluster.selectors import EVERYTHING, equality_selector
from adapter_devcluster.statuses import StatusError

SLICES: Final = "endpointslices.discovery.k8s.io"
SERVICE_LABEL: Final = "kubernetes.io/service-name"
MANAGER_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
MANAGER: Final = "endpointslice-controller.k8s.io"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
MAX_ENDPOINTS: Final = 100


class EndpointSliceController(Controller):
    """Keeps the EndpointSlices of every Service that has a selector."""

    def start(self) -> None:
        """Watch Services, their slices, pods and nodes."""
        self.watch("services")
        self.watch(SLICES, self._slice_changed)
        self.watch("pods", self._pod_changed)
        self.watch("nodes", self._node_changed)

    def _slice_changed(self, change: Change) -> None:
        """Repair what somebody else has changed or deleted."""
        labels = labels_of(change.old or change.object)
        if labels.get(MANAGER_LABEL) == MANAGER and SERVICE_LABEL in labels:
            self.enqueue((key(change.object)[0], labels[SERVICE_LABEL]))

    def _pod_changed(self, change: Change) -> None:
        pods = [one for one in (change.object, change.old) if one is not None]
        for service in self.client.list("services", key(change.object)[0]):
            selector = section(service, "spec").get("selector")
            if selector and any(equality_selector(selector).matches(labels_of(pod)) for pod in pods):
                self.enqueue(key(service))

    def _node_changed(self, change: Change) -> None:
        """A node that comes lets its pods into the slices; what its heartbeat writes changes nothing."""
        if change.type != "MODIFIED" or labels_of(change.object) != labels_of(change.old or {}):
            for service in self.client.list("services"):
                self.enqueue(key(service))

    def sync(self, item: Key) -> None:
        """Bring the slices of one Service to what its pods are."""
        service = self.client.get("services", *item)
        spec = section(service or {}, "spec")
        if service is None or not spec.get("selector") or spec.get("type") == "ExternalName":
            return
        namespace, name = item
        pods = self.client.list("pods", namespace, equality_selector(spec["selector"]))
        nodes = {key(node)[1]: node for node in self.client.list("nodes", selector=EVERYTHING)}
        mine = equality_selector({SERVICE_LABEL: name, MANAGER_LABEL: MANAGER})
        present = [one for one in self.client.list(SLICES, namespace, mine) if not is_deleting(one)]
        self._apply(service, plan_slices(service, pods, nodes, present))

    def _apply(self, service: Object, plan: SlicePlan) -> None:
        try:
            for one in [] if is_deleting(service) else plan.create:
                self.client.create(SLICES, one)
        except StatusError as error:
            if not namespace_is_terminating(error):
                raise
            return
        for one in plan.update:
            self.client.update(SLICES, one)
        for one in plan.delete:
            self.client.delete(SLICES, *key(one), uid=uid(one))


@dataclass(slots=True)
class SlicePlan:
    """What has to be written so that the slices say what they should."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


# The ports of a slice, as something that can be a dictionary's key: name, protocol, number, application protocol.
_Ports = frozenset[tuple[str, str, int, str]]


def plan_slices(
    service: Object, pods: Sequence[Object], nodes: Mapping[str, Object], present: Sequence[Object]
) -> SlicePlan:
    """Compare the slices that are there with the pods that a Service selects. Pure.

    Pods whose port names lead to different numbers are in different slices. An endpoint stays in its slice as
    long as its pod is there, so that a change of one pod writes one slice. Without any endpoint there is one
    slice without ports.
    """
    wanted = _wanted(service, pods, nodes)
    plan = SlicePlan()
    by_ports: dict[_Ports, list[Object]] = {}
    for one in present:
        if (controller_of(one) or {}).get("uid") != uid(service):
            plan.delete.append(one)
        elif _ports_of(one) in wanted:
            by_ports.setdefault(_ports_of(one), []).append(one)
        else:
            plan.delete.append(one)
    for ports, endpoints in wanted.items():
        _plan_ports(plan, service, ports, endpoints, by_ports.get(ports, []))
    if not plan.create and len(plan.delete) == len(present):
        _keep_placeholder(plan, service)
    _reuse(plan, service)
    return plan


def _wanted(service: Object, pods: Sequence[Object], nodes: Mapping[str, Object]) -> dict[_Ports, dict[str, Object]]:
    """Return the endpoints by their ports and the uid of their pod."""
    publish = bool(section(service, "spec").get("publishNotReadyAddresses"))
    wanted: dict[_Ports, dict[str, Object]] = {}
    for pod in pods:
        node = nodes.get(pod_state.node_name(pod))
        address = section(pod, "status").get("podIP")
        if pod_state.is_terminal(pod) or not address or (node is None and not publish):
            continue
        wanted.setdefault(_ports_for(service, pod), {})[uid(pod)] = _endpoint(service, pod, node, publish=publish)
    return wanted


def _endpoint(service: Object, pod: Object, node: Object | None, *, publish: bool) -> Object:
    serving, terminating = pod_state.is_ready(pod), is_deleting(pod)
    namespace, name = key(pod)
    spec = section(pod, "spec")
    endpoint: Object = {
        "addresses": [section(pod, "status")["podIP"]],
        "conditions": {
            "ready": publish or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": name, "uid": uid(pod)},
    }
    if pod_state.node_name(pod):
        endpoint["nodeName"] = pod_state.node_name(pod)
    if zone := labels_of(node or {}).get(ZONE_LABEL):
        endpoint["zone"] = zone
    if spec.get("hostname") and spec.get("subdomain") == key(service)[1]:
        endpoint["hostname"] = spec["hostname"]
    return endpoint


def _ports_for(service: Object, pod: Object) -> _Ports:
    """Resolve the ports of a Service on one pod; a name that the pod lacks is left out."""
    found = []
    for port in section(service, "spec").get("ports") or []:
        protocol = str(port.get("protocol") or "TCP")
        number = _target(port, protocol, pod)
        if number is not None:
            found.append((str(port.get("name") or ""), protocol, number, str(port.get("appProtocol") or "")))
    return frozenset(found)


def _target(port: Object, protocol: str, pod: Object) -> int | None:
    """Return the number behind ``targetPort``; by default that is the port itself."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    spec = section(pod, "spec")
    sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    for container in [*(spec.get("containers") or []), *sidecars]:
        for one in container.get("ports") or []:
            if one.get("name") == target and (one.get("protocol") or "TCP") == protocol:
                return int(one["containerPort"])
    return None


def _ports_of(one: Object) -> _Ports:
    ports: list[Object] = one.get("ports") or []
    return frozenset(
        (
            str(port.get("name") or ""),
            str(port.get("protocol") or "TCP"),
            int(port.get("port") or 0),
            str(port.get("appProtocol") or ""),
        )
        for port in ports
    )


def _plan_ports(
    plan: SlicePlan, service: Object, ports: _Ports, endpoints: dict[str, Object], present: Sequence[Object]
) -> None:
    """Distribute the endpoints of equal ports: keep, then fill what changes anyway, then the rest, then new ones."""
    left = dict(endpoints)
    contents: list[tuple[Object, list[Object]]] = []
    for one in present:
        before: list[Object] = one.get("endpoints") or []
        uids = [str(section(endpoint, "targetRef").get("uid")) for endpoint in before]
        contents.append((one, [left.pop(found) for found in uids if found in left]))
    waiting = list(left.values())
    for one, kept in sorted(contents, key=lambda pair: not _differs(pair[0], pair[1], service)):
        room = MAX_ENDPOINTS - len(kept)
        filled, waiting = kept + waiting[:room], waiting[room:]
        if not filled:
            plan.delete.append(one)
        elif _differs(one, filled, service):
            plan.update.append(_rewritten(one, filled, service))
    for start in range(0, len(waiting), MAX_ENDPOINTS):
        plan.create.append(_new_slice(service, ports, waiting[start : start + MAX_ENDPOINTS]))


def _differs(one: Object, endpoints: list[Object], service: Object) -> bool:
    return (one.get("endpoints") or []) != endpoints or labels_of(one) != _labels(service)


def _rewritten(one: Object, endpoints: list[Object], service: Object) -> Object:
    changed: Object = copy(one)
    changed["endpoints"] = endpoints
    changed["metadata"]["labels"] = _labels(service)
    return changed


def _labels(service: Object) -> dict[str, str]:
    """Return a slice's labels: the Service's, but those that say something of their own here."""
    reserved = (SERVICE_LABEL, MANAGER_LABEL, HEADLESS_LABEL)
    labels = {name: value for name, value in labels_of(service).items() if name not in reserved}
    if section(service, "spec").get("clusterIP") in {None, "", "None"}:
        labels[HEADLESS_LABEL] = ""
    return {**labels, SERVICE_LABEL: key(service)[1], MANAGER_LABEL: MANAGER}


def _new_slice(service: Object, ports: _Ports, endpoints: list[Object]) -> Object:
    order = [str(port.get("name") or "") for port in section(service, "spec").get("ports") or []]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{key(service)[1]}-",
            "namespace": key(service)[0],
            "labels": _labels(service),
            "ownerReferences": [controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [
            {"name": name, "protocol": protocol, "port": number, **({"appProtocol": app} if app else {})}
            for name, protocol, number, app in sorted(ports, key=lambda port: order.index(port[0]))
        ],
    }


def _keep_placeholder(plan: SlicePlan, service: Object) -> None:
    """Leave one empty slice where nothing else would be left, and don't write it again."""
    if len(plan.delete) == 1 and _is_placeholder(plan.delete[0], service):
        plan.delete.clear()
    else:
        plan.create.append(_new_slice(service, frozenset(), []))


def _is_placeholder(one: Object, service: Object) -> bool:
    mine = (controller_of(one) or {}).get("uid") == uid(service)
    return mine and not one.get("endpoints") and not one.get("ports") and labels_of(one) == _labels(service)


def _reuse(plan: SlicePlan, service: Object) -> None:
    """Turn slices that would be deleted into those that would be created: watchers see fewer changes."""
    for one in list(plan.delete):
        if plan.create and (controller_of(one) or {}).get("uid") == uid(service):
            fresh = plan.create.pop()
            plan.delete.remove(one)
            plan.update.append({**fresh, "metadata": {**meta(one), "labels": meta(fresh)["labels"]}})
