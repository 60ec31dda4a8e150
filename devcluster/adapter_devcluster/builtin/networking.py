"""NetworkPolicies, Ingresses and IngressClasses (``pkg/apis/networking``, v1.36)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, forbidden, index, invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks, spec_of
from adapter_devcluster.objects import Object

_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")
_DIRECTIONS: Final = ("Egress", "Ingress")


def _rules(spec: Object) -> Iterator[tuple[str, Object, str]]:
    for name, peers in (("ingress", "from"), ("egress", "to")):
        for at, rule in checks.items_of(spec, name, "spec"):
            yield at, rule, peers


def _default_policy(obj: Object) -> None:
    spec = obj["spec"]
    for _, rule, _ in _rules(spec):
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _check_policy(obj: Object) -> Iterator[FieldError]:
    spec = obj["spec"]
    yield from checks.check_label_selector(spec["podSelector"], "spec.podSelector")
    for at, rule, peers in _rules(spec):
        for where, port in checks.items_of(rule, "ports", at):
            yield from _check_policy_port(port, where)
        for where, peer in checks.items_of(rule, peers, at):
            yield from _check_peer(peer, where)
    types = spec["policyTypes"]
    if len(types) > len(_DIRECTIONS):
        yield invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
    for position, one in enumerate(types):
        if one not in _DIRECTIONS:
            yield not_supported(index("spec.policyTypes", position), one, _DIRECTIONS)


def _check_policy_port(port: Object, path: str) -> Iterator[FieldError]:
    yield from checks.one_of(port, path, "protocol", _PROTOCOLS)
    number, last = port.get("port"), port.get("endPort")
    if number is not None:
        yield from checks.check_port_or_name(number, child(path, "port"))
    if last is None:
        return
    if number is None:
        yield required(child(path, "port"), "must be specified when `endPort` is specified")
    elif isinstance(number, str):
        yield invalid(child(path, "endPort"), last, "may not specify endPort when `port` is non-numeric")
    elif last < number:
        yield invalid(child(path, "endPort"), last, "must be greater than or equal to `port`")
    yield from checks.check_port(last, child(path, "endPort"))


def _check_peer(peer: Object, path: str) -> Iterator[FieldError]:
    for name in ("podSelector", "namespaceSelector"):
        yield from checks.check_label_selector(peer.get(name), child(path, name))
    if "ipBlock" in peer:
        yield from _check_block(peer["ipBlock"], child(path, "ipBlock"))
        if len(peer) > 1:
            yield forbidden(path, "may not specify both ipBlock and another peer")
    if not peer:
        yield required(path, "must specify a peer")


def _check_block(block: Object, path: str) -> Iterator[FieldError]:
    cidr = block.get("cidr") or ""
    if not cidr:
        yield required(child(path, "cidr"))
        return
    places = [(child(path, "cidr"), cidr)]
    places += [(index(child(path, "except"), position), one) for position, one in enumerate(block.get("except") or ())]
    for at, text in places:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            yield invalid(at, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def _check_ingress(obj: Object) -> Iterator[FieldError]:
    spec = obj["spec"]
    if not spec.get("rules") and "defaultBackend" not in spec:
        yield invalid("spec", spec.get("rules"), "either `defaultBackend` or `rules` must be specified")
    if "defaultBackend" in spec:
        yield from _check_backend(spec["defaultBackend"], "spec.defaultBackend")
    yield from checks.named(spec, "spec", "ingressClassName")
    for at, rule in checks.items_of(spec, "rules", "spec"):
        host = rule.get("host") or ""
        for problem in names.check_dns_subdomain(host.removeprefix("*.")) if host else ():
            yield invalid(child(at, "host"), host, problem)
        if "http" in rule:
            yield from _check_paths(rule["http"], child(at, "http"))


def _check_paths(rule: Object, path: str) -> Iterator[FieldError]:
    if not rule.get("paths"):
        yield required(child(path, "paths"))
    for at, one in checks.items_of(rule, "paths", path):
        kind, where = one.get("pathType"), one.get("path") or ""
        if kind is None:
            yield required(child(at, "pathType"), "pathType must be specified")
        elif kind not in _PATH_TYPES:
            yield not_supported(child(at, "pathType"), kind, _PATH_TYPES)
        if (where or kind in ("Exact", "Prefix")) and not where.startswith("/"):
            yield invalid(child(at, "path"), where, "must be an absolute path")
        yield from _check_backend(one["backend"], child(at, "backend"))


def _check_backend(backend: Object, path: str) -> Iterator[FieldError]:
    if "service" in backend and "resource" in backend:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif "service" in backend:
        service, at = backend["service"], child(path, "service")
        yield from checks.needed(service, at, "name")
        yield from checks.named(service, at, "name", names.check_dns_1035_label)
        port = service["port"]
        if port.get("name") and port.get("number"):
            yield invalid(at, "", "cannot set both port name & port number")
        elif not port.get("name") and not port.get("number"):
            yield required(at, "port name or number is required")
        yield from checks.check_port(port.get("number"), child(at, "port.number"))
    elif "resource" not in backend:
        yield required(path, "a default backend or a service or a resource backend is required")


def _check_class(obj: Object) -> Iterator[FieldError]:
    controller = obj["spec"].get("controller") or ""
    domain, slash, rest = controller.partition("/")
    if not controller:
        yield required("spec.controller")
    elif not slash or not rest or names.check_dns_subdomain(domain):
        yield invalid("spec.controller", controller, 'must be a domain-prefixed path (such as "acme.io/foo")')


def _check_class_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from checks.unchanged(new["spec"], old["spec"], "spec", "controller")


NETWORK_POLICIES: Final = Strategy(
    defaults=_default_policy, check=_check_policy, update=UpdateChecks(content=2), generation_of=spec_of
)
INGRESSES: Final = Strategy(check=_check_ingress, update=UpdateChecks(metadata=0), generation_of=spec_of)
INGRESS_CLASSES: Final = Strategy(check=_check_class, check_update=_check_class_update, generation_of=spec_of)
