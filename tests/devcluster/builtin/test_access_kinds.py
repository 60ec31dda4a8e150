from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal

pytestmark = pytest.mark.unit

GROUP = "rbac.authorization.k8s.io"
VERSION = f"{GROUP}/v1"


def _role(kind: str, *rules: Object, **content: Any) -> Object:
    return manifest(VERSION, kind, rules=list(rules), **content)


def _binding(kind: str = "RoleBinding", *, ref: Object | None = None, subjects: Any = ()) -> Object:
    return manifest(
        VERSION, kind, roleRef={"kind": "ClusterRole", "name": "view", **(ref or {})}, subjects=list(subjects)
    )


def test_rules() -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    assert created(_role("Role", rule))["rules"] == [rule]
    assert created(_role("Role"))["rules"] is None
    assert refusal(_role("Role", {})) == [
        ("rules[0].apiGroups", "Required"),
        ("rules[0].resources", "Required"),
        ("rules[0].verbs", "Required"),
    ]
    paths = {"nonResourceURLs": ["/healthz"], "verbs": ["get"]}
    assert refusal(_role("Role", paths)) == [("rules[0].nonResourceURLs", "Invalid")]
    assert refusal(_role("ClusterRole", paths)) == []
    assert refusal(_role("ClusterRole", {**rule, **paths})) == [("rules[0].nonResourceURLs", "Invalid")]
    # Roles are checked twice on an update.
    assert (
        change_refusal(created(_role("Role", rule)), lambda one: one["rules"][0].pop("verbs"))
        == [("rules[0].verbs", "Required")] * 2
    )


def test_names_of_roles_need_only_fit_a_path() -> None:
    odd = _role("Role")
    odd["metadata"]["name"] = "system:Some_role"
    assert refusal(odd) == []


def test_aggregation() -> None:
    assert refusal(_role("ClusterRole", aggregationRule={})) == [("aggregationRule.clusterRoleSelectors", "Required")]
    wrong = {"clusterRoleSelectors": [{"matchLabels": {"-": ""}}]}
    assert refusal(_role("ClusterRole", aggregationRule=wrong)) == [
        ("aggregationRule.clusterRoleSelectors[0].matchLabels", "Invalid")
    ]


def test_what_every_binding_gets() -> None:
    found = created(
        _binding(subjects=[{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "ns"}])
    )
    assert found["roleRef"] == {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"}
    assert found["subjects"] == [
        {"apiGroup": GROUP, "kind": "User", "name": "u"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "ns"},
    ]
    assert "subjects" not in created(_binding())


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        (_binding(ref={"apiGroup": "x"}), [("roleRef.apiGroup", "NotSupported")]),
        (_binding(ref={"kind": "x"}), [("roleRef.kind", "NotSupported")]),
        (_binding("ClusterRoleBinding", ref={"kind": "Role"}), [("roleRef.kind", "NotSupported")]),
        (_binding(ref={"name": ""}), [("roleRef.name", "Required")]),
        (_binding(ref={"name": "a/b"}), [("roleRef.name", "Invalid")]),
        (
            _binding(subjects=[{"kind": "x", "name": ""}]),
            [("subjects[0].kind", "NotSupported"), ("subjects[0].name", "Required")],
        ),
        (
            _binding(subjects=[{"kind": "Group", "name": "g", "apiGroup": "x"}]),
            [("subjects[0].apiGroup", "NotSupported")],
        ),
        (
            _binding(subjects=[{"kind": "ServiceAccount", "name": "A", "apiGroup": "x"}]),
            [("subjects[0].apiGroup", "NotSupported"), ("subjects[0].name", "Invalid")],
        ),
        (_binding(subjects=[{"kind": "ServiceAccount", "name": "a"}]), []),
        (
            _binding("ClusterRoleBinding", subjects=[{"kind": "ServiceAccount", "name": "a"}]),
            [("subjects[0].namespace", "Required")],
        ),
    ],
)
def test_what_is_wrong_with_a_binding(binding: Object, expected: Any) -> None:
    assert refusal(binding) == expected


def test_a_binding_keeps_its_role() -> None:
    assert change_refusal(created(_binding()), lambda one: one["roleRef"].update(name="edit")) == [
        ("roleRef", "Invalid")
    ]
