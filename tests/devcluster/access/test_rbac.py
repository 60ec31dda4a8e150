"""RBAC decisions, their reasons, and the words of a refusal."""

from __future__ import annotations

import timeit

import pytest

from adapter_devcluster.access.rbac import Attributes, Decision, forbidden
from adapter_devcluster.access.users import (
    ANONYMOUS,
    AUTHENTICATED,
    MASTERS,
    User,
    service_account_groups,
    service_account_user_name,
)
from adapter_testing.access_lab import ANN, RBAC, AccessLab, rule, to_account, to_group, to_user

pytestmark = pytest.mark.unit

ROBOT = User(service_account_user_name("one", "robot"), service_account_groups("one"))


def asked(user: User, verb: str, resource: str, namespace: str = "one", **more: str) -> Attributes:
    return Attributes(user, verb, resource, namespace=namespace, **more)


@pytest.fixture
def lab() -> AccessLab:
    return AccessLab()


def allows(rules: list[dict[str, object]], wanted: Attributes) -> bool:
    lab = AccessLab()
    lab.role("r", rules)
    lab.bind("b", "r", to_user(wanted.user.name))
    return lab.authorizer.decide(wanted).allowed


@pytest.mark.parametrize(
    ("given", "wanted", "allowed"),
    [
        (rule("get list", "pods"), asked(ANN, "list", "pods"), True),
        (rule("get list", "pods"), asked(ANN, "watch", "pods"), False),
        (rule("*", "pods"), asked(ANN, "anything", "pods"), True),
        (rule("get", "pods"), asked(ANN, "*", "pods"), False),
        (rule("get", "pods", "apps"), asked(ANN, "get", "pods"), False),
        (rule("get", "deployments", "*"), asked(ANN, "get", "deployments", group="apps"), True),
        (rule("get", "*"), asked(ANN, "get", "pods", subresource="log"), True),
        (rule("get", "pods"), asked(ANN, "get", "pods", subresource="log"), False),
        (rule("get", "pods/log"), asked(ANN, "get", "pods", subresource="log"), True),
        (rule("get", "pods/log"), asked(ANN, "get", "pods"), False),
        (rule("get", "*/scale", "apps"), asked(ANN, "get", "deployments", group="apps", subresource="scale"), True),
        (rule("get", "*/scale", "apps"), asked(ANN, "get", "deployments", group="apps"), False),
        (rule("get", "pods/*"), asked(ANN, "get", "pods", subresource="log"), False),
        (rule("get", "pods", names="a b"), asked(ANN, "get", "pods", name="b"), True),
        (rule("get", "pods", names="a b"), asked(ANN, "get", "pods", name="c"), False),
        (rule("list", "pods", names="a b"), asked(ANN, "list", "pods"), False),
        (rule("get", "pods"), Attributes(ANN, "get", path="/healthz"), False),
        ({"nonResourceURLs": ["/healthz"], "verbs": ["get"]}, Attributes(ANN, "get", path="/healthz"), True),
        ({"nonResourceURLs": ["/healthz"], "verbs": ["get"]}, Attributes(ANN, "get", path="/healthz/"), False),
        ({"nonResourceURLs": ["/apis/*"], "verbs": ["get"]}, Attributes(ANN, "get", path="/apis/apps"), True),
        ({"nonResourceURLs": ["/apis/*"], "verbs": ["get"]}, Attributes(ANN, "get", path="/apis"), False),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, Attributes(ANN, "post", path="/x"), True),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, asked(ANN, "get", "pods"), False),
    ],
)
def test_a_rule_allows_what_it_names(given: dict[str, object], wanted: Attributes, allowed: bool) -> None:
    assert allows([given], wanted) is allowed


def test_masters_need_no_role(lab: AccessLab) -> None:
    assert lab.authorizer.decide(asked(User("x", (MASTERS,)), "delete", "nodes", "")) == Decision(allowed=True)


@pytest.mark.parametrize(
    ("subject", "user", "described"),
    [
        (to_user("ann"), ANN, 'User "ann"'),
        (to_group("staff"), ANN, 'Group "staff"'),
        (to_group(AUTHENTICATED), ROBOT, 'Group "system:authenticated"'),
        (to_account("robot", "one"), ROBOT, 'ServiceAccount "robot/one"'),
        (to_account("robot", "two"), ROBOT, ""),
        (to_user("staff"), ANN, ""),
        (to_group("ann"), ANN, ""),
        (to_group(AUTHENTICATED), ANONYMOUS, ""),
    ],
)
def test_a_cluster_role_binding_holds_for_its_subjects_everywhere(
    lab: AccessLab, subject: dict[str, str], user: User, described: str
) -> None:
    lab.role("reader", [rule("get", "pods")])
    lab.bind("readers", "reader", to_user("somebody"), subject)
    reason = f'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to {described}'
    expected = Decision(allowed=True, reason=reason) if described else Decision(allowed=False)
    assert lab.authorizer.decide(asked(user, "get", "pods", "one")) == expected
    assert lab.authorizer.decide(asked(user, "get", "pods", "")) == expected


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_a_role_binding_holds_in_its_namespace(lab: AccessLab, kind: str) -> None:
    lab.role("reader", [rule("get", "pods")], "one" if kind == "Role" else "")
    lab.bind("readers", "reader", to_account("robot"), namespace="one", kind=kind)
    reason = f'RBAC: allowed by RoleBinding "readers/one" of {kind} "reader" to ServiceAccount "robot/one"'
    assert lab.authorizer.decide(asked(ROBOT, "get", "pods")) == Decision(allowed=True, reason=reason)
    assert not lab.authorizer.decide(asked(ROBOT, "get", "pods", "two")).allowed
    assert not lab.authorizer.decide(asked(ROBOT, "get", "pods", "")).allowed


def test_a_role_of_another_namespace_is_none(lab: AccessLab) -> None:
    lab.role("reader", [rule("get", "pods")], "two")
    lab.bind("readers", "reader", to_user("ann"), namespace="one", kind="Role")
    expected = Decision(allowed=False, reason=f'RBAC: role.{RBAC} "reader" not found')
    assert lab.authorizer.decide(asked(ANN, "get", "pods")) == expected


def test_every_role_that_is_missing_is_named_once(lab: AccessLab) -> None:
    for name, role in (("a", "x"), ("b", "y"), ("c", "x")):
        lab.bind(name, role, to_user("ann"))
    found = lab.authorizer.decide(asked(ANN, "get", "pods"))
    assert found.reason == f'RBAC: [clusterrole.{RBAC} "x" not found, clusterrole.{RBAC} "y" not found]'


def test_a_missing_role_takes_nothing_away(lab: AccessLab) -> None:
    lab.bind("a", "gone", to_user("ann"))
    lab.role("reader", [rule("get", "pods")])
    lab.bind("b", "reader", to_user("ann"))
    assert lab.authorizer.decide(asked(ANN, "get", "pods")).allowed


def test_rights_change_with_the_very_next_request(lab: AccessLab) -> None:
    wanted = asked(ANN, "get", "pods")
    assert not lab.authorizer.decide(wanted).allowed
    lab.role("reader", [rule("get", "pods")])
    lab.bind("readers", "reader", to_user("ann"))
    assert lab.authorizer.decide(wanted).allowed
    lab.role("reader", [rule("list", "pods")])
    assert not lab.authorizer.decide(wanted).allowed
    lab.role("reader", [rule("get", "pods")])
    lab.remove(f"clusterrolebindings.{RBAC}", "readers")
    assert not lab.authorizer.decide(wanted).allowed


def test_rules_for_gives_the_rules_of_all_bindings(lab: AccessLab) -> None:
    lab.role("a", [rule("get", "pods"), rule("list", "secrets")])
    lab.role("b", [rule("get", "jobs", "batch")], "one")
    lab.bind("a", "a", to_group("staff"))
    lab.bind("b", "b", to_user("ann"), namespace="one", kind="Role")
    lab.bind("c", "gone", to_user("ann"))
    found = lab.authorizer.rules_for(ANN, "one")
    assert found.rules == (rule("get", "pods"), rule("list", "secrets"), rule("get", "jobs", "batch"))
    assert found.problems == (f'clusterrole.{RBAC} "gone" not found',)
    assert lab.authorizer.rules_for(ANN, "two").rules == (rule("get", "pods"), rule("list", "secrets"))


def test_many_different_questions_do_not_fill_the_memory(lab: AccessLab) -> None:
    lab.role("reader", [rule("get", "pods")])
    lab.bind("readers", "reader", to_group("staff"))
    for number in range(9000):
        user = User(f"user-{number}", ("staff",))
        assert lab.authorizer.decide(asked(user, "get", "pods", name=f"pod-{number}")).allowed
    assert len(lab.authorizer._decisions) < 8200
    assert len(lab.authorizer._held) < 8200


def test_a_decision_that_was_taken_before_costs_microseconds(lab: AccessLab) -> None:
    lab.role("reader", [rule("get", "pods")])
    lab.bind("readers", "reader", to_user("ann"))
    wanted = asked(ANN, "get", "pods", name="a")
    best = min(timeit.repeat(lambda: lab.authorizer.decide(wanted), number=1000, repeat=5)) / 1000
    assert best < 50e-6


@pytest.mark.parametrize(
    ("wanted", "reason", "message", "details"),
    [
        (
            asked(ROBOT, "list", "configmaps"),
            "",
            'configmaps is forbidden: User "system:serviceaccount:one:robot" cannot list resource "configmaps" '
            'in API group "" in the namespace "one"',
            {"kind": "configmaps"},
        ),
        (
            asked(ANN, "patch", "jobs", group="batch", subresource="status", name="j"),
            'RBAC: role "x" not found',
            'jobs.batch "j" is forbidden: User "ann" cannot patch resource "jobs/status" in API group "batch" '
            'in the namespace "one": RBAC: role "x" not found',
            {"kind": "jobs", "group": "batch", "name": "j"},
        ),
        (
            asked(ANONYMOUS, "list", "nodes", ""),
            "",
            'nodes is forbidden: User "system:anonymous" cannot list resource "nodes" in API group "" '
            "at the cluster scope",
            {"kind": "nodes"},
        ),
        (
            Attributes(ANN, "get", path="/metrics"),
            "",
            'forbidden: User "ann" cannot get path "/metrics"',
            None,
        ),
    ],
)
def test_a_refusal_says_who_what_and_where(
    wanted: Attributes, reason: str, message: str, details: dict[str, str] | None
) -> None:
    status = forbidden(wanted, reason).status
    assert (status["code"], status["reason"], status["message"]) == (403, "Forbidden", message)
    assert status.get("details") == details
