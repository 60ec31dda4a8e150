"""Nobody grants what they do not hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.access.escalation import Right, check_binding_write, check_role_write, compact, uncovered
from adapter_devcluster.access.rbac import Attributes
from adapter_devcluster.access.users import MASTERS, User
from adapter_devcluster.objects import Object
from adapter_devcluster.statuses import StatusError
from adapter_testing.access_lab import ANN, RBAC, AccessLab, rule, to_user

pytestmark = pytest.mark.unit

ADMIN = User("root", (MASTERS,))
EVERYTHING = [rule("*", "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]}]


@pytest.fixture
def lab() -> AccessLab:
    return AccessLab()


def role(rules: list[Object], namespace: str = "one", **fields: Any) -> Object:
    metadata = {"name": "new", **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "rules": rules, **fields}


def binding(name: str, kind: str = "ClusterRole", namespace: str = "one") -> Object:
    metadata = {"name": "new", **({"namespace": namespace} if namespace else {})}
    return {"metadata": metadata, "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name}}


def hold(lab: AccessLab, *rules: Object, namespace: str = "") -> None:
    lab.role("held", list(rules))
    lab.bind("held", "held", to_user("ann"), namespace=namespace)


def problem(lab: AccessLab, obj: Object, old: Object | None = None, user: User = ANN) -> str:
    check = check_binding_write if "roleRef" in obj else check_role_write
    try:
        check(obj, old, user, lab.authorizer)
    except StatusError as error:
        return f"{error.code} {error}"
    return ""


def test_rights_that_are_held_may_be_given_on(lab: AccessLab) -> None:
    hold(lab, rule("get list", "pods"))
    assert problem(lab, role([rule("list", "pods")])) == ""


def test_missing_rights_are_listed(lab: AccessLab) -> None:
    hold(lab, rule("get", "pods"))
    wanted = [
        rule("get list", "pods"),
        rule("get watch", "secrets", names="a b"),
        rule("delete", "jobs", "batch"),
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ]
    assert problem(lab, role(wanted, "")) == (
        f'403 clusterroles.{RBAC} "new" is forbidden: user "ann" (groups=["staff" "system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}\n'
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["a"], Verbs:["get" "watch"]}\n'
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get" "watch"]}\n'
        '{APIGroups:["batch"], Resources:["jobs"], Verbs:["delete"]}\n'
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}'
    )


def test_a_role_that_can_not_be_resolved_is_mentioned(lab: AccessLab) -> None:
    lab.bind("held", "gone", to_user("ann"))
    found = problem(lab, role([rule("get", "pods")]))
    assert found.endswith(f'Verbs:["get"]}}; resolution errors: [clusterrole.{RBAC} "gone" not found]')


def test_masters_give_whatever_they_like(lab: AccessLab) -> None:
    assert problem(lab, role(EVERYTHING), user=ADMIN) == ""
    assert problem(lab, binding("gone"), user=ADMIN) == ""


@pytest.mark.parametrize(("namespace", "kind"), [("one", "roles"), ("", "clusterroles")])
def test_escalate_lets_one_give_more(lab: AccessLab, namespace: str, kind: str) -> None:
    new = role([rule("get", "pods")], namespace)
    hold(lab, rule("escalate", kind, RBAC, names="new"), namespace=namespace)
    # A creation names no object, so a right on one name does not reach it.
    assert "not currently held" in problem(lab, new)
    assert problem(lab, new, role([], namespace)) == ""
    hold(lab, rule("escalate", kind, RBAC), namespace=namespace)
    assert problem(lab, new) == ""


def test_an_update_for_the_garbage_collector_needs_no_rights(lab: AccessLab) -> None:
    old = role([rule("get", "pods")])
    new = {**old, "metadata": {**old["metadata"], "finalizers": [], "ownerReferences": []}}
    assert problem(lab, new, old) == ""
    new["metadata"] |= {"labels": {"a": "b"}}
    assert "not currently held" in problem(lab, new, old)


def test_only_who_holds_everything_aggregates(lab: AccessLab) -> None:
    hold(lab, rule("*", "pods"))
    aggregated = role([], "", aggregationRule={"clusterRoleSelectors": [{}]})
    words = "must have cluster-admin privileges to use the aggregationRule"
    expected = f'403 clusterroles.{RBAC} "new" is forbidden: {words}'
    assert problem(lab, aggregated) == expected
    assert problem(lab, role([], ""), aggregated) == expected
    hold(lab, *EVERYTHING)
    assert problem(lab, aggregated) == ""


def test_a_binding_needs_the_rights_of_its_role(lab: AccessLab) -> None:
    lab.role("reader", [rule("get", "secrets")])
    hold(lab, rule("get", "pods"))
    assert problem(lab, binding("reader")) == (
        f'403 rolebindings.{RBAC} "new" is forbidden: user "ann" (groups=["staff" "system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'
    )
    hold(lab, rule("get", "pods secrets"))
    assert problem(lab, binding("reader")) == ""
    assert problem(lab, binding("reader", namespace="")) == ""


def test_rights_in_one_namespace_bind_there_only(lab: AccessLab) -> None:
    lab.role("reader", [rule("get", "secrets")])
    hold(lab, rule("get", "secrets"), namespace="one")
    assert problem(lab, binding("reader")) == ""
    assert "not currently held" in problem(lab, binding("reader", namespace="two"))
    assert "not currently held" in problem(lab, binding("reader", namespace=""))


@pytest.mark.parametrize(("kind", "resource"), [("Role", "roles"), ("ClusterRole", "clusterroles")])
def test_bind_lets_one_bind(lab: AccessLab, kind: str, resource: str) -> None:
    lab.role("reader", [rule("get", "secrets")], "one" if kind == "Role" else "")
    assert "not currently held" in problem(lab, binding("reader", kind))
    hold(lab, rule("bind", resource, RBAC, names="reader"), namespace="one")
    assert problem(lab, binding("reader", kind)) == ""
    # Whoever may bind needs no role that is there already.
    lab.remove(f"{resource}.{RBAC}", "reader", "one" if kind == "Role" else "")
    assert problem(lab, binding("reader", kind)) == ""


@pytest.mark.parametrize(("kind", "resource"), [("Role", "roles"), ("ClusterRole", "clusterroles")])
def test_a_binding_to_a_role_that_is_not_there_is_refused(lab: AccessLab, kind: str, resource: str) -> None:
    assert problem(lab, binding("gone", kind)) == f'404 {resource}.{RBAC} "gone" not found'


def test_a_binding_may_lose_its_owner(lab: AccessLab) -> None:
    old = binding("gone")
    new = {**old, "metadata": {**old["metadata"], "finalizers": []}}
    assert problem(lab, new, old) == ""


def words(alphabet: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(alphabet.split()), min_size=1, max_size=3, unique=True)


RULES = st.one_of(
    st.fixed_dictionaries(
        {
            "verbs": words("get list *"),
            "apiGroups": words("apps batch *"),
            "resources": words("pods pods/log */log jobs *"),
        },
        optional={"resourceNames": words("a b")},
    ),
    st.fixed_dictionaries({"verbs": words("get list *"), "nonResourceURLs": words("/a /a/* /a/b *")}),
)


def requests() -> Iterator[Attributes]:
    for verb in ("get", "list", "watch"):
        for path in ("/a", "/a/", "/a/b", "/c"):
            yield Attributes(ANN, verb, path=path)
        for group in ("apps", "batch", ""):
            for resource in ("pods", "jobs", "secrets"):
                for subresource in ("", "log"):
                    for name in ("", "a", "c"):
                        yield Attributes(ANN, verb, resource, group, subresource, "one", name)


@given(st.lists(RULES, max_size=3))
def test_rules_cover_themselves(rules: list[Object]) -> None:
    assert uncovered(rules, rules) == []


@given(st.lists(RULES, max_size=3), st.lists(RULES, max_size=2))
def test_nothing_that_is_covered_allows_more(held: list[Object], wanted: list[Object]) -> None:
    missing = [right.as_rule() for right in uncovered(held, wanted)]
    before, after = AccessLab(), AccessLab()
    for lab, rules in ((before, held), (after, wanted)):
        lab.role("r", rules)
        lab.bind("b", "r", to_user("ann"))
    before.role("more", missing)
    before.bind("more", "more", to_user("ann"))
    for request in requests():
        if after.authorizer.decide(request).allowed:
            assert before.authorizer.decide(request).allowed, request


def test_verbs_of_one_thing_are_joined() -> None:
    rights = [Right(("get",), "", "pods"), Right(("get",), path="/x"), Right(("list",), "", "pods")]
    assert compact(rights) == [Right(("get",), path="/x"), Right(("get", "list"), "", "pods")]
