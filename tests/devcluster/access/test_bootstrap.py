"""What a new cluster begins with, and how aggregated roles follow their parts."""

from __future__ import annotations

import asyncio
import timeit

import pytest

from adapter_devcluster.access.aggregation import ClusterRoleAggregation, aggregated_rules
from adapter_devcluster.access.bootstrap import bootstrap_objects
from adapter_devcluster.access.rbac import Attributes
from adapter_devcluster.access.users import ANONYMOUS, AUTHENTICATED, User
from adapter_devcluster.client import Change
from adapter_devcluster.objects import Object
from adapter_testing.access_lab import RBAC, AccessLab, rule

pytestmark = pytest.mark.unit

ROLES = f"clusterroles.{RBAC}"


@pytest.fixture
def lab() -> AccessLab:
    lab = AccessLab()
    for resource, obj in bootstrap_objects():
        rest = {field: value for field, value in obj.items() if field != "metadata"}
        lab.put(resource, obj["metadata"]["name"], labels=obj["metadata"].get("labels"), **rest)
    return lab


def may(lab: AccessLab, role: str, verb: str, resource: str, group: str = "", subresource: str = "") -> bool:
    """Whether the role, bound in a namespace, allows something there."""
    user = User("member", (AUTHENTICATED,))
    lab.bind("b", role, {"kind": "User", "name": "member"}, namespace="one")
    return lab.authorizer.decide(Attributes(user, verb, resource, group, subresource, "one")).allowed


def test_there_are_the_four_namespaces() -> None:
    found = [obj["metadata"]["name"] for resource, obj in bootstrap_objects() if resource == "namespaces"]
    assert found == ["default", "kube-system", "kube-public", "kube-node-lease"]


def test_every_binding_names_a_role_that_is_there(lab: AccessLab) -> None:
    roles = {role["metadata"]["name"] for role in lab.client.list(ROLES)}
    bound = {one["roleRef"]["name"] for one in lab.client.list(f"clusterrolebindings.{RBAC}")}
    assert bound < roles


def test_roles_carry_the_labels_that_charts_and_tools_look_for(lab: AccessLab) -> None:
    edit = lab.client.get(ROLES, "", "edit")
    assert edit is not None
    assert edit["metadata"]["labels"] == {
        "kubernetes.io/bootstrapping": "rbac-defaults",
        f"{RBAC}/aggregate-to-admin": "true",
    }
    selector = {"matchLabels": {f"{RBAC}/aggregate-to-edit": "true"}}
    assert edit["aggregationRule"] == {"clusterRoleSelectors": [selector]}


@pytest.mark.parametrize(
    ("verb", "resource", "group", "subresource", "roles"),
    [
        ("get", "pods", "", "", "view edit admin"),
        ("get", "pods", "", "log", "view edit admin"),
        ("watch", "deployments", "apps", "", "view edit admin"),
        ("get", "deployments", "apps", "scale", "view edit admin"),
        ("list", "endpointslices", "discovery.k8s.io", "", "view edit admin"),
        ("get", "secrets", "", "", "edit admin"),
        ("create", "jobs", "batch", "", "edit admin"),
        ("patch", "deployments", "apps", "scale", "edit admin"),
        ("create", "serviceaccounts", "", "token", "edit admin"),
        ("create", "pods", "", "eviction", "edit admin"),
        ("update", "leases", "coordination.k8s.io", "", "edit admin"),
        ("patch", "pods", "", "status", ""),
        ("create", "rolebindings", RBAC, "", "admin"),
        ("create", "localsubjectaccessreviews", "authorization.k8s.io", "", "admin"),
        ("delete", "namespaces", "", "", ""),
        ("create", "widgets", "example.test", "", ""),
    ],
)
def test_view_edit_and_admin_allow_what_they_do_anywhere(
    lab: AccessLab, verb: str, resource: str, group: str, subresource: str, roles: str
) -> None:
    found = [role for role in ("view", "edit", "admin") if may(lab, role, verb, resource, group, subresource)]
    assert found == roles.split()


def test_cluster_admin_allows_everything(lab: AccessLab) -> None:
    assert may(lab, "cluster-admin", "use", "anything", "of.any.group", "at-all")


@pytest.mark.parametrize(
    ("path", "authenticated", "anonymous"),
    [
        ("/healthz", True, True),
        ("/version", True, True),
        ("/apis/apps/v1", True, False),
        ("/openapi/v3", True, False),
        ("/metrics", False, False),
    ],
)
def test_everybody_may_ask_what_the_server_is(lab: AccessLab, path: str, authenticated: bool, anonymous: bool) -> None:
    users = (User("x", (AUTHENTICATED,)), ANONYMOUS)
    found = [lab.authorizer.decide(Attributes(user, "get", path=path)).allowed for user in users]
    assert found == [authenticated, anonymous]


def test_users_may_ask_what_they_may(lab: AccessLab) -> None:
    for user, expected in ((User("x", (AUTHENTICATED,)), True), (ANONYMOUS, False)):
        wanted = Attributes(user, "create", "selfsubjectaccessreviews", "authorization.k8s.io")
        assert lab.authorizer.decide(wanted).allowed is expected


def test_it_is_made_quickly() -> None:
    assert min(timeit.repeat(bootstrap_objects, number=1, repeat=5)) < 0.01


def test_the_roles_are_already_what_aggregation_would_make_of_them(lab: AccessLab) -> None:
    roles = lab.client.list(ROLES)
    for role in roles:
        if "aggregationRule" in role:
            assert role["rules"] == aggregated_rules(role, roles)


def selecting(*labels: str) -> Object:
    return {"clusterRoleSelectors": [{"matchLabels": {label: "true"}} for label in labels]}


def test_rules_come_selector_by_selector_by_name_and_once() -> None:
    lab = AccessLab()
    lab.role("z", [rule("get", "a")], labels={"x": "true"})
    lab.role("y", [rule("get", "b"), rule("get", "a")], labels={"x": "true", "w": "true"})
    lab.role("v", [rule("get", "c")], labels={"w": "true"})
    whole = lab.role("whole", [rule("get", "old")], labels={"x": "true"}, aggregationRule=selecting("x", "w"))
    found = aggregated_rules(whole, lab.client.list(ROLES))
    assert found == [rule("get", "b"), rule("get", "a"), rule("get", "c")]
    assert aggregated_rules({**whole, "aggregationRule": {}}, lab.client.list(ROLES)) == []


@pytest.mark.integration
def test_an_aggregated_role_follows_its_parts() -> None:
    async def scene() -> None:
        lab = AccessLab()
        controller = ClusterRoleAggregation(lab.client)
        controller.start()

        def create(name: str, rules: list[Object], **more: object) -> None:
            metadata = {"name": name, "labels": {"part": "true"}} if rules else {"name": name}
            role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules, **more}
            lab.client.create(ROLES, role)

        async def until(expected: list[Object]) -> None:
            reached = asyncio.Event()

            def look(change: Change) -> None:
                if change.object["metadata"]["name"] == "whole" and (change.object["rules"] or []) == expected:
                    reached.set()

            end = lab.client.watch(ROLES, look)
            await asyncio.wait_for(reached.wait(), 2)
            end()

        create("whole", [], aggregationRule=selecting("part"))
        create("a", [rule("get", "pods")])
        await until([rule("get", "pods")])
        create("b", [rule("get", "secrets")])
        await until([rule("get", "pods"), rule("get", "secrets")])
        lab.client.patch(ROLES, "", "a", {"metadata": {"labels": {"part": None}}})
        await until([rule("get", "secrets")])
        lab.client.patch(ROLES, "", "whole", {"rules": [rule("*", "*")]})
        await until([rule("get", "secrets")])
        lab.client.delete(ROLES, "", "b")
        await until([])
        controller.stop()

    asyncio.run(scene())


def test_a_role_that_is_gone_or_plain_is_left_alone() -> None:
    lab = AccessLab()
    plain = lab.role("plain", [rule("get", "pods")])
    controller = ClusterRoleAggregation(lab.client)
    controller.sync(("", "plain"))
    controller.sync(("", "gone"))
    assert lab.client.get(ROLES, "", "plain") is plain
