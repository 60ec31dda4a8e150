"""What expressions may ask an authorizer: ``authorizer.group('').resource('pods').check('get').allowed()``.

Source: ``k8s.io/apiserver/pkg/cel/library/authz.go`` (v0.36). Field and label selectors of checks are not
provided: roles don't know them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from adapter_devcluster.access.rbac import Attributes, Decision, RbacAuthorizer
from adapter_devcluster.access.users import User, service_account_groups, service_account_user_name
from adapter_devcluster.apiextensions.cel_functions import FUNCTIONS, Functions, Overload
from adapter_devcluster.apiextensions.cel_library import IMPLEMENTATIONS
from adapter_devcluster.apiextensions.cel_types import BOOL, STRING, Type
from adapter_devcluster.apiextensions.cel_values import CelError, NoSuchOverloadError, Value

_PREFIX: Final = "kubernetes.authorization."
AUTHORIZER: Final = Type("object", name=f"{_PREFIX}Authorizer")
RESOURCE_CHECK: Final = Type("object", name=f"{_PREFIX}ResourceCheck")
_PATH_CHECK: Final = Type("object", name=f"{_PREFIX}PathCheck")
_GROUP_CHECK: Final = Type("object", name=f"{_PREFIX}GroupCheck")
_DECISION: Final = Type("object", name=f"{_PREFIX}Decision")


@dataclass(frozen=True, slots=True)
class Check:
    """Something that a user may or may not do, as far as an expression has said what."""

    authorizer: RbacAuthorizer
    wanted: Attributes


_MEMBERS: Final = {
    "path": [(AUTHORIZER, 1, _PATH_CHECK)],
    "group": [(AUTHORIZER, 1, _GROUP_CHECK)],
    "serviceAccount": [(AUTHORIZER, 2, AUTHORIZER)],
    "resource": [(_GROUP_CHECK, 1, RESOURCE_CHECK)],
    "subresource": [(RESOURCE_CHECK, 1, RESOURCE_CHECK)],
    "namespace": [(RESOURCE_CHECK, 1, RESOURCE_CHECK)],
    "name": [(RESOURCE_CHECK, 1, RESOURCE_CHECK)],
    "check": [(_PATH_CHECK, 1, _DECISION), (RESOURCE_CHECK, 1, _DECISION)],
    "allowed": [(_DECISION, 0, BOOL)],
    "reason": [(_DECISION, 0, STRING)],
    "errored": [(_DECISION, 0, BOOL)],
    "error": [(_DECISION, 0, STRING)],
}


def _declared(name: str) -> tuple[Overload, ...]:
    found = []
    for receiver, texts, result in _MEMBERS[name]:
        arguments = (receiver, *[STRING] * texts)
        found.append(Overload(f"{receiver}.{name}", arguments, result, member=True))
    return tuple(found)


def _path(check: Value, path: Value) -> Check:
    found, text = _check(check), _text(path)
    if not text.startswith("/"):
        raise CelError("path must start with '/'" if text else "path must not be empty")
    return _with(found, path=text)


def _service_account(check: Value, namespace: Value, name: Value) -> Check:
    own, account = _text(namespace), _text(name)
    return _with(_check(check), user=User(service_account_user_name(own, account), service_account_groups(own)))


def _setting(field: str) -> Callable[[Value, Value], Check]:
    return lambda check, value: _with(_check(check), **{field: _text(value)})


def _decide(check: Value, verb: Value) -> Decision:
    found = _with(_check(check), verb=_text(verb))
    return found.authorizer.decide(found.wanted)


def _with(check: Check, **changed: Any) -> Check:  # noqa: ANN401 - fields of Attributes
    return Check(check.authorizer, replace(check.wanted, **changed))


def _check(value: Value) -> Check:
    if not isinstance(value, Check):
        raise NoSuchOverloadError
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise NoSuchOverloadError
    return value


# In expressions that see an authorizer, these are beside the functions that all expressions have.
AUTHORIZER_FUNCTIONS: Final[Functions] = {**FUNCTIONS, **{name: _declared(name) for name in _MEMBERS}}
AUTHORIZER_IMPLEMENTATIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **IMPLEMENTATIONS,
    "path": _path,
    "serviceAccount": _service_account,
    **{field: _setting(field) for field in ("group", "resource", "subresource", "namespace", "name")},
    "check": _decide,
    "allowed": lambda decision: decision.allowed,
    "reason": lambda decision: decision.reason,
    # Deciding by roles can't fail.
    "errored": lambda _: False,
    "error": lambda _: "",
}
