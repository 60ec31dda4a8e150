from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.loopback import is_loopback
from adapter_devcluster.network.endpoints import Backend, ready_backends

pytestmark = pytest.mark.unit


def endpoint(address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions}


def piece(*endpoints: dict[str, Any], ports: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"endpoints": list(endpoints), "ports": ports or [{"name": "http", "port": 80, "protocol": "TCP"}]}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("128.0.0.1", False),
        ("10.0.0.1", False),
        ("::1", False),
        ("localhost", False),
        ("None", False),
        ("", False),
    ],
)
def test_loopback(address: str, found: bool) -> None:
    assert is_loopback(address) is found


def test_ready_endpoints_of_all_slices() -> None:
    slices = [
        piece(endpoint("127.1.0.2", ready=True), endpoint("127.1.0.3", ready=False)),
        piece(endpoint("127.1.0.1"), endpoint("127.1.0.2", ready=True)),
    ]
    assert ready_backends(slices, "http") == [Backend("127.1.0.1", 80), Backend("127.1.0.2", 80)]


def test_only_the_port_of_that_name_over_tcp() -> None:
    ports = [
        {"name": "http", "port": 80},
        {"name": "", "port": 81, "protocol": "TCP"},
        {"port": 82},
        {"name": "http", "port": 83, "protocol": "UDP"},
        {"name": "http"},
    ]
    slices = [piece(endpoint("127.1.0.1"), ports=ports)]
    assert ready_backends(slices, "http") == [Backend("127.1.0.1", 80)]
    assert ready_backends(slices, "") == [Backend("127.1.0.1", 81), Backend("127.1.0.1", 82)]
    assert ready_backends(slices, "other") == []


def test_pods_that_end_serve_on_while_no_other_is_ready() -> None:
    ending = endpoint("127.1.0.1", ready=False, serving=True, terminating=True)
    dead = endpoint("127.1.0.2", ready=False, serving=False, terminating=True)
    starting = endpoint("127.1.0.3", ready=False, serving=True)
    assert ready_backends([piece(ending, dead, starting)], "http") == [Backend("127.1.0.1", 80)]
    assert ready_backends([piece(ending, endpoint("127.1.0.4", ready=True))], "http") == [Backend("127.1.0.4", 80)]


def test_addresses_of_other_machines_and_empty_slices_are_left_out() -> None:
    slices = [piece(endpoint("10.0.0.1", ready=True)), {"endpoints": None, "ports": None}]
    assert ready_backends(slices, "http") == []
