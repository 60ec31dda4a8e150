"""Pods as objects: binding, eviction, priority, runtime classes, and their end as watchers see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import MERGE, ApiCalls
from adapter_testing.refusals import refusal

pytestmark = pytest.mark.integration

PODS = "/api/v1/namespaces/default/pods"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"


@pytest.fixture
def call() -> Iterator[ApiCalls]:
    with DevCluster(node=False, controllers=False) as cluster:
        yield ApiCalls(cluster)


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "a:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def binding(call: ApiCalls, name: str, node: str = "one", **more: Any) -> Any:
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"name": node}, **more}
    return call("POST", f"{PODS}/{name}/binding", body)


def test_a_pod_is_bound_once(call: ApiCalls) -> None:
    assert call("POST", PODS, pod("a")).status_code == 201
    assert binding(call, "a").json()["status"] == "Success"
    found = call("GET", f"{PODS}/a").json()
    assert (found["spec"]["nodeName"], found["status"]["conditions"][0]["type"]) == ("one", "PodScheduled")
    for node in ("one", "two"):
        assert refusal(binding(call, "a", node)) == (409, "Conflict", "pods/binding", "a", [])
    assert call("DELETE", f"{PODS}/a").status_code == 200
    assert refusal(binding(call, "a")) == (409, "Conflict", "pods/binding", "a", [])
    assert refusal(binding(call, "none")) == (404, "NotFound", "pods", "none", [])


def test_what_can_not_be_bound(call: ApiCalls) -> None:
    assert call("POST", PODS, pod("a", schedulingGates=[{"name": "a.test/wait"}])).status_code == 201
    assert refusal(binding(call, "a")) == (409, "Conflict", "pods/binding", "a", [])
    assert refusal(binding(call, "a", metadata={"name": "b"})) == (400, "BadRequest", "", "", [])
    assert refusal(binding(call, "a", target={"kind": "Pod", "name": "one"})) == (500, "", "", "", [])
    assert refusal(binding(call, "a", target={"kind": "Node"})) == (500, "", "", "", [])
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "b"}}
    assert refusal(call("POST", f"{PODS}/a/eviction", eviction)) == (400, "BadRequest", "", "", [])


def test_the_end_of_a_pod_is_seen_coming(call: ApiCalls) -> None:
    with call.watch(PODS, timeoutSeconds="2") as events:
        assert call("POST", PODS, pod("a")).status_code == 201
        gone = call("DELETE", f"{PODS}/a").json()
        seen = [(one["type"], one["object"]["metadata"]) for one in events]
    assert [kind for kind, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert ["deletionTimestamp" in found for _, found in seen] == [False, True, True]
    assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
    assert gone["metadata"]["generation"] == seen[0][1]["generation"] + 1


def test_the_grace_of_a_bound_pod_is_only_shortened(call: ApiCalls) -> None:
    assert call("POST", PODS, pod("a", terminationGracePeriodSeconds=40)).status_code == 201
    assert binding(call, "a").status_code == 201

    def deleted(**options: Any) -> dict[str, Any]:
        return dict(call("DELETE", f"{PODS}/a", json.dumps(options) if options else None).json()["metadata"])

    first = deleted()
    assert first["deletionGracePeriodSeconds"] == 40
    assert deleted(gracePeriodSeconds=50)["resourceVersion"] == first["resourceVersion"]
    assert deleted(gracePeriodSeconds=5)["deletionGracePeriodSeconds"] == 5
    assert deleted(gracePeriodSeconds=0)["deletionGracePeriodSeconds"] == 0
    assert call("GET", f"{PODS}/a").status_code == 404


def test_priority(call: ApiCalls) -> None:
    def created(name: str, **spec: Any) -> list[Any]:
        found = call("POST", PODS, pod(name, **spec)).json()["spec"]
        return [found.get("priorityClassName"), found["priority"], found["preemptionPolicy"]]

    assert created("a") == [None, 0, "PreemptLowerPriority"]
    assert refusal(call("POST", PODS, pod("b", priority=5))) == (403, "Forbidden", "pods", "b", [])
    assert refusal(call("POST", PODS, pod("b", priorityClassName="none"))) == (403, "Forbidden", "pods", "b", [])
    assert created("c", priorityClassName="system-node-critical")[1] == 2_000_001_000
    for name, value, default in (("low", 5, False), ("middle", 7, True), ("high", 9, True)):
        body = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "globalDefault": default,
            "preemptionPolicy": "Never",
        }
        assert call("POST", CLASSES, body).status_code == 201
    assert created("d") == ["middle", 7, "Never"]
    assert created("e", priorityClassName="low", priority=5) == ["low", 5, "Never"]
    assert refusal(call("POST", PODS, pod("f", priorityClassName="low", priority=6)))[:2] == (403, "Forbidden")
    nameless = {**pod("g", priority=6), "metadata": {"generateName": "g-"}}
    assert refusal(call("POST", PODS, nameless))[:4] == (403, "Forbidden", "pods", "g-")


def test_a_runtime_class_must_be_there(call: ApiCalls) -> None:
    answer = call("POST", PODS, pod("a", runtimeClassName="sandbox"))
    assert refusal(answer) == (403, "Forbidden", "pods", "a", [])
    assert answer.json()["message"].endswith('pod rejected: RuntimeClass "sandbox" not found')
    body = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "sandbox"}, "handler": "runsc"}
    assert call("POST", "/apis/node.k8s.io/v1/runtimeclasses", body).status_code == 201
    assert call("POST", PODS, pod("a", runtimeClassName="sandbox")).status_code == 201


def test_services_keep_their_address_and_change_their_type(call: ApiCalls) -> None:
    services = "/api/v1/namespaces/default/services"
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    given = call("POST", services, body).json()["spec"]
    for address in ("127.9.9.9", "None"):
        answer = call("PATCH", f"{services}/s", {"spec": {"clusterIP": address}}, media=MERGE)
        cause = ("spec.clusterIPs[0]", "FieldValueInvalid")
        assert refusal(answer) == (422, "Invalid", "Service", "s", [cause])
    found = {}
    for kind in ("LoadBalancer", "NodePort", "ClusterIP"):
        answer = call("PATCH", f"{services}/s", {"spec": {"type": kind}}, media=MERGE)
        assert answer.status_code == 200
        found[kind] = answer.json()["spec"]
    assert "allocateLoadBalancerNodePorts" in found["LoadBalancer"]
    assert "allocateLoadBalancerNodePorts" not in found["NodePort"]
    assert found["NodePort"]["externalTrafficPolicy"] == "Cluster"
    assert {**found["ClusterIP"], "type": given["type"]} == given
