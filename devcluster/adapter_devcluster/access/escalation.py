"""Nobody grants what they do not hold: checks of writes to roles and bindings.

Who may do the verb ``escalate`` on a role (or ``bind`` a role) may grant more. Sources:
``pkg/registry/rbac/{escalation_check.go,*/policybased/storage.go}``,
``k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go`` (v1.36).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.access.rbac import GROUP, Attributes, RbacAuthorizer, covers_path
from adapter_devcluster.access.users import MASTERS, User
from adapter_devcluster.apiextensions.go_text import quote
from adapter_devcluster.objects import Object, meta
from adapter_devcluster.statuses import forbidden

_EVERYTHING: Final = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
)
_PARTS: Final = {
    "APIGroups": "apiGroups",
    "Resources": "resources",
    "NonResourceURLs": "nonResourceURLs",
    "ResourceNames": "resourceNames",
    "Verbs": "verbs",
}


def check_role_write(new: Object, old: Object | None, user: User, authorizer: RbacAuthorizer) -> None:
    """Check the creation (``old`` None) or the update of a Role or ClusterRole. Raises StatusError (403)."""
    if MASTERS in user.groups or (old is not None and _only_collected(new, old)):
        return
    namespace, name = str(meta(new).get("namespace") or ""), str(meta(new)["name"])
    plural = "roles" if namespace else "clusterroles"
    # A creation has no name in its path, so it is not asked for one.
    asked = Attributes(user, "escalate", plural, GROUP, namespace=namespace, name="" if old is None else name)
    if authorizer.decide(asked).allowed:
        return
    _confirm(new.get("rules") or (), f"{plural}.{GROUP}", new, user, authorizer)
    # Aggregation gathers whatever comes, so only who holds everything may use it.
    aggregated = new.get("aggregationRule") or (old or {}).get("aggregationRule")
    if aggregated and uncovered(authorizer.rules_for(user, namespace).rules, _EVERYTHING):
        problem = "must have cluster-admin privileges to use the aggregationRule"
        raise forbidden(f"{plural}.{GROUP}", name, problem)


def check_binding_write(new: Object, old: Object | None, user: User, authorizer: RbacAuthorizer) -> None:
    """Check the creation or the update of a RoleBinding or ClusterRoleBinding.

    Raises StatusError: 403, or 404 where the rights of the role are in question and there is no such role.
    """
    if MASTERS in user.groups or (old is not None and _only_collected(new, old)):
        return
    namespace, reference = str(meta(new).get("namespace") or ""), new["roleRef"]
    plural = "roles" if reference["kind"] == "Role" else "clusterroles"
    asked = Attributes(user, "bind", plural, GROUP, namespace=namespace, name=reference["name"])
    if authorizer.decide(asked).allowed:
        return
    bindings = "rolebindings" if namespace else "clusterrolebindings"
    rules = authorizer.role_rules(reference, namespace)
    _confirm(rules, f"{bindings}.{GROUP}", new, user, authorizer)


def _only_collected(new: Object, old: Object) -> bool:
    """Whether an update changes nothing but what the garbage collector needs to remove the object."""
    return _without_references(new) == _without_references(old)


def _without_references(obj: Object) -> Object:
    left_out = ("ownerReferences", "finalizers", "managedFields")
    return {**obj, "metadata": {name: value for name, value in meta(obj).items() if name not in left_out}}


def _confirm(rules: Sequence[Object], resource: str, obj: Object, user: User, authorizer: RbacAuthorizer) -> None:
    held = authorizer.rules_for(user, str(meta(obj).get("namespace") or ""))
    missing = uncovered(held.rules, rules)
    if not missing:
        return
    listed = "\n".join(sorted({_described(rule) for rule in compact(missing)}))
    problem = (
        f"user {quote(user.name)} (groups={_quoted(user.groups)}) is attempting to grant RBAC permissions "
        f"not currently held:\n{listed}"
    )
    if held.problems:
        problem += f"; resolution errors: [{' '.join(held.problems)}]"
    raise forbidden(resource, str(meta(obj)["name"]), problem)


@dataclass(frozen=True, slots=True)
class Right:
    """A rule that is one verb on one thing: a resource of a group, perhaps of one name, or a path."""

    verbs: tuple[str, ...]
    group: str | None = None
    resource: str = ""
    name: str | None = None
    path: str = ""

    def as_rule(self) -> Object:
        """Return it as a rule of a role."""
        verbs = list(self.verbs)
        if self.group is None:
            return {"nonResourceURLs": [self.path], "verbs": verbs}
        named = {} if self.name is None else {"resourceNames": [self.name]}
        return {"apiGroups": [self.group], "resources": [self.resource], **named, "verbs": verbs}


def uncovered(held: Sequence[Object], wanted: Iterable[Object]) -> list[Right]:
    """Return the rights in the ``wanted`` rules that no rule ``held`` covers; each must be covered by one alone."""
    return [right for rule in wanted for right in _rights(rule) if not any(_covers(one, right) for one in held)]


def _rights(rule: Object) -> Iterator[Right]:
    """Break a rule down: from a group, a resource, a verb and a name each, and from paths."""
    verbs = rule.get("verbs") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in verbs:
                for name in rule.get("resourceNames") or (None,):
                    yield Right((verb,), group, resource, name)
    for path in rule.get("nonResourceURLs") or ():
        for verb in verbs:
            yield Right((verb,), path=path)


def _covers(rule: Object, right: Right) -> bool:
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and right.verbs[0] not in verbs:
        return False
    if right.group is None:
        return any(covers_path(path, right.path) for path in rule.get("nonResourceURLs") or ())
    groups, names = rule.get("apiGroups") or (), rule.get("resourceNames") or ()
    if "*" not in groups and right.group not in groups:
        return False
    return _covers_resource(rule.get("resources") or (), right.resource) and (not names or right.name in names)


def _covers_resource(resources: Sequence[str], resource: str) -> bool:
    _, slash, subresource = resource.partition("/")
    return "*" in resources or resource in resources or bool(slash and f"*/{subresource}" in resources)


def compact(rights: Iterable[Right]) -> list[Right]:
    """Join the verbs of rights to the same resource."""
    joined: dict[tuple[str, str, str | None], Right] = {}
    others: list[Right] = []
    for right in rights:
        if right.group is None:
            others.append(right)
            continue
        at = (right.group, right.resource, right.name)
        before = joined[at].verbs if at in joined else ()
        joined[at] = Right((*before, *right.verbs), *at)
    return [*others, *joined.values()]


def _described(right: Right) -> str:
    rule = right.as_rule()
    parts = [f"{label}:{_quoted(rule[field])}" for label, field in _PARTS.items() if field in rule]
    return f"{{{', '.join(parts)}}}"


def _quoted(texts: Iterable[str]) -> str:
    return f"[{' '.join(map(quote, texts))}]"
