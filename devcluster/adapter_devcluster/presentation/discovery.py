"""Which groups, versions and resources are served: what a client asks for first.

The shapes are those of ``metav1.APIGroupList`` and ``APIResourceList``, and of ``apidiscovery.k8s.io``, which
answers for all groups at once (``k8s.io/apiserver/pkg/endpoints/discovery``, v0.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from adapter_devcluster.objects import Object
from adapter_devcluster.presentation.versions import group_versions
from adapter_devcluster.resource_types import ResourceType, Subresource


def api_versions(server_address: str) -> Object:
    """Return what ``/api`` answers. ``server_address`` is host and port."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def api_group_list(types: Iterable[ResourceType]) -> Object:
    """Return what ``/apis`` answers: every group but the core."""
    groups = [_group(name, versions) for name, versions in group_versions(types).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(types: Iterable[ResourceType], group: str) -> Object | None:
    """Return what ``/apis/<group>`` answers; None where the group is not served."""
    versions = group_versions(types).get(group)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)} if group and versions else None


def _group(name: str, versions: Sequence[str]) -> Object:
    found = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def api_resource_list(types: Iterable[ResourceType], group: str, version: str) -> Object | None:
    """Return what ``/api/v1`` or ``/apis/<group>/<version>`` answers; None where that is not served."""
    served = _served(types, group, version)
    if not served:
        return None
    group_version = f"{group}/{version}" if group else version
    resources = [entry for one in served for entry in _resources(one)]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _served(types: Iterable[ResourceType], group: str, version: str) -> list[ResourceType]:
    found = [one for one in types if (one.group, one.version) == (group, version)]
    return sorted(found, key=lambda one: one.plural)


def _resources(found: ResourceType) -> Iterator[Object]:
    """Yield a resource, then its subresources."""
    entry: Object = {
        "name": found.plural,
        "singularName": found.singular,
        "namespaced": found.namespaced,
        "kind": found.kind,
        "verbs": list(found.verbs),
    }
    if found.short_names:
        entry["shortNames"] = list(found.short_names)
    if found.categories:
        entry["categories"] = list(found.categories)
    yield entry
    for one in found.subresources:
        foreign = {"group": one.group, "version": one.version} if one.version else {}
        yield {
            "name": f"{found.plural}/{one.name}",
            "singularName": "",
            "namespaced": found.namespaced,
            **foreign,
            "kind": one.kind,
            "verbs": list(one.verbs),
        }


def aggregated_discovery(types: Iterable[ResourceType], *, core: bool, version: str = "v2") -> Object:
    """Return ``APIGroupDiscoveryList`` for ``/api`` (``core``) or ``/apis``. ``version`` is v2 or v2beta1."""
    types = list(types)
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [
                {
                    "version": one,
                    "resources": [_discovered(found) for found in _served(types, group, one)],
                    "freshness": "Current",
                }
                for one in versions
            ],
        }
        for group, versions in group_versions(types).items()
        if core is (group == "")
    ]
    api_version = f"apidiscovery.k8s.io/{version}"
    return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def _discovered(found: ResourceType) -> Object:
    entry: Object = {
        "resource": found.plural,
        "responseKind": {"group": found.group, "version": found.version, "kind": found.kind},
        "scope": "Namespaced" if found.namespaced else "Cluster",
        "singularResource": found.singular,
        "verbs": list(found.verbs),
    }
    if found.short_names:
        entry["shortNames"] = list(found.short_names)
    if found.categories:
        entry["categories"] = list(found.categories)
    if found.subresources:
        entry["subresources"] = [_discovered_subresource(found, one) for one in found.subresources]
    return entry


def _discovered_subresource(found: ResourceType, one: Subresource) -> Object:
    group, version = (one.group, one.version) if one.version else (found.group, found.version)
    return {
        "subresource": one.name,
        "responseKind": {"group": group, "version": version, "kind": one.kind},
        "verbs": list(one.verbs),
    }
