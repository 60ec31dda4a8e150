"""Services (``pkg/registry/core/service``, ``ValidateService``, v1.36).

Addresses and node ports that the server chooses are not chosen here: see `addresses`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, duplicate, forbidden, index, invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import Strategy
from adapter_devcluster.objects import Object, copy

_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_WITH_NODE_PORTS: Final = ("LoadBalancer", "NodePort")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_POLICIES: Final = ("Cluster", "Local")
_HEADLESS: Final = "None"
_AFFINITY_SECONDS: Final = 10800


def _default(service: Object) -> None:
    spec = service["spec"]
    kind = spec.setdefault("type", "ClusterIP")
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {})
        config.setdefault("clientIP", {}).setdefault("timeoutSeconds", _AFFINITY_SECONDS)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port["targetPort"] = port["targetPort"] or port["port"]
    if kind in _WITH_NODE_PORTS or spec.get("externalIPs"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("ClusterIP", *_WITH_NODE_PORTS):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _fill_families(spec: Object) -> None:
    """Keep the single address and the list equal, and say which family they are of."""
    if spec["type"] == "ExternalName":
        return
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def _prepare_create(service: Object) -> None:
    _fill_families(service["spec"])


def _prepare_update(new: Object, old: Object) -> None:
    """Keep what was given out, where the update doesn't say; drop what the new type doesn't have."""
    spec, stored = new["spec"], copy(old["spec"])
    kind, before = spec["type"], stored.get("type")
    if kind == "ExternalName":
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if name in stored and spec.get(name) == stored[name]:
                del spec[name]
    elif before != "ExternalName":
        _follow_cluster_ip(spec, stored)
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if name in stored and not spec.get(name):
                spec[name] = stored[name]
    _keep_node_ports(spec, stored)
    _drop_of_other_types(spec, stored)
    _fill_families(spec)


def _follow_cluster_ip(spec: Object, stored: Object) -> None:
    """Whoever writes another ``clusterIP`` alone means ``clusterIPs`` too."""
    found = spec.get("clusterIP")
    if found and found != stored.get("clusterIP") and spec.get("clusterIPs") == stored.get("clusterIPs"):
        spec["clusterIPs"] = [found]


def _drop_of_other_types(spec: Object, stored: Object) -> None:
    """Drop what only the type before had, and what nobody changed."""
    dropped = []
    if stored.get("type") in _WITH_NODE_PORTS and spec["type"] not in _WITH_NODE_PORTS and not spec.get("externalIPs"):
        dropped += ["externalTrafficPolicy", "healthCheckNodePort"]
    if stored.get("type") == "LoadBalancer" != spec["type"]:
        dropped += ["allocateLoadBalancerNodePorts", "loadBalancerClass"]
    for name in dropped:
        if name in spec and spec[name] == stored.get(name):
            del spec[name]


def _keep_node_ports(spec: Object, stored: Object) -> None:
    given = {(one.get("protocol"), one["port"]): one.get("nodePort") for one in stored.get("ports") or ()}
    had = stored.get("type") in _WITH_NODE_PORTS
    for port in spec.get("ports") or ():
        found = given.get((port["protocol"], port["port"]))
        if had and spec["type"] in _WITH_NODE_PORTS and found:
            port.setdefault("nodePort", found)
        elif had and spec["type"] not in _WITH_NODE_PORTS and port.get("nodePort") == found:
            port.pop("nodePort", None)


def _check(service: Object) -> Iterator[FieldError]:
    spec = service["spec"]
    kind, headless = spec["type"], spec.get("clusterIP") == _HEADLESS
    if not spec.get("ports") and not headless and kind != "ExternalName":
        yield required("spec.ports")
    yield from _check_type(spec, headless=headless)
    if spec["sessionAffinity"] not in ("ClientIP", "None"):
        yield not_supported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    yield from checks.check_labels(spec.get("selector") or {}, "spec.selector")
    yield from _check_ports(spec)
    yield from _check_cluster_ips(spec)
    yield from checks.one_of_if_set(spec, "spec", "internalTrafficPolicy", _POLICIES)
    policy = spec.get("externalTrafficPolicy")
    if policy and kind not in _WITH_NODE_PORTS and not spec.get("externalIPs"):
        detail = "may only be set for externally-accessible services"
        yield invalid("spec.externalTrafficPolicy", policy, detail)
    else:
        yield from checks.one_of_if_set(spec, "spec", "externalTrafficPolicy", _POLICIES)


def _check_type(spec: Object, *, headless: bool) -> Iterator[FieldError]:
    kind = spec["type"]
    if kind not in _TYPES:
        yield not_supported("spec.type", kind, _TYPES)
    elif kind == "ExternalName":
        if spec.get("clusterIP"):
            yield forbidden("spec.clusterIP", "may not be set for ExternalName services")
        if not spec.get("externalName"):
            yield required("spec.externalName")
        yield from checks.named(spec, "spec", "externalName")
    elif kind in _WITH_NODE_PORTS and headless:
        detail = f"may not be set to 'None' for {kind} services"
        yield invalid("spec.clusterIPs[0]", _HEADLESS, detail)


def _check_ports(spec: Object) -> Iterator[FieldError]:
    ports = spec.get("ports") or ()
    taken: set[str] = set()
    pairs: set[tuple[str, int]] = set()
    node_ports: set[tuple[str, int]] = set()
    for at, port in checks.items_of(spec, "ports", "spec"):
        name = port.get("name") or ""
        if name:
            yield from checks.named(port, at, "name", names.check_dns_label)
            if name in taken:
                yield duplicate(child(at, "name"), name)
            taken.add(name)
        elif len(ports) > 1:
            yield required(child(at, "name"))
        yield from checks.check_port(port["port"], child(at, "port"))
        yield from checks.one_of(port, at, "protocol", _PROTOCOLS)
        yield from checks.check_port_or_name(port["targetPort"], child(at, "targetPort"))
        yield from checks.named(port, at, "appProtocol", names.check_label_key)
        if port.get("nodePort") and spec["type"] not in _WITH_NODE_PORTS:
            yield forbidden(child(at, "nodePort"), f"may not be used when `type` is '{spec['type']}'")
        pair = (port["protocol"], port["port"])
        if pair in pairs:
            yield duplicate(at, {"protocol": pair[0], "port": pair[1]})
        pairs.add(pair)
        outside = (port["protocol"], port.get("nodePort") or 0)
        if outside in node_ports:
            yield duplicate(child(at, "nodePort"), outside[1])
        if outside[1]:
            node_ports.add(outside)


def _check_cluster_ips(spec: Object) -> Iterator[FieldError]:
    found = spec.get("clusterIPs") or []
    if found and spec.get("clusterIP") != found[0]:
        yield invalid("spec.clusterIPs", found, "first value must match `clusterIP`")
    for position, ip in enumerate(found):
        if ip == _HEADLESS and position == 0:
            continue
        try:
            ipaddress.ip_address(ip)
        except ValueError:
            detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            yield invalid(index("spec.clusterIPs", position), ip, detail)


def _check_update(new: Object, old: Object) -> Iterator[FieldError]:
    spec, stored = new["spec"], old["spec"]
    if "ExternalName" in (spec["type"], stored.get("type")):
        return
    before, after = stored.get("clusterIPs") or [], spec.get("clusterIPs") or []
    if before and after[:1] != before[:1]:
        yield invalid("spec.clusterIPs[0]", after, "may not change once set")


SERVICES: Final = Strategy(
    # KEP-5311, beta in 1.36: a service's name may begin with a digit.
    check_name=names.check_dns_label,
    defaults=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check=_check,
    check_update=_check_update,
)
