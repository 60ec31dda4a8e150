"""Roles and their bindings (``pkg/apis/rbac``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import Check, Strategy, UpdateChecks
from adapter_devcluster.objects import Object

_GROUP: Final = "rbac.authorization.k8s.io"


def _check_rules(role: Object, *, namespaced: bool) -> Iterator[FieldError]:
    for at, rule in checks.items_of(role, "rules", ""):
        if not rule.get("verbs"):
            yield required(child(at, "verbs"), "verbs must contain at least one value")
        urls, where = rule.get("nonResourceURLs"), child(at, "nonResourceURLs")
        if urls:
            if namespaced:
                yield invalid(where, urls, "namespaced rules cannot apply to non-resource URLs")
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                yield invalid(where, urls, "rules cannot apply to both regular resources and non-resource URLs")
            continue
        if not rule.get("apiGroups"):
            yield required(child(at, "apiGroups"), "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(child(at, "resources"), "resource rules must supply at least one resource")


def _check_role(role: Object) -> Iterator[FieldError]:
    yield from _check_rules(role, namespaced=True)


def _check_cluster_role(role: Object) -> Iterator[FieldError]:
    yield from _check_rules(role, namespaced=False)
    rule = role.get("aggregationRule")
    if rule is None:
        return
    if not rule.get("clusterRoleSelectors"):
        detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        yield required("aggregationRule.clusterRoleSelectors", detail)
    for at, selector in checks.items_of(rule, "clusterRoleSelectors", "aggregationRule"):
        yield from checks.check_label_selector(selector, at)


def _default_binding(binding: Object) -> None:
    binding["roleRef"]["apiGroup"] = binding["roleRef"].get("apiGroup") or _GROUP
    for subject in binding.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _GROUP)


def _check_binding(kinds: tuple[str, ...], *, namespaced: bool) -> Check:
    def check(binding: Object) -> Iterator[FieldError]:
        ref = binding["roleRef"]
        if ref["apiGroup"] != _GROUP:
            yield not_supported("roleRef.apiGroup", ref["apiGroup"], (_GROUP,))
        if ref["kind"] not in kinds:
            yield not_supported("roleRef.kind", ref["kind"], kinds)
        if not ref["name"]:
            yield required("roleRef.name")
        yield from checks.named(ref, "roleRef", "name", names.check_path_segment)
        for at, subject in checks.items_of(binding, "subjects", ""):
            yield from _check_subject(subject, at, namespaced=namespaced)

    return check


def _check_subject(subject: Object, path: str, *, namespaced: bool) -> Iterator[FieldError]:
    kind, group = subject["kind"], subject.get("apiGroup") or ""
    if not subject["name"]:
        yield required(child(path, "name"))
    if kind == "ServiceAccount":
        yield from checks.named(subject, path, "name")
        if group:
            yield not_supported(child(path, "apiGroup"), group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(child(path, "namespace"))
    elif kind in ("User", "Group"):
        if group != _GROUP:
            yield not_supported(child(path, "apiGroup"), group, (_GROUP,))
    else:
        yield not_supported(child(path, "kind"), kind, ("Group", "ServiceAccount", "User"))


def _check_binding_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from checks.unchanged(new, old, "", "roleRef", detail="cannot change roleRef")


_TWICE: Final = UpdateChecks(content=2, metadata=2)
ROLES: Final = Strategy(check_name=names.check_path_segment, check=_check_role, update=_TWICE)
CLUSTER_ROLES: Final = Strategy(check_name=names.check_path_segment, check=_check_cluster_role, update=_TWICE)
ROLE_BINDINGS: Final = Strategy(
    check_name=names.check_path_segment,
    defaults=_default_binding,
    check=_check_binding(("ClusterRole", "Role"), namespaced=True),
    check_update=_check_binding_update,
    update=_TWICE,
)
CLUSTER_ROLE_BINDINGS: Final = Strategy(
    check_name=names.check_path_segment,
    defaults=_default_binding,
    check=_check_binding(("ClusterRole",), namespaced=False),
    check_update=_check_binding_update,
    update=_TWICE,
)
