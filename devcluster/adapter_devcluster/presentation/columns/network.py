"""Services and what stands before and behind them."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.objects import Object, section
from adapter_devcluster.presentation.columns.base import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Cell,
    Column,
    KindColumns,
    age,
    label_selector_text,
    labels_text,
    name,
    shortened,
)

_SERVICE: Final = "io.k8s.api.core.v1.ServiceSpec"
_SLICE: Final = "io.k8s.api.discovery.v1.EndpointSlice"


def _service(obj: Object, now: int) -> list[Cell]:
    spec = section(obj, "spec")
    addresses = spec.get("clusterIPs") or [NONE]
    return [
        name(obj),
        spec.get("type", ""),
        addresses[0],
        _external_ip(obj),
        ",".join(_port(one) for one in spec.get("ports") or []) or NONE,
        age(obj, now),
        labels_text(spec.get("selector")),
    ]


def _port(port: Object) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}"


def _external_ip(obj: Object) -> str:
    spec = section(obj, "spec")
    external = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            balancer = _ingress_points(obj)
            return ",".join([balancer, *external] if balancer else external) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return UNKNOWN


def _ingress_points(obj: Object) -> str:
    points = section(obj, "status", "loadBalancer").get("ingress") or []
    return ",".join(sorted({str(one.get("ip") or one.get("hostname") or "") for one in points} - {""}))


def _endpoints(obj: Object, now: int) -> list[Cell]:
    found = [
        f"{address.get('ip')}:{port['port']}" if port else str(address.get("ip"))
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or [None]
        for address in subset.get("addresses") or []
    ]
    return [name(obj), shortened(found, 3) if obj.get("subsets") else NONE, age(obj, now)]


def _endpoint_slice(obj: Object, now: int) -> list[Cell]:
    ports = [str(one.get("port") or one.get("name") or "*") for one in obj.get("ports") or []]
    addresses = [address for one in obj.get("endpoints") or [] for address in one.get("addresses") or []]
    return [
        name(obj),
        obj.get("addressType", ""),
        shortened(ports, 3) or UNSET,
        shortened(addresses, 3) or UNSET,
        age(obj, now),
    ]


def _ingress(obj: Object, now: int) -> list[Cell]:
    spec = section(obj, "spec")
    return [
        name(obj),
        spec.get("ingressClassName") or NONE,
        _hosts([str(one.get("host") or "") for one in spec.get("rules") or []]),
        _ingress_points(obj),
        "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]


def _hosts(of_rules: list[str]) -> str:
    """Name the first three hosts; the rest is counted in rules, those without a host too."""
    named = [position for position, host in enumerate(of_rules) if host][:3]
    text = ",".join(of_rules[position] for position in named)
    if len(named) == 3 and len(of_rules) > named[-1] + 1:
        return f"{text} + {len(of_rules) - 3} more..."
    return text or "*"


def _ingress_class(obj: Object, now: int) -> list[Cell]:
    spec = section(obj, "spec")
    parameters, found = spec.get("parameters"), NONE
    if parameters:
        group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
        found = f"{parameters.get('kind')}{group}/{parameters.get('name')}"
    return [name(obj), spec.get("controller", ""), found, age(obj, now)]


def _network_policy(obj: Object, now: int) -> list[Cell]:
    return [name(obj), label_selector_text(section(obj, "spec", "podSelector")), age(obj, now)]


COLUMNS: Final = {
    ("", "Service"): KindColumns(
        (
            NAME,
            Column("Type", (_SERVICE, "type")),
            Column("Cluster-IP", (_SERVICE, "clusterIP")),
            Column("External-IP", (_SERVICE, "externalIPs")),
            Column("Port(s)", (_SERVICE, "ports")),
            AGE,
            Column("Selector", (_SERVICE, "selector"), wide=True),
        ),
        _service,
    ),
    ("", "Endpoints"): KindColumns(
        (NAME, Column("Endpoints", ("io.k8s.api.core.v1.Endpoints", "subsets")), AGE), _endpoints
    ),
    ("discovery.k8s.io", "EndpointSlice"): KindColumns(
        (
            NAME,
            Column("AddressType", (_SLICE, "addressType")),
            Column("Ports", (_SLICE, "ports")),
            Column("Endpoints", (_SLICE, "endpoints")),
            AGE,
        ),
        _endpoint_slice,
    ),
    ("networking.k8s.io", "Ingress"): KindColumns(
        (
            NAME,
            Column("Class", "The name of the IngressClass resource that should be used for additional configuration"),
            Column("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
            Column("Address", "Address is a list containing ingress points for the load-balancer"),
            Column("Ports", "Ports of TLS configurations that open"),
            AGE,
        ),
        _ingress,
    ),
    ("networking.k8s.io", "IngressClass"): KindColumns(
        (
            NAME,
            Column("Controller", "Controller that is responsible for handling this class"),
            Column("Parameters", "A reference to a resource with additional parameters"),
            AGE,
        ),
        _ingress_class,
    ),
    ("networking.k8s.io", "NetworkPolicy"): KindColumns(
        (NAME, Column("Pod-Selector", ("io.k8s.api.networking.v1.NetworkPolicySpec", "podSelector")), AGE),
        _network_policy,
    ),
}
