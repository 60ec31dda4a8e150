"""The order of groups and versions in discovery: the first one is preferred.

Sources: ``k8s.io/apimachinery/pkg/version/helpers.go`` (v0.36) for versions, the priorities that the API
server gives its own groups (``pkg/controlplane/apiserver/aggregator.go``, v1.36) for groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from adapter_devcluster.resource_types import ResourceType

_VERSION: Final = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")
_STAGES: Final = {None: 0, "beta": 1, "alpha": 2}
# kubectl takes the first group that has the name it was given: "events" are those of the core group.
_GROUPS: Final = (
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Return a sort key: v2, v1, v2beta1, v1beta2, v1alpha1, then all others by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return len(_STAGES), 0, 0, version
    return _STAGES[match[2]], -int(match[1]), -int(match[3] or 0), ""


def group_priority(group: str) -> tuple[int, str]:
    """Return a sort key: the core group, Kubernetes' own, then those of custom resources by name."""
    return (_GROUPS.index(group) if group in _GROUPS else len(_GROUPS)), group


def group_versions(types: Iterable[ResourceType]) -> dict[str, list[str]]:
    """Return each group's versions, groups and versions in order of preference."""
    found: dict[str, set[str]] = {}
    for one in types:
        found.setdefault(one.group, set()).add(one.version)
    return {group: sorted(found[group], key=version_priority) for group in sorted(found, key=group_priority)}
