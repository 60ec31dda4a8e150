"""RBAC: who may do what, by the roles that bindings give to users and groups.

Sources: ``plugin/pkg/auth/authorizer/rbac/rbac.go``, ``pkg/registry/rbac/validation/rule.go``,
``pkg/apis/rbac/v1/evaluation_helpers.go`` (v1.36); the words of a refusal are those of
``k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.access.users import MASTERS, User, service_account_user_name
from adapter_devcluster.apiextensions.go_text import quote
from adapter_devcluster.client import Client
from adapter_devcluster.objects import Key, Object, key, meta
from adapter_devcluster.statuses import StatusError, not_found, status_error

GROUP: Final = "rbac.authorization.k8s.io"
ROLES: Final = f"roles.{GROUP}"
CLUSTER_ROLES: Final = f"clusterroles.{GROUP}"
ROLE_BINDINGS: Final = f"rolebindings.{GROUP}"
CLUSTER_ROLE_BINDINGS: Final = f"clusterrolebindings.{GROUP}"
_REMEMBERED: Final = 8192


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do: to a ``resource`` (its plural), or else to a ``path`` that is no resource's.

    ``namespace`` is "" for the whole cluster, ``name`` is "" for all objects (and in a creation).
    """

    user: User
    verb: str
    resource: str = ""
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed. ``reason`` is empty for a plain refusal."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that hold for somebody, as they stand in roles, and what went wrong while they were gathered."""

    rules: tuple[Object, ...]
    problems: tuple[str, ...] = ()


class _Rule:
    """A rule, ready to be asked."""

    __slots__ = ("_groups", "_names", "_paths", "_resources", "_verbs")

    def __init__(self, rule: Object) -> None:
        self._verbs = frozenset(rule.get("verbs") or ())
        self._groups = frozenset(rule.get("apiGroups") or ())
        self._resources = frozenset(rule.get("resources") or ())
        self._names = frozenset(rule.get("resourceNames") or ())
        self._paths = tuple(rule.get("nonResourceURLs") or ())

    def allows(self, wanted: Attributes) -> bool:
        if "*" not in self._verbs and wanted.verb not in self._verbs:
            return False
        if wanted.path:
            return any(covers_path(path, wanted.path) for path in self._paths)
        if "*" not in self._groups and wanted.group not in self._groups:
            return False
        if "*" not in self._resources and not self._has_resource(wanted.resource, wanted.subresource):
            return False
        return not self._names or wanted.name in self._names

    def _has_resource(self, resource: str, subresource: str) -> bool:
        if not subresource:
            return resource in self._resources
        return f"{resource}/{subresource}" in self._resources or f"*/{subresource}" in self._resources


def covers_path(pattern: str, path: str) -> bool:
    """Whether a ``nonResourceURLs`` entry stands for a path: equal, or up to its final ``*``."""
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


@dataclass(frozen=True, slots=True)
class _Grant:
    """A binding with the rules of its role. Subjects are user names and groups, each with its description."""

    users: Mapping[str, str]
    groups: Mapping[str, str]
    source: str
    rules: tuple[Object, ...]
    compiled: tuple[_Rule, ...]
    problem: str

    def subject(self, user: User) -> str | None:
        """The subject that stands for a user, None where there is none."""
        found = self.users.get(user.name)
        return found or next((self.groups[group] for group in user.groups if group in self.groups), None)


@dataclass(frozen=True, slots=True)
class _Held:
    """What one user holds in one namespace: each binding's source with its rules."""

    grants: tuple[tuple[str, _Grant], ...]
    refusal: Decision


class RbacAuthorizer:
    """Decides by the roles and bindings that are stored.

    ``version`` must change with each write to one of the four RBAC resources: all that was worked out is kept
    until then, and a right holds for the very next request.
    """

    def __init__(self, client: Client, version: Callable[[], int]) -> None:
        self._client = client
        self._version = version
        self._seen: int | None = None
        self._grants: dict[str, list[_Grant]] = {}
        self._held: dict[tuple[str, tuple[str, ...], str], _Held] = {}
        self._decisions: dict[tuple[object, ...], Decision] = {}

    def decide(self, wanted: Attributes) -> Decision:
        """Decide whether a request is allowed. `MASTERS` may do everything, even without any role."""
        user = wanted.user
        if MASTERS in user.groups:
            return _ALLOWED
        if self._version() != self._seen:
            self._read()
        at = (
            user.name,
            user.groups,
            wanted.verb,
            wanted.resource,
            wanted.group,
            wanted.subresource,
            wanted.namespace,
            wanted.name,
            wanted.path,
        )
        found = self._decisions.get(at)
        if found is None:
            if len(self._decisions) >= _REMEMBERED:
                self._decisions.clear()
            found = self._decisions[at] = self._decide(wanted)
        return found

    def rules_for(self, user: User, namespace: str) -> Rules:
        """Return the rules that hold for a user in a namespace ("" for the whole cluster)."""
        held = self._holdings(user, namespace).grants
        problems = tuple(grant.problem for _, grant in held if grant.problem)
        return Rules(tuple(rule for _, grant in held for rule in grant.rules), problems)

    def role_rules(self, reference: Object, namespace: str) -> Sequence[Object]:
        """Return the rules that a ``roleRef`` in a namespace names. Raises StatusError (404)."""
        local = reference["kind"] == "Role"
        role = self._client.get(ROLES if local else CLUSTER_ROLES, namespace if local else "", reference["name"])
        if role is None:
            raise not_found(ROLES if local else CLUSTER_ROLES, reference["name"])
        return role.get("rules") or ()

    def _decide(self, wanted: Attributes) -> Decision:
        held = self._holdings(wanted.user, wanted.namespace)
        for source, grant in held.grants:
            if any(rule.allows(wanted) for rule in grant.compiled):
                return Decision(allowed=True, reason=f"RBAC: allowed by {source}")
        return held.refusal

    def _holdings(self, user: User, namespace: str) -> _Held:
        if self._version() != self._seen:
            self._read()
        at = (user.name, user.groups, namespace)
        found = self._held.get(at)
        if found is None:
            if len(self._held) >= _REMEMBERED:
                self._held.clear()
            found = self._held[at] = self._gather(user, namespace)
        return found

    def _gather(self, user: User, namespace: str) -> _Held:
        applicable = [*self._grants.get("", ()), *(self._grants.get(namespace, ()) if namespace else ())]
        found = [(f"{grant.source} to {subject}", grant) for grant in applicable if (subject := grant.subject(user))]
        problems = list(dict.fromkeys(grant.problem for _, grant in found if grant.problem))
        reason = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        refusal = Decision(allowed=False, reason=f"RBAC: {reason}") if problems else _REFUSED
        return _Held(tuple(found), refusal)

    def _read(self) -> None:
        self._seen = self._version()
        self._decisions.clear()
        self._held.clear()
        self._grants = {}
        roles = {
            kind: {key(role): tuple(role.get("rules") or ()) for role in self._client.list(resource)}
            for kind, resource in (("Role", ROLES), ("ClusterRole", CLUSTER_ROLES))
        }
        for resource in (CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS):
            for binding in self._client.list(resource):
                namespace = key(binding)[0]
                self._grants.setdefault(namespace, []).append(_grant(binding, namespace, roles))


_ALLOWED: Final = Decision(allowed=True)
_REFUSED: Final = Decision(allowed=False)


def _grant(binding: Object, namespace: str, roles: Mapping[str, Mapping[Key, tuple[Object, ...]]]) -> _Grant:
    kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
    rules = roles[kind].get((namespace if kind == "Role" else "", name))
    users, groups = _subjects(binding.get("subjects") or (), namespace)
    whole = f"{meta(binding)['name']}/{namespace}" if namespace else meta(binding)["name"]
    return _Grant(
        users=users,
        groups=groups,
        source=f"{'RoleBinding' if namespace else 'ClusterRoleBinding'} {quote(whole)} of {kind} {quote(name)}",
        rules=rules or (),
        compiled=tuple(map(_Rule, rules or ())),
        problem="" if rules is not None else f'{kind.lower()}.{GROUP} "{name}" not found',
    )


def _subjects(subjects: Iterable[Object], namespace: str) -> tuple[dict[str, str], dict[str, str]]:
    """The users and the groups among subjects; of several entries for one the first describes it."""
    users: dict[str, str] = {}
    groups: dict[str, str] = {}
    for subject in subjects:
        kind, name = subject["kind"], subject["name"]
        if kind == "ServiceAccount":
            # In a RoleBinding an account without a namespace is one of the binding's own.
            own = subject.get("namespace") or namespace
            users.setdefault(service_account_user_name(own, name), f"{kind} {quote(f'{name}/{own}')}")
        else:
            (groups if kind == "Group" else users).setdefault(name, f"{kind} {quote(name)}")
    return users, groups


def forbidden(wanted: Attributes, reason: str = "") -> StatusError:
    """Build the 403 for what was refused; ``reason`` is that of the decision."""
    problem = f"User {quote(wanted.user.name)} cannot {wanted.verb} {_target(wanted)}"
    problem = f"{problem}: {reason}" if reason else problem
    qualified = f"{wanted.resource}.{wanted.group}" if wanted.group else wanted.resource
    named = f"{qualified} {quote(wanted.name)} is " if wanted.name else f"{qualified} is " if qualified else ""
    return status_error(403, "Forbidden", f"{named}forbidden: {problem}", resource=qualified, name=wanted.name)


def _target(wanted: Attributes) -> str:
    if wanted.path:
        return f"path {quote(wanted.path)}"
    resource = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    scope = f"in the namespace {quote(wanted.namespace)}" if wanted.namespace else "at the cluster scope"
    return f"resource {quote(resource)} in API group {quote(wanted.group)} {scope}"
