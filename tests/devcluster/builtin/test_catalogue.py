from __future__ import annotations

import pytest

from adapter_devcluster.builtin import BUILTIN, definition, definition_of, judge_for
from adapter_devcluster.builtin.definitions import DefinitionsMissingError, definitions
from adapter_devcluster.builtin.strategies import STRATEGIES
from adapter_devcluster.resource_types import ALL_VERBS, ResourceType

pytestmark = pytest.mark.unit

BY_NAME = {f"{one.resource}/{one.version}": one for one in BUILTIN}
STORED = [one for one in BUILTIN if one.verbs != ("create",)]


def test_no_type_is_listed_twice() -> None:
    assert len(BY_NAME) == len(BUILTIN)
    assert len({(one.api_version, one.kind) for one in BUILTIN}) == len(BUILTIN)


@pytest.mark.parametrize("found", BUILTIN, ids=lambda one: one.resource)
def test_every_type_and_subresource_has_a_definition(found: ResourceType) -> None:
    name = definition_of(found.api_version, found.kind)
    assert name is not None
    assert definition(name)["properties"]["metadata"]
    for subresource in found.subresources:
        version = f"{subresource.group}/{subresource.version}" if subresource.group else found.api_version
        if not subresource.kind.endswith("ProxyOptions"):
            assert definition_of(version, subresource.kind) is not None


def test_every_stored_type_has_a_judge_and_no_other() -> None:
    assert {one.resource for one in STORED} == set(STRATEGIES)
    assert all(judge_for(one) is judge_for(one) for one in STORED)
    with pytest.raises(KeyError):
        judge_for(BY_NAME["tokenreviews.authentication.k8s.io/v1"])


def test_what_discovery_shows() -> None:
    pods = BY_NAME["pods/v1"]
    assert (pods.singular, pods.short_names, pods.categories, pods.verbs) == ("pod", ("po",), ("all",), ALL_VERBS)
    assert [(one.name, one.kind, one.verbs) for one in pods.subresources] == [
        ("status", "Pod", ("get", "patch", "update")),
        ("binding", "Binding", ("create",)),
        ("eviction", "Eviction", ("create",)),
        ("log", "Pod", ("get",)),
        ("proxy", "PodProxyOptions", ("create", "delete", "get", "patch", "update")),
    ]
    assert "deletecollection" not in BY_NAME["namespaces/v1"].verbs
    scale = BY_NAME["deployments.apps/v1"].subresource("scale")
    assert scale is not None
    assert (scale.kind, scale.group, scale.version) == ("Scale", "autoscaling", "v1")
    assert BY_NAME["networkpolicies.networking.k8s.io/v1"].subresources == ()
    assert not BY_NAME["clusterroles.rbac.authorization.k8s.io/v1"].namespaced
    assert BY_NAME["localsubjectaccessreviews.authorization.k8s.io/v1"].namespaced


def test_which_updates_need_a_resource_version() -> None:
    needed = {one.resource for one in STORED if not one.unconditional_update}
    assert needed == {
        "customresourcedefinitions.apiextensions.k8s.io",
        "leases.coordination.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "poddisruptionbudgets.policy",
        "runtimeclasses.node.k8s.io",
        "serviceaccounts",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
    }


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DefinitionsMissingError, match="kubernetes-validate is not installed"):
        definitions.__wrapped__()


def test_definitions_are_read_once() -> None:
    assert definitions() is definitions()
    assert definition_of("v1", "Nothing") is None
    with pytest.raises(KeyError):
        definition("io.k8s.api.core.v1.Nothing")
