"""Reviews: what they answer, and what they refuse to answer."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.access.reviews import review
from adapter_devcluster.access.tokens import ISSUER
from adapter_devcluster.access.users import MASTERS, User
from adapter_devcluster.objects import Object
from adapter_devcluster.statuses import StatusError
from adapter_testing.access_lab import ANN, RBAC, STATIC_TOKEN, AccessLab, rule, to_group, to_user

pytestmark = pytest.mark.unit


@pytest.fixture
def lab() -> AccessLab:
    lab = AccessLab()
    lab.role("reader", [rule("get list", "pods"), {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}])
    lab.bind("readers", "reader", to_group("staff"))
    lab.role("one-writer", [rule("update", "secrets", names="a")], "one")
    lab.bind("writers", "one-writer", to_user("ann"), namespace="one", kind="Role")
    return lab


def answer(lab: AccessLab, kind: str, body: Object, namespace: str = "", user: User = ANN) -> Object:
    return review(kind, body, user, namespace, lab.authorizer, lab.api.authenticator)


def refusal(lab: AccessLab, kind: str, body: Object, namespace: str = "") -> Object:
    with pytest.raises(StatusError) as caught:
        answer(lab, kind, body, namespace)
    return caught.value.status


def causes(status: Object) -> list[tuple[str, str]]:
    assert status["code"] == 422
    return [(cause["field"], cause["message"].partition(": ")[2]) for cause in status["details"]["causes"]]


def to_pods(**more: str) -> Object:
    return {"resourceAttributes": {"verb": "list", "resource": "pods", **more}}


def test_a_self_review_decides_for_who_asks(lab: AccessLab) -> None:
    body = {"metadata": {"creationTimestamp": None}, "spec": to_pods(namespace="one"), "status": {"allowed": False}}
    assert answer(lab, "SelfSubjectAccessReview", body) == {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": to_pods(namespace="one"),
        "status": {
            "allowed": True,
            "reason": 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "staff"',
        },
    }
    refused = answer(lab, "SelfSubjectAccessReview", {"spec": to_pods(group="apps")})
    assert refused["status"] == {"allowed": False}


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"resourceAttributes": {"verb": "update", "resource": "secrets", "name": "a", "namespace": "one"}}, True),
        ({"resourceAttributes": {"verb": "update", "resource": "secrets", "name": "b", "namespace": "one"}}, False),
        ({"resourceAttributes": {"verb": "get", "resource": "pods", "subresource": "log"}}, False),
        ({"resourceAttributes": {"verb": "*", "resource": "*"}}, False),
        ({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}, True),
        ({"nonResourceAttributes": {"verb": "get", "path": "/"}}, False),
    ],
)
def test_a_review_decides_as_a_request_would_be(lab: AccessLab, spec: Object, allowed: bool) -> None:
    assert answer(lab, "SelfSubjectAccessReview", {"spec": spec})["status"]["allowed"] is allowed


@pytest.mark.parametrize(
    ("who", "allowed"),
    [({"user": "ann"}, False), ({"user": "x", "groups": ["staff"]}, True), ({"groups": [MASTERS]}, True)],
)
def test_a_review_decides_for_whom_it_names(lab: AccessLab, who: Object, allowed: bool) -> None:
    spec = {**to_pods(), **who, "uid": "1", "extra": {"k": ["v"]}}
    found = answer(lab, "SubjectAccessReview", {"spec": spec})
    assert (found["spec"], found["status"]["allowed"]) == (spec, allowed)


def test_a_local_review_is_of_its_namespace(lab: AccessLab) -> None:
    spec = {
        "resourceAttributes": {"verb": "update", "resource": "secrets", "name": "a", "namespace": "one"},
        "user": "ann",
    }
    found = answer(lab, "LocalSubjectAccessReview", {"spec": spec}, "one")
    assert (found["metadata"], found["status"]["allowed"]) == ({"namespace": "one"}, True)
    status = refusal(lab, "LocalSubjectAccessReview", {"metadata": {"namespace": "two"}, "spec": spec}, "one")
    assert status["code"] == 400
    assert causes(refusal(lab, "LocalSubjectAccessReview", {"spec": spec}, "two")) == [
        ("spec.resourceAttributes.namespace", '"one": must match metadata.namespace')
    ]


NEITHER = "null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
BOTH = '{"path":"/","verb":"get"}: cannot be specified in combination with resourceAttributes'
NOBODY = '"": at least one of user or group must be specified'
PATH = {"nonResourceAttributes": {"verb": "get", "path": "/"}}


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("SelfSubjectAccessReview", {}, [("spec.resourceAttributes", NEITHER)]),
        ("SelfSubjectAccessReview", {"spec": {**to_pods(), **PATH}}, [("spec.nonResourceAttributes", BOTH)]),
        ("SubjectAccessReview", {"spec": {}}, [("spec.resourceAttributes", NEITHER), ("spec.user", NOBODY)]),
        ("SubjectAccessReview", {"spec": to_pods()}, [("spec.user", NOBODY)]),
        (
            "SelfSubjectAccessReview",
            {"spec": to_pods(), "metadata": {"name": "x", "managedFields": [{}]}},
            [("metadata", '{"name":"x"}: must be empty')],
        ),
        (
            "LocalSubjectAccessReview",
            {"spec": {**to_pods(namespace="one"), "user": "x"}, "metadata": {"name": "x", "namespace": "one"}},
            [("metadata", '{"name":"x"}: must be empty except for namespace')],
        ),
        (
            "LocalSubjectAccessReview",
            {"spec": {**PATH, "user": "x"}},
            [("spec.nonResourceAttributes", '{"path":"/","verb":"get"}: disallowed on this kind of request')],
        ),
    ],
)
def test_reviews_are_of_one_thing_and_of_somebody(
    lab: AccessLab, kind: str, body: Object, expected: list[tuple[str, str]]
) -> None:
    status = refusal(lab, kind, body, "one")
    assert causes(status) == expected
    assert status["details"]["kind"] == kind
    assert status["details"]["group"] == "authorization.k8s.io"


@pytest.mark.parametrize(
    ("spec", "at", "shown", "wanted"),
    [
        ({"user": 1}, "spec.user", "number", "string"),
        ({"extra": {"k": "v"}}, "spec.extra.k", "string", "[]string"),
        ({"resourceAttributes": {"verb": False}}, "spec.resourceAttributes.verb", "bool", "string"),
    ],
)
def test_values_of_a_wrong_type_are_refused(lab: AccessLab, spec: Any, at: str, shown: str, wanted: str) -> None:
    status = refusal(lab, "SubjectAccessReview", {"spec": {**to_pods(), "user": "x", **spec}})
    assert status["code"] == 400
    assert (
        f"cannot unmarshal {shown} into Go struct field SubjectAccessReview.{at} of type {wanted}" in status["message"]
    )


def test_the_rules_of_a_user_are_listed(lab: AccessLab) -> None:
    lab.bind("gone", "gone", to_user("ann"))
    found = answer(lab, "SelfSubjectRulesReview", {"spec": {"namespace": "one"}})
    assert found == {
        "kind": "SelfSubjectRulesReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": {},
        "status": {
            "resourceRules": [
                {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]},
                {"verbs": ["update"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]},
            ],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}],
            "incomplete": False,
            "evaluationError": f'clusterrole.{RBAC} "gone" not found',
        },
    }


def test_rules_are_those_of_a_namespace(lab: AccessLab) -> None:
    assert refusal(lab, "SelfSubjectRulesReview", {"spec": {}})["message"] == "no namespace on request"


def test_a_user_learns_who_they_are(lab: AccessLab) -> None:
    user = User("ann", ("staff",), "1", {"k": ("v",)})
    assert answer(lab, "SelfSubjectReview", {}, user=user) == {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {},
        "status": {"userInfo": {"username": "ann", "uid": "1", "groups": ["staff"], "extra": {"k": ["v"]}}},
    }


def test_a_token_is_told_by_its_user(lab: AccessLab) -> None:
    found = answer(lab, "TokenReview", {"spec": {"token": STATIC_TOKEN}})
    assert found["status"] == {
        "authenticated": True,
        "user": {"username": "ann", "groups": ["staff", "system:authenticated"]},
        "audiences": [ISSUER],
    }


def test_a_token_is_reviewed_for_an_audience(lab: AccessLab) -> None:
    lab.put("serviceaccounts", "robot", "one")
    issued = lab.api.authenticator.issue({"spec": {"audiences": ["vault"]}}, "one", "robot")
    token = issued["status"]["token"]
    found = answer(lab, "TokenReview", {"spec": {"token": token, "audiences": ["vault"]}})
    assert found["status"]["user"]["username"] == "system:serviceaccount:one:robot"
    assert found["status"]["audiences"] == ["vault"]
    assert "authenticated" not in answer(lab, "TokenReview", {"spec": {"token": token}})["status"]


def test_what_is_no_token_is_not_authenticated(lab: AccessLab) -> None:
    found = answer(lab, "TokenReview", {"spec": {"token": "nonsense"}})
    assert found["status"] == {"user": {}, "error": "invalid bearer token"}
    assert refusal(lab, "TokenReview", {})["message"] == "token is required for TokenReview in authentication"
