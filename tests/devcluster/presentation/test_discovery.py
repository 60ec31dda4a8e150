from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.builtin.catalogue import BUILTIN
from adapter_devcluster.presentation import discovery
from adapter_devcluster.presentation.versions import group_versions, version_priority
from adapter_devcluster.resource_types import ResourceType, Subresource

pytestmark = pytest.mark.unit

WIDGET = ResourceType(
    "example.dev",
    "v1",
    "Widget",
    "widgets",
    "widget",
    short_names=("wd",),
    categories=("all",),
    subresources=(
        Subresource("status", "Widget"),
        Subresource("scale", "Scale", group="autoscaling", version="v1"),
    ),
)
OLD_WIDGET = ResourceType("example.dev", "v1beta1", "Widget", "widgets", "widget")
HOUSE = ResourceType("example.dev", "v1", "House", "houses", "house", namespaced=False, verbs=("get", "list"))
TYPES = (OLD_WIDGET, WIDGET, HOUSE, *BUILTIN)


def test_versions_of_the_core() -> None:
    assert discovery.api_versions("127.0.0.1:6443") == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
    }


def test_a_group_prefers_its_most_stable_version() -> None:
    assert discovery.api_group(TYPES, "example.dev") == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "example.dev",
        "versions": [
            {"groupVersion": "example.dev/v1", "version": "v1"},
            {"groupVersion": "example.dev/v1beta1", "version": "v1beta1"},
        ],
        "preferredVersion": {"groupVersion": "example.dev/v1", "version": "v1"},
    }


@pytest.mark.parametrize("group", ["", "nobody.dev"])
def test_no_such_group(group: str) -> None:
    assert discovery.api_group(TYPES, group) is None


def test_groups_come_in_the_order_of_their_priority_those_of_custom_resources_last() -> None:
    names = [group["name"] for group in discovery.api_group_list(reversed(TYPES))["groups"]]
    assert names[:3] == ["apps", "events.k8s.io", "authentication.k8s.io"]
    assert names[-1] == "example.dev"
    assert "" not in names


def test_resources_of_a_version_with_their_subresources() -> None:
    found = discovery.api_resource_list(TYPES, "example.dev", "v1")
    assert found == {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "example.dev/v1",
        "resources": [
            {"name": "houses", "singularName": "house", "namespaced": False, "kind": "House", "verbs": ["get", "list"]},
            {
                "name": "widgets",
                "singularName": "widget",
                "namespaced": True,
                "kind": "Widget",
                "verbs": list(WIDGET.verbs),
                "shortNames": ["wd"],
                "categories": ["all"],
            },
            {
                "name": "widgets/status",
                "singularName": "",
                "namespaced": True,
                "kind": "Widget",
                "verbs": ["get", "patch", "update"],
            },
            {
                "name": "widgets/scale",
                "singularName": "",
                "namespaced": True,
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
                "verbs": ["get", "patch", "update"],
            },
        ],
    }


def test_the_core_group_has_no_name_in_its_group_version() -> None:
    found = discovery.api_resource_list(TYPES, "", "v1")
    assert found is not None
    assert found["groupVersion"] == "v1"


@pytest.mark.parametrize(("group", "version"), [("example.dev", "v2"), ("nobody.dev", "v1"), ("", "v2")])
def test_no_such_version(group: str, version: str) -> None:
    assert discovery.api_resource_list(TYPES, group, version) is None


def test_all_at_once() -> None:
    found = discovery.aggregated_discovery(TYPES, core=False, version="v2beta1")
    assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2beta1")
    group = found["items"][-1]
    assert group["metadata"] == {"name": "example.dev"}
    assert [one["version"] for one in group["versions"]] == ["v1", "v1beta1"]
    assert group["versions"][0]["freshness"] == "Current"
    house, widget = group["versions"][0]["resources"]
    assert house == {
        "resource": "houses",
        "responseKind": {"group": "example.dev", "version": "v1", "kind": "House"},
        "scope": "Cluster",
        "singularResource": "house",
        "verbs": ["get", "list"],
    }
    assert (widget["scope"], widget["shortNames"], widget["categories"]) == ("Namespaced", ["wd"], ["all"])
    assert widget["subresources"] == [
        {
            "subresource": "status",
            "responseKind": {"group": "example.dev", "version": "v1", "kind": "Widget"},
            "verbs": ["get", "patch", "update"],
        },
        {
            "subresource": "scale",
            "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
            "verbs": ["get", "patch", "update"],
        },
    ]


def test_the_core_is_asked_for_apart() -> None:
    found = discovery.aggregated_discovery(TYPES, core=True)
    assert found["apiVersion"] == "apidiscovery.k8s.io/v2"
    assert [group["metadata"] for group in found["items"]] == [{}]
    assert {one["resource"] for one in found["items"][0]["versions"][0]["resources"]} >= {"pods", "services"}


@given(
    st.permutations(["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"])
)
def test_the_order_of_versions(versions: list[str]) -> None:
    # The example in Kubernetes' documentation of CustomResourceDefinition versions.
    assert sorted(versions, key=version_priority) == [
        *("v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10")
    ]


@given(st.permutations(TYPES))
def test_what_is_preferred_does_not_hang_on_the_order_of_types(types: list[ResourceType]) -> None:
    assert list(group_versions(types).items()) == list(group_versions(TYPES).items())
