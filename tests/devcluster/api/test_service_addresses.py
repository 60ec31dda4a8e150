"""What Services hold: cluster IPs and node ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import MERGE, ApiCalls

pytestmark = pytest.mark.integration

SERVICES = "/api/v1/namespaces/default/services"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False) as found:
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> Iterator[ApiCalls]:
    calls = ApiCalls(cluster)
    yield calls
    for path in (BINDINGS, POLICIES):
        calls("DELETE", path)
    for one in calls("GET", SERVICES).json()["items"]:
        if one["metadata"]["name"] != "kubernetes":
            calls("DELETE", f"{SERVICES}/{one['metadata']['name']}")


def service(name: str, *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    named = [{"name": f"p{at}", **port} for at, port in enumerate(ports or ({"port": 80},))]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": named, **spec}}


def node_ports(found: dict[str, Any]) -> list[int | None]:
    return [port.get("nodePort") for port in found["spec"]["ports"]]


def problem(answer: Any) -> tuple[int, str, str]:
    (cause,) = answer.json()["details"]["causes"]
    return answer.status_code, cause["field"], cause["message"]


def held(cluster: DevCluster) -> tuple[int, int]:
    """How many addresses and ports are given out."""
    addresses = cluster.cluster.api._admission._addresses
    return cluster.call(lambda: (len(addresses._ips._taken), len(addresses._ports._taken)))


def test_what_a_service_held_is_free_when_it_goes(call: ApiCalls) -> None:
    wanted = service("a", {"port": 80, "nodePort": 30080}, type="NodePort", clusterIP="127.128.7.7")
    for _ in range(2):
        assert call("POST", SERVICES, wanted).status_code == 201
        call("DELETE", f"{SERVICES}/a")


def test_what_another_holds_is_refused(call: ApiCalls) -> None:
    call("POST", SERVICES, service("a", {"port": 80, "nodePort": 30080}, type="NodePort", clusterIP="127.128.7.7"))
    taken = call("POST", SERVICES, service("b", clusterIP="127.128.7.7"))
    assert problem(taken)[:2] == (422, "spec.clusterIPs")
    assert "provided IP is already allocated" in problem(taken)[2]
    outside = call("POST", SERVICES, service("b", clusterIP="127.1.2.3"))
    assert "the provided IP is not in the valid range" in problem(outside)[2]
    port = call("POST", SERVICES, service("b", {"port": 80, "nodePort": 30080}, type="NodePort"))
    assert problem(port) == (422, "spec.ports[0].nodePort", "Invalid value: 30080: provided port is already allocated")


@pytest.mark.parametrize("params", [{}, {"dryRun": "All"}])
def test_a_creation_that_is_refused_holds_nothing(call: ApiCalls, cluster: DevCluster, params: dict[str, str]) -> None:
    call("POST", SERVICES, service("a", type="NodePort"))
    before = held(cluster)
    assert call("POST", SERVICES, service("a", type="NodePort"), **params).status_code == 409
    bad = service("b", {"port": 80}, {"port": 81, "nodePort": 9}, type="NodePort")
    assert call("POST", SERVICES, bad, **params).status_code == 422
    assert held(cluster) == before


def test_a_dry_run_shows_addresses_and_takes_none(call: ApiCalls, cluster: DevCluster) -> None:
    before = held(cluster)
    shown = call("POST", SERVICES, service("a", type="NodePort"), dryRun="All").json()
    assert shown["spec"]["clusterIP"].startswith("127.")
    assert node_ports(shown) == [30000]
    call("POST", SERVICES, service("a"))
    assert call("PATCH", f"{SERVICES}/a", {"spec": {"type": "NodePort"}}, media=MERGE, dryRun="All").status_code == 200
    assert held(cluster) == (before[0] + 1, before[1])


def test_an_update_that_is_refused_changes_nothing_of_what_is_held(call: ApiCalls, cluster: DevCluster) -> None:
    call("POST", SERVICES, service("a", {"port": 80, "nodePort": 30080}, type="NodePort"))
    refuse = {
        "metadata": {"name": "no-services"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["services"]}
                ]
            },
            "validations": [{"expression": "false", "message": "no"}],
        },
    }
    call("POST", POLICIES, refuse)
    bind = {"metadata": {"name": "no"}, "spec": {"policyName": "no-services", "validationActions": ["Deny"]}}
    call("POST", BINDINGS, bind)
    before = held(cluster)
    ports = [{"name": "p0", "port": 80, "nodePort": 30081}, {"name": "p1", "port": 81}]
    assert call("PATCH", f"{SERVICES}/a", {"spec": {"ports": ports}}, media=MERGE).status_code == 422
    assert call("PATCH", f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}}, media=MERGE).status_code == 422
    assert held(cluster) == before
    # The port is still taken, and the one that was asked for is free.
    assert call("POST", SERVICES, service("b", {"port": 80, "nodePort": 30080}, type="NodePort")).status_code == 422
    assert call("POST", SERVICES, service("b", {"port": 80, "nodePort": 30081}, type="NodePort")).status_code == 201


def test_types_change_with_what_they_hold(call: ApiCalls, cluster: DevCluster) -> None:
    before = held(cluster)
    address = call("POST", SERVICES, service("a")).json()["spec"]["clusterIP"]

    def become(kind: str, **spec: Any) -> dict[str, Any]:
        found = call("PATCH", f"{SERVICES}/a", {"spec": {"type": kind, **spec}}, media=MERGE).json()
        return dict(found)

    outside = become("NodePort")
    assert outside["spec"]["clusterIP"] == address
    assert held(cluster) == (before[0] + 1, before[1] + 1)
    assert node_ports(become("LoadBalancer")) == node_ports(outside)
    assert node_ports(become("ClusterIP")) == [None]
    assert held(cluster) == (before[0] + 1, before[1])
    named = become("ExternalName", externalName="harbour.example")
    assert "clusterIP" not in named["spec"]
    assert held(cluster) == before
    assert become("ClusterIP", externalName=None)["spec"]["clusterIP"].startswith("127.")
    assert held(cluster) == (before[0] + 1, before[1])


def test_headless_services_hold_nothing(call: ApiCalls, cluster: DevCluster) -> None:
    before = held(cluster)
    call("POST", SERVICES, service("a", clusterIP="None"))
    assert held(cluster) == before


def test_ports_of_a_service_come_and_go(call: ApiCalls, cluster: DevCluster) -> None:
    call("POST", SERVICES, service("a", {"port": 80}, {"port": 81}, type="NodePort"))
    before = held(cluster)
    ports = [{"name": "p1", "port": 81}, {"name": "p2", "port": 82}, {"name": "p3", "port": 83}]
    changed = call("PATCH", f"{SERVICES}/a", {"spec": {"ports": ports}}, media=MERGE).json()
    assert len(set(node_ports(changed))) == 3
    assert held(cluster) == (before[0], before[1] + 1)


def test_one_node_port_for_all_protocols_of_a_port(call: ApiCalls, cluster: DevCluster) -> None:
    before = held(cluster)
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 80}]
    first, second, other = node_ports(call("POST", SERVICES, service("a", *ports, type="NodePort")).json())
    assert first == second != other
    assert held(cluster) == (before[0] + 1, before[1] + 2)
    chosen = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "nodePort": 30053}]
    assert node_ports(call("POST", SERVICES, service("b", *chosen, type="NodePort")).json()) == [30053, 30053]
    twice = [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30080}]
    refused = call("POST", SERVICES, service("c", *twice, type="NodePort"))
    assert problem(refused) == (422, "spec.ports[1].nodePort", "Duplicate value: 30080")


def test_a_load_balancer_may_do_without_node_ports_but_for_those_it_names(call: ApiCalls, cluster: DevCluster) -> None:
    before = held(cluster)
    ports = ({"port": 80}, {"port": 81, "nodePort": 30081})
    wanted = service("a", *ports, type="LoadBalancer", allocateLoadBalancerNodePorts=False)
    assert node_ports(call("POST", SERVICES, wanted).json()) == [None, 30081]
    assert held(cluster) == (before[0] + 1, before[1] + 1)
    assert call("POST", SERVICES, service("b", ports[1], type="NodePort")).status_code == 422
    call("DELETE", f"{SERVICES}/a")
    assert held(cluster) == before


def test_a_service_that_is_held_keeps_its_address_until_it_is_let_go(call: ApiCalls, cluster: DevCluster) -> None:
    before = held(cluster)
    wanted = service("a", type="NodePort")
    wanted["metadata"]["finalizers"] = ["sea.example/anchor"]
    call("POST", SERVICES, wanted)
    call("DELETE", f"{SERVICES}/a")
    assert held(cluster) == (before[0] + 1, before[1] + 1)
    call("PATCH", f"{SERVICES}/a", {"metadata": {"finalizers": None}, "spec": {"type": "ClusterIP"}}, media=MERGE)
    assert held(cluster) == before
