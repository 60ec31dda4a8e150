"""What is wrong with the rules that say which requests a policy or a binding is about.

Source: ``pkg/apis/admissionregistration/validation/validation.go`` (v1.36), validateMatchResources and below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from adapter_devcluster.apiextensions import names
from adapter_devcluster.apiextensions.errors import FieldError, duplicate, invalid, not_supported, required
from adapter_devcluster.builtin.checks import check_label_selector
from adapter_devcluster.objects import Object

_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES: Final = ("*", "Cluster", "Namespaced")
_MATCH_POLICIES: Final = ("Equivalent", "Exact")


def check_match_resources(resources: Object, path: str) -> Iterator[FieldError]:
    """Check ``matchConstraints`` or ``matchResources``."""
    policy = resources.get("matchPolicy")
    if policy is not None and policy not in _MATCH_POLICIES:
        yield not_supported(f"{path}.matchPolicy", policy, _MATCH_POLICIES)
    for field in ("namespaceSelector", "objectSelector"):
        yield from check_label_selector(resources.get(field), f"{path}.{field}")
    for field in ("resourceRules", "excludeResourceRules"):
        for at, rule in enumerate(resources.get(field) or ()):
            yield from _check_rule(rule, f"{path}.{field}[{at}]")


def _check_rule(rule: Object, path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for at, name in enumerate(rule.get("resourceNames") or ()):
        yield from (invalid(f"{path}.resourceNames[{at}]", name, one) for one in names.check_path_segment(name))
        if name in seen:
            yield duplicate(f"{path}.resourceNames[{at}]", name)
        seen.add(name)
    operations = rule.get("operations") or []
    yield from _check_list(operations, f"{path}.operations", "operations")
    for at, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            yield not_supported(f"{path}.operations[{at}]", operation, _OPERATIONS)
    yield from _check_list(rule.get("apiGroups") or [], f"{path}.apiGroups", "API groups")
    versions = rule.get("apiVersions") or []
    yield from _check_list(versions, f"{path}.apiVersions", "API versions")
    yield from (required(f"{path}.apiVersions[{at}]") for at, version in enumerate(versions) if not version)
    yield from _check_resources(rule.get("resources") or [], f"{path}.resources")
    scope = rule.get("scope")
    if scope is not None and scope not in _SCOPES:
        yield not_supported(f"{path}.scope", scope, _SCOPES)


def _check_list(values: Sequence[str], path: str, what: str) -> Iterator[FieldError]:
    if not values:
        yield required(path)
    elif len(values) > 1 and "*" in values:
        yield invalid(path, list(values), f"if '*' is present, must not specify other {what}")


def _check_resources(resources: Sequence[str], path: str) -> Iterator[FieldError]:
    if not resources:
        yield required(path)
    all_subresources: set[str] = set()
    all_resources: set[str] = set()
    for at, resource in enumerate(resources):
        if not resource:
            yield required(f"{path}[{at}]")
            continue
        name, slash, sub = resource.partition("/")
        if not slash:
            continue
        if name in all_subresources:
            yield invalid(f"{path}[{at}]", resource, f"if '{name}/*' is present, must not specify {resource}")
        if sub in all_resources:
            yield invalid(f"{path}[{at}]", resource, f"if '*/{sub}' is present, must not specify {resource}")
        if sub == "*":
            all_subresources.add(name)
        if name == "*":
            all_resources.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        yield invalid(path, list(resources), "if '*/*' is present, must not specify other resources")
    if "*" in resources and any("/" not in one and one != "*" for one in resources):
        words = "if '*' is present, must not specify other resources without subresources"
        yield invalid(path, list(resources), words)
