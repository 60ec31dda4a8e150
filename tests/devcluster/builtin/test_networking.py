from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit

NETWORK = "networking.k8s.io/v1"
INGRESS = "spec.ingress[0]"
BACKEND = {"service": {"name": "s", "port": {"number": 80}}}
PATH = "spec.rules[0].http.paths[0]"


def _policy(**spec: Any) -> Object:
    return manifest(NETWORK, "NetworkPolicy", spec={"podSelector": {}, **spec})


def _ingress(**spec: Any) -> Object:
    return manifest(NETWORK, "Ingress", spec=spec)


def _path(**path: Any) -> Object:
    return {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": BACKEND, **path}]}}]}


def test_what_every_policy_gets() -> None:
    assert created(_policy())["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    found = created(_policy(egress=[{"ports": [{"port": 53}]}]))
    assert found["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert found["spec"]["egress"][0]["ports"] == [{"port": 53, "protocol": "TCP"}]
    assert found["metadata"]["generation"] == 1
    assert created(_policy(policyTypes=["Egress"]))["spec"]["policyTypes"] == ["Egress"]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"podSelector": {"matchLabels": {"-": ""}}}, [("spec.podSelector.matchLabels", "Invalid")]),
        ({"policyTypes": ["x"]}, [("spec.policyTypes[0]", "NotSupported")]),
        ({"policyTypes": ["Ingress"] * 3}, [("spec.policyTypes", "Invalid")]),
        ({"ingress": [{"from": [{}]}]}, [(f"{INGRESS}.from[0]", "Required")]),
        (
            {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
            [(f"{INGRESS}.from[0]", "Forbidden")],
        ),
        ({"ingress": [{"from": [{"ipBlock": {}}]}]}, [(f"{INGRESS}.from[0].ipBlock.cidr", "Required")]),
        (
            {"ingress": [{"from": [{"ipBlock": {"cidr": "x", "except": ["10.0.0.0/9", "y"]}}]}]},
            [(f"{INGRESS}.from[0].ipBlock.cidr", "Invalid"), (f"{INGRESS}.from[0].ipBlock.except[1]", "Invalid")],
        ),
        (
            {"ingress": [{"ports": [{"protocol": "x", "port": 0}]}]},
            [(f"{INGRESS}.ports[0].port", "Invalid"), (f"{INGRESS}.ports[0].protocol", "NotSupported")],
        ),
        ({"ingress": [{"ports": [{"endPort": 5}]}]}, [(f"{INGRESS}.ports[0].port", "Required")]),
        ({"ingress": [{"ports": [{"port": "a", "endPort": 5}]}]}, [(f"{INGRESS}.ports[0].endPort", "Invalid")]),
        ({"ingress": [{"ports": [{"port": 6, "endPort": 5}]}]}, [(f"{INGRESS}.ports[0].endPort", "Invalid")]),
        ({"ingress": [{"ports": [{"port": 5, "endPort": 6}]}]}, []),
    ],
)
def test_what_is_wrong_with_a_policy(spec: Object, expected: Any) -> None:
    assert refusal(_policy(**spec)) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, [("spec", "Invalid")]),
        ({"defaultBackend": BACKEND, "ingressClassName": "A"}, [("spec.ingressClassName", "Invalid")]),
        ({"defaultBackend": {}}, [("spec.defaultBackend", "Required")]),
        ({"defaultBackend": {"resource": {"kind": "k", "name": "n"}}}, []),
        ({"defaultBackend": {**BACKEND, "resource": {"kind": "k", "name": "n"}}}, [("spec.defaultBackend", "Invalid")]),
        (
            {"defaultBackend": {"service": {"name": "", "port": {}}}},
            [("spec.defaultBackend.service", "Required"), ("spec.defaultBackend.service.name", "Required")],
        ),
        (
            {"defaultBackend": {"service": {"name": "1", "port": {"name": "a", "number": 70000}}}},
            [
                ("spec.defaultBackend.service", "Invalid"),
                ("spec.defaultBackend.service.name", "Invalid"),
                ("spec.defaultBackend.service.port.number", "Invalid"),
            ],
        ),
        ({"rules": [{"host": "*.example.test"}]}, []),
        ({"rules": [{"host": "A"}]}, [("spec.rules[0].host", "Invalid")]),
        ({"rules": [{"http": {"paths": []}}]}, [("spec.rules[0].http.paths", "Required")]),
        (_path(), []),
        (_path(pathType=None), [(f"{PATH}.pathType", "Required")]),
        (_path(pathType="x"), [(f"{PATH}.pathType", "NotSupported")]),
        (_path(path="x"), [(f"{PATH}.path", "Invalid")]),
        (_path(path=""), [(f"{PATH}.path", "Invalid")]),
        (_path(path="", pathType="ImplementationSpecific"), []),
    ],
)
def test_what_is_wrong_with_an_ingress(spec: Object, expected: Any) -> None:
    assert refusal(_ingress(**spec)) == expected


def test_an_ingress_shows_its_balancer() -> None:
    found = created(_ingress(defaultBackend=BACKEND))
    assert found["status"] == {"loadBalancer": {}}
    assert found["metadata"]["generation"] == 1


def test_ingress_classes() -> None:
    found = created(manifest(NETWORK, "IngressClass", spec={"controller": "example.test/c"}))
    assert change_refusal(found, lambda one: one["spec"].update(controller="example.test/d")) == [
        ("spec.controller", "Invalid")
    ]
    assert refusal(manifest(NETWORK, "IngressClass")) == [("spec.controller", "Required")]
    assert refusal(manifest(NETWORK, "IngressClass", spec={"controller": "c"})) == [("spec.controller", "Invalid")]


# --- endpoints ------------------------------------------------------------------------------------------------------


def _slice(**content: Any) -> Object:
    return manifest("discovery.k8s.io/v1", "EndpointSlice", **{"addressType": "IPv4", **content})


def test_endpoint_slices() -> None:
    found = created(_slice(endpoints=[{"addresses": ["10.0.0.1"]}], ports=[{"port": 80}]))
    assert found["endpoints"] == [{"addresses": ["10.0.0.1"], "conditions": {}}]
    assert found["ports"] == [{"name": "", "port": 80, "protocol": "TCP"}]
    assert found["metadata"]["generation"] == 1
    empty = created(_slice())
    assert (empty["endpoints"], empty["ports"]) == (None, None)
    assert updated(empty, lambda one: one.update(ports=[{"port": 1}]))["metadata"]["generation"] == 2
    assert updated(empty, lambda one: one["metadata"].update(labels={"a": "b"}))["metadata"]["generation"] == 1
    assert change_refusal(empty, lambda one: one.update(addressType="IPv6")) == [("addressType", "Invalid")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"addressType": "x"}, [("addressType", "NotSupported")]),
        ({"endpoints": [{"addresses": []}]}, [("endpoints[0].addresses", "Required")]),
        ({"endpoints": [{"addresses": ["x"]}]}, [("endpoints[0].addresses[0]", "Invalid")]),
        ({"addressType": "FQDN", "endpoints": [{"addresses": ["x"]}]}, []),
        ({"endpoints": [{"addresses": ["10.0.0.1"] * 101}]}, [("endpoints[0].addresses", "TooMany")]),
        ({"endpoints": [{"addresses": ["10.0.0.1"]}] * 1001}, [("endpoints", "TooMany")]),
        (
            {"endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "A", "hostname": "a.b"}]},
            [("endpoints[0].hostname", "Invalid"), ("endpoints[0].nodeName", "Invalid")],
        ),
        (
            {"ports": [{"port": 0, "name": "A", "protocol": "x"}, {"name": "A"}]},
            [
                ("ports[0].name", "Invalid"),
                ("ports[0].port", "Invalid"),
                ("ports[0].protocol", "NotSupported"),
                ("ports[1].name", "Duplicate"),
                ("ports[1].name", "Invalid"),
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_slice(content: Object, expected: Any) -> None:
    assert refusal(_slice(**content)) == expected


def test_endpoints() -> None:
    subset = {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}
    found = created(manifest("v1", "Endpoints", subsets=[subset]))
    assert found["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]
    wrong = {"notReadyAddresses": [{"ip": "x"}], "ports": [{"port": 0}, {"port": 1, "name": "A", "protocol": "x"}]}
    assert refusal(manifest("v1", "Endpoints", subsets=[{}, wrong])) == [
        ("subsets[0]", "Required"),
        ("subsets[1].notReadyAddresses[0].ip", "Invalid"),
        ("subsets[1].ports[0].name", "Required"),
        ("subsets[1].ports[0].port", "Invalid"),
        ("subsets[1].ports[1].name", "Invalid"),
        ("subsets[1].ports[1].protocol", "NotSupported"),
    ]
