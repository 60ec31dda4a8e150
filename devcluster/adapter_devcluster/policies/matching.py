"""Which requests a policy, or a binding, is about.

Sources: ``.../plugin/policy/matching/matching.go``, ``.../plugin/webhook/predicates/{rules,namespace,object}``
(``k8s.io/apiserver/pkg/admission``, v0.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adapter_devcluster.client import Client
from adapter_devcluster.objects import Object, labels_of
from adapter_devcluster.policies.request import AdmissionRequest, Match
from adapter_devcluster.selectors import Selector, label_selector


class ConfigurationError(ValueError):
    """A policy or a binding can't be applied to a request that it is about; the message says why."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """An entry of ``resourceRules``."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: frozenset[tuple[str, str]]
    scope: str
    names: frozenset[str]

    def is_about(self, request: AdmissionRequest) -> bool:
        """Whether everything but group and version fits."""
        if not self.operations & {"*", request.operation}:
            return False
        return self._has_scope(request) and self._has_resource(request.resource, request.subresource)

    def has_version(self, group: str, version: str) -> bool:
        return bool(self.groups & {"*", group}) and bool(self.versions & {"*", version})

    def has_name(self, name: str) -> bool:
        return not self.names or name in self.names

    def _has_scope(self, request: AdmissionRequest) -> bool:
        if self.scope == "*":
            return True
        namespaced = bool(request.namespace) and not request.is_namespace
        return namespaced == (self.scope == "Namespaced")

    def _has_resource(self, resource: str, subresource: str) -> bool:
        return any(name in ("*", resource) and sub in ("*", subresource) for name, sub in self.resources)


def _rules(raw: Iterable[Object] | None) -> tuple[_Rule, ...]:
    return tuple(
        _Rule(
            operations=frozenset(one.get("operations") or ()),
            groups=frozenset(one.get("apiGroups") or ()),
            versions=frozenset(one.get("apiVersions") or ()),
            resources=frozenset((name, sub) for name, _, sub in (r.partition("/") for r in one.get("resources") or ())),
            scope=one.get("scope") or "*",
            names=frozenset(one.get("resourceNames") or ()),
        )
        for one in raw or ()
    )


class ResourceMatcher:
    """``matchConstraints`` of a policy, or ``matchResources`` of a binding. Without rules it is about everything."""

    def __init__(self, raw: Object, client: Client) -> None:
        self._client = client
        self._rules = _rules(raw.get("resourceRules"))
        self._excluded = _rules(raw.get("excludeResourceRules"))
        self._equivalent = raw.get("matchPolicy") != "Exact"
        self._namespaces = label_selector(raw.get("namespaceSelector") or {})
        self._objects = label_selector(raw.get("objectSelector") or {})

    def may_match(self, request: AdmissionRequest) -> bool:
        """Whether requests of this resource and operation can match at all; what they hold is not looked at."""
        return not self._rules or any(
            rule.is_about(request) and (self._equivalent or rule.has_version(request.group, request.version))
            for rule in self._rules
        )

    def match(self, request: AdmissionRequest) -> Match | None:
        """Return the version in which a request matches, None if it does not.

        Raises ConfigurationError where its namespace is not there, although it would match.
        """
        problem = ""
        try:
            if not self._selects_namespace(request):
                return None
        except ConfigurationError as error:
            problem = str(error)
        if not self._selects_object(request) or self._find(self._excluded, request) is not None:
            return None
        own = Match(request.group, request.version, request.kind)
        found = self._find(self._rules, request) if self._rules else own
        if found is not None and problem:
            raise ConfigurationError(problem)
        return found

    def _selects_namespace(self, request: AdmissionRequest) -> bool:
        name = request.effective_namespace
        # What lives in no namespace can't be exempted by one.
        return not name or not self._namespaces or self._namespaces.matches(self._namespace_labels(request, name))

    def _namespace_labels(self, request: AdmissionRequest, name: str) -> dict[str, str]:
        own = request.is_namespace and not request.subresource
        if own and request.object is not None and request.operation in ("CREATE", "UPDATE"):
            return labels_of(request.object)
        found = self._client.get("namespaces", "", name)
        if found is None:
            raise ConfigurationError(f'namespaces "{name}" not found')
        return labels_of(found)

    def _selects_object(self, request: AdmissionRequest) -> bool:
        found = [obj for obj in (request.object, request.old_object) if obj is not None]
        return not self._objects or any(_carries(obj, self._objects) for obj in found)

    def _find(self, rules: Iterable[_Rule], request: AdmissionRequest) -> Match | None:
        about = [rule for rule in rules if rule.is_about(request) and rule.has_name(request.name)]
        if any(rule.has_version(request.group, request.version) for rule in about):
            return Match(request.group, request.version, request.kind)
        if not self._equivalent:
            return None
        return next((match for rule in about for match in self._equivalents(rule, request)), None)

    def _equivalents(self, rule: _Rule, request: AdmissionRequest) -> Iterator[Match]:
        """The other versions of the same resource that a rule names."""
        own = Match(request.group, request.version, request.kind)
        resource = self._client.resource_for(own.api_version, request.kind)
        for group in sorted(rule.groups):
            for version in sorted(rule.versions):
                other = Match(request.group if group == "*" else group, version, request.kind)
                if resource is not None and self._client.resource_for(other.api_version, request.kind) == resource:
                    yield other


def _carries(obj: Object, selector: Selector) -> bool:
    return selector.matches(labels_of(obj))
