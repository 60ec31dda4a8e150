from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.api.server import Api
from adapter_devcluster.client import Client
from adapter_devcluster.network.targets import Target, pod_target, service_target
from adapter_devcluster.statuses import StatusError

pytestmark = pytest.mark.unit

PORTS = [{"name": "http", "port": 80, "targetPort": 8000}, {"name": "metrics", "port": 81, "targetPort": 8001}]


@pytest.fixture
def client() -> Client:
    found = Api().client()
    found.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}})
    return found


def make_service(client: Client, name: str, ports: list[dict[str, Any]], *addresses: str) -> None:
    metadata = {"name": name, "namespace": "ns"}
    spec = {"selector": {"app": name}, "ports": ports}
    client.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    client.create(
        "endpointslices.discovery.k8s.io",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": one.get("name", ""), "port": one["targetPort"], "protocol": "TCP"} for one in ports],
            "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
        },
    )


def make_pod(client: Client, name: str, *ports: int, ip: str = "") -> None:
    container = {"name": "main", "image": "app", "ports": [{"containerPort": port} for port in ports]}
    metadata = {"name": name, "namespace": "ns"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    client.create("pods", pod)
    if ip:
        client.patch("pods", "ns", name, {"status": {"podIP": ip, "podIPs": [{"ip": ip}]}}, "status")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("s:http", Target("http", "127.1.0.1", 8000)),
        ("s:80", Target("http", "127.1.0.1", 8000)),
        ("s:metrics", Target("http", "127.1.0.1", 8001)),
        ("https:s:81", Target("https", "127.1.0.1", 8001)),
        (":s:81", Target("http", "127.1.0.1", 8001)),
    ],
)
def test_a_port_of_a_service_by_name_or_number(client: Client, name: str, target: Target) -> None:
    make_service(client, "s", PORTS, "127.1.0.1")
    assert service_target(client, "ns", name) == target


def test_without_a_port_it_is_the_unnamed_one(client: Client) -> None:
    make_service(client, "one", [{"port": 80, "targetPort": 8000}], "127.1.0.1")
    assert service_target(client, "ns", "one") == Target("http", "127.1.0.1", 8000)


def test_all_ready_endpoints_get_their_share(client: Client) -> None:
    make_service(client, "s", PORTS, "127.1.0.1", "127.1.0.2", "127.1.0.3")
    hosts = {service_target(client, "ns", "s:http").host for _ in range(200)}
    assert hosts == {"127.1.0.1", "127.1.0.2", "127.1.0.3"}


@pytest.mark.parametrize(
    ("name", "code", "reason", "message"),
    [
        ("gone", 404, "NotFound", 'services "gone" not found'),
        ("s", 503, "ServiceUnavailable", 'no endpoints available for service "s"'),
        ("s:other", 503, "ServiceUnavailable", 'no endpoints available for service "s:other"'),
        ("s:9", 503, "ServiceUnavailable", 'no service port 9 found for service "s"'),
        ("ftp:s:80", 400, "BadRequest", 'invalid service request "ftp:s:80"'),
        ("a:b:c:d", 400, "BadRequest", 'invalid service request "a:b:c:d"'),
        (":80", 400, "BadRequest", 'invalid service request ":80"'),
    ],
)
def test_services_that_lead_nowhere(client: Client, name: str, code: int, reason: str, message: str) -> None:
    make_service(client, "s", PORTS, "127.1.0.1")
    with pytest.raises(StatusError) as raised:
        service_target(client, "ns", name)
    assert (raised.value.code, raised.value.reason, str(raised.value)) == (code, reason, message)


def test_a_service_without_ready_endpoints(client: Client) -> None:
    make_service(client, "s", PORTS)
    with pytest.raises(StatusError, match='no endpoints available for service "s:http"'):
        service_target(client, "ns", "s:http")


@pytest.mark.parametrize(
    ("ports", "name", "target"),
    [
        ((8000, 8001), "p", Target("http", "127.1.0.1", 8000)),
        ((8000, 8001), "p:8001", Target("http", "127.1.0.1", 8001)),
        ((), "p", Target("http", "127.1.0.1", 80)),
        ((), "https:p:", Target("https", "127.1.0.1", 443)),
        ((), "http:p:9000", Target("http", "127.1.0.1", 9000)),
    ],
)
def test_a_port_of_a_pod(client: Client, ports: tuple[int, ...], name: str, target: Target) -> None:
    make_pod(client, "p", *ports, ip="127.1.0.1")
    assert pod_target(client, "ns", name) == target


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("gone", 404, 'pods "gone" not found'),
        ("p", 400, "address not allowed"),
        ("p:http", 400, 'invalid pod request "p:http"'),
    ],
)
def test_pods_that_can_not_be_reached(client: Client, name: str, code: int, message: str) -> None:
    make_pod(client, "p", 8000)
    with pytest.raises(StatusError) as raised:
        pod_target(client, "ns", name)
    assert (raised.value.code, str(raised.value)) == (code, message)
