"""Which requests a policy and its bindings are about."""

from __future__ import annotations

import asyncio
import timeit
from typing import Any

import pytest

from adapter_devcluster.policies.admission import BINDINGS, POLICIES
from adapter_devcluster.statuses import StatusError

pytestmark = pytest.mark.unit

WIDGETS = {"apiGroups": ["example.test"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["widgets"]}


def rule(**changed: Any) -> dict[str, Any]:
    return {**WIDGETS, **changed}


@pytest.mark.parametrize(
    ("rules", "request_", "matches"),
    [
        ([rule()], {}, True),
        ([rule()], {"operation": "UPDATE"}, False),
        ([rule(operations=["*"])], {"operation": "DELETE", "object": None}, True),
        ([rule(operations=["UPDATE", "CREATE"])], {}, True),
        ([rule(apiGroups=["*"], apiVersions=["*"], resources=["*"])], {}, True),
        ([rule(apiGroups=["other.test"])], {}, False),
        ([rule(apiVersions=["v2"])], {}, False),
        ([rule(resources=["gadgets", "widgets"])], {}, True),
        ([rule()], {"subresource": "status"}, False),
        ([rule(resources=["*"])], {"subresource": "status"}, False),
        ([rule(resources=["widgets/status"])], {"subresource": "status"}, True),
        ([rule(resources=["widgets/*"])], {"subresource": "status"}, True),
        ([rule(resources=["*/status"])], {"subresource": "status"}, True),
        ([rule(resources=["*/*"])], {"subresource": "status"}, True),
        ([rule(resources=["*/*"])], {}, True),
        ([rule(resources=["widgets/scale"])], {"subresource": "status"}, False),
        ([rule(resourceNames=["a", "w"])], {}, True),
        ([rule(resourceNames=["a"])], {}, False),
        ([rule(resourceNames=["a"]), rule()], {}, True),
        ([rule(scope="Namespaced")], {}, True),
        ([rule(scope="Cluster")], {}, False),
        ([rule(scope="*")], {}, True),
        ([rule(scope="Cluster")], {"namespace": ""}, True),
        ([rule(scope="Namespaced")], {"namespace": ""}, False),
    ],
)
def test_a_rule_names_requests(lab: Any, rules: Any, request_: dict[str, Any], matches: bool) -> None:
    lab.policy("false", rules=rules)
    assert bool(lab.refusal(**request_)) is matches
    # The second time from what is remembered.
    assert bool(lab.refusal(**request_)) is matches


def test_what_is_excluded_does_not_match(lab: Any) -> None:
    lab.policy("false", match={"excludeResourceRules": [rule(resourceNames=["w"])]})
    assert not lab.refusal()
    assert lab.refusal(name="other")
    lab.policy("false", match={"excludeResourceRules": [rule(apiVersions=["v2"])], "matchPolicy": "Exact"})
    assert lab.refusal()


@pytest.mark.parametrize(
    ("policy", "refused"), [({}, True), ({"matchPolicy": "Equivalent"}, True), ({"matchPolicy": "Exact"}, False)]
)
def test_other_versions_of_a_resource_are_equivalent(lab: Any, policy: dict[str, str], refused: bool) -> None:
    lab.serve("example.test", "v2", "Widget")
    expression = (
        "object.apiVersion != 'example.test/v2' || request.kind.version != 'v2' || request.resource.version != 'v2'"
        " || request.requestKind.version != 'v1' || request.requestResource.version != 'v1'"
    )
    lab.policy(expression, rules=[rule(apiVersions=["v2"])], match=policy)
    assert bool(lab.refusal()) is refused


def test_another_resource_of_the_group_is_not_equivalent(lab: Any) -> None:
    lab.serve("example.test", "v2", "Gadget")
    lab.policy("false", rules=[rule(apiGroups=["*"], apiVersions=["v2", "v3"])])
    assert not lab.refusal()


def test_a_namespace_selector_looks_at_the_labels_of_the_namespace(lab: Any) -> None:
    lab.policy("false", match={"namespaceSelector": {"matchLabels": {"team": "red"}}})
    assert lab.refusal()
    lab.put("namespaces", "one", labels={"team": "blue"})
    assert not lab.refusal()
    # What lives in no namespace can't be exempted by one.
    assert lab.refusal(namespace="")


def test_a_namespace_that_is_gone_is_an_error_only_where_the_rest_matches(lab: Any) -> None:
    lab.policy("false", match={"namespaceSelector": {"matchLabels": {"team": "red"}}})
    assert lab.refusal(namespace="gone") == 'failed to configure policy: namespaces "gone" not found'
    assert not lab.refusal(namespace="gone", resource="gadgets")
    lab.policy(
        "false", rules=[rule(operations=["UPDATE"])], match={"namespaceSelector": {"matchLabels": {"team": "red"}}}
    )
    assert not lab.refusal(namespace="gone")


def test_a_namespace_that_is_gone_has_no_object(lab: Any) -> None:
    lab.policy("true")
    with pytest.raises(StatusError, match='namespaces "gone" not found'):
        lab.check(namespace="gone")


@pytest.mark.parametrize(
    ("operation", "new", "old", "refused"),
    [
        ("CREATE", {"team": "blue"}, None, True),
        ("CREATE", {"team": "red"}, None, False),
        ("UPDATE", {"team": "blue"}, {"team": "red"}, True),
        ("DELETE", None, {"team": "blue"}, False),
    ],
)
def test_a_namespace_is_selected_by_its_own_labels(
    lab: Any, operation: str, new: dict[str, str] | None, old: dict[str, str] | None, refused: bool
) -> None:
    namespaces = rule(apiGroups=[""], resources=["namespaces"], operations=["*"], scope="Cluster")
    # The namespace `one` in the store is red: only a DELETE looks there.
    lab.policy("false", rules=[namespaces], match={"namespaceSelector": {"matchLabels": {"team": "blue"}}})
    found = lab.refusal(
        operation=operation,
        group="",
        resource="namespaces",
        kind="Namespace",
        namespace="",
        name="one",
        object=None if new is None else {"metadata": {"name": "one", "labels": new}},
        old_object=None if old is None else {"metadata": {"name": "one", "labels": old}},
    )
    assert bool(found) is refused


@pytest.mark.parametrize(
    ("new", "old", "refused"),
    [
        ({"a": "b"}, None, True),
        ({}, {"a": "b"}, True),
        ({"a": "c"}, {"a": "c"}, False),
        (None, {"a": "b"}, True),
        (None, None, False),
    ],
)
def test_an_object_selector_looks_at_both_objects(
    lab: Any, new: dict[str, str] | None, old: dict[str, str] | None, refused: bool
) -> None:
    lab.policy("false", match={"objectSelector": {"matchLabels": {"a": "b"}}})
    objects = [None if labels is None else {"metadata": {"labels": labels}} for labels in (new, old)]
    assert bool(lab.refusal(operation="UPDATE", object=objects[0], old_object=objects[1])) is refused


def test_a_binding_narrows_its_policy(lab: Any) -> None:
    lab.policy("false", bound=False)
    lab.binding(matchResources={"namespaceSelector": {"matchLabels": {"team": "blue"}}})
    assert not lab.refusal()
    lab.binding(matchResources={"resourceRules": [rule(operations=["UPDATE"])]})
    assert not lab.refusal()
    assert lab.refusal(operation="UPDATE")
    lab.binding(matchResources={})
    assert lab.refusal()


def test_a_policy_without_a_binding_is_not_asked(lab: Any) -> None:
    lab.policy("false", bound=False)
    assert not lab.refusal()
    lab.binding("another")
    assert not lab.refusal()
    lab.binding("p")
    assert lab.refusal()
    lab.remove(BINDINGS, "p")
    assert not lab.refusal()


def test_a_changed_policy_holds_at_once(lab: Any) -> None:
    lab.policy("false")
    assert lab.refusal()
    lab.policy("true")
    assert not lab.refusal()
    lab.policy("false")
    lab.remove(POLICIES, "p")
    assert not lab.refusal()


@pytest.mark.parametrize(
    ("group", "resource"),
    [
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("authorization.k8s.io", "subjectaccessreviews"),
        ("authentication.k8s.io", "tokenreviews"),
    ],
)
def test_policies_and_reviews_are_never_asked_about(lab: Any, group: str, resource: str) -> None:
    lab.policy("false", rules=[rule(apiGroups=["*"], apiVersions=["*"], resources=["*"])])
    assert not lab.refusal(group=group, resource=resource, namespace="")
    assert lab.refusal(group="", resource="configmaps")
    assert lab.refusal(operation="CREATE", group="", resource="pods", kind="Pod", namespace="one")


def test_requests_that_no_policy_is_about_cost_next_to_nothing(lab: Any) -> None:
    other = lab.request(group="", resource="configmaps")
    assert min(timeit.repeat(lambda: lab.admission.check(other), number=1000, repeat=5)) / 1000 < 20e-6
    lab.policy("false")
    assert lab.refusal()
    assert min(timeit.repeat(lambda: lab.admission.check(other), number=1000, repeat=5)) / 1000 < 20e-6


def test_new_policies_are_noticed_while_nobody_writes(lab: Any) -> None:
    async def scene() -> None:
        end = lab.admission.start()
        lab.put("configmaps", "limits", "one", data={})
        lab.policy("true", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}, bound=False)
        reference = {"name": "limits", "parameterNotFoundAction": "Deny"}
        lab.binding(paramRef=reference)
        await asyncio.sleep(0)
        lab.policy("true", name="another")
        lab.policy("true", name="a-third")
        await asyncio.sleep(0)
        lab.clock += 1.0
        end()

    asyncio.run(scene())
    assert not lab.refusal()
