"""Reviews: questions about rights and tokens that are answered and not stored.

Sources: ``pkg/registry/{authorization,authentication}/*/rest.go``, ``pkg/apis/authorization/validation`` (v1.36).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from adapter_devcluster.access.bodies import Body, without_empty
from adapter_devcluster.access.rbac import Attributes, RbacAuthorizer
from adapter_devcluster.access.tokens import API_AUDIENCES, Authenticator
from adapter_devcluster.access.users import User, user_info
from adapter_devcluster.apiextensions import errors
from adapter_devcluster.apiextensions.errors import FieldError
from adapter_devcluster.objects import Object
from adapter_devcluster.statuses import bad_request, invalid

_AUTHORIZATION: Final = "authorization.k8s.io"


def review(
    kind: str, body: Object, user: User, namespace: str, authorizer: RbacAuthorizer, authenticator: Authenticator
) -> Object:
    """Answer a review of ``kind`` that ``user`` sent; ``namespace`` is that of the path. Raises StatusError."""
    read = Body(kind, body)
    answered: dict[str, Callable[[], Object]] = {
        "SelfSubjectAccessReview": lambda: _access(read, user, namespace, authorizer),
        "SubjectAccessReview": lambda: _access(read, None, namespace, authorizer),
        "LocalSubjectAccessReview": lambda: _access(read, None, namespace, authorizer),
        "SelfSubjectRulesReview": lambda: _rules(read, user, authorizer),
        "TokenReview": lambda: _token(read, authenticator),
        "SelfSubjectReview": lambda: {"status": {"userInfo": user_info(user)}},
    }
    group = "authentication.k8s.io" if kind in ("TokenReview", "SelfSubjectReview") else _AUTHORIZATION
    sent = {field: value for field, value in read["metadata"].fields.items() if value is not None}
    placed = {"namespace": namespace} if namespace else {}
    return {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {**sent, **placed}, **answered[kind]()}


def _access(body: Body, user: User | None, namespace: str, authorizer: RbacAuthorizer) -> Object:
    """Decide as a request would be decided on: for the asker, or (``user`` None) for whom the review names."""
    spec = body["spec"]
    local = body.kind == "LocalSubjectAccessReview"
    if local and (body["metadata"].text("namespace") or namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    problems = [*_check_target(spec), *_check_subject(spec, user), *_check_metadata(body, local=local)]
    if problems := [*problems, *(_check_local(spec, namespace) if local else ())]:
        raise invalid(_AUTHORIZATION, body.kind, "", problems)
    decision = authorizer.decide(_attributes(spec, user or _subject(spec)))
    return {"spec": dict(spec.fields), "status": {"allowed": decision.allowed, **_reason(decision.reason)}}


def _reason(reason: str) -> Object:
    return {"reason": reason} if reason else {}


def _subject(spec: Body) -> User:
    return User(spec.text("user"), spec.texts("groups"), spec.text("uid"), spec.lists("extra"))


def _attributes(spec: Body, user: User) -> Attributes:
    if "nonResourceAttributes" in spec:
        asked = spec["nonResourceAttributes"]
        return Attributes(user, asked.text("verb"), path=asked.text("path"))
    asked = spec["resourceAttributes"]
    return Attributes(
        user,
        asked.text("verb"),
        asked.text("resource"),
        asked.text("group"),
        asked.text("subresource"),
        asked.text("namespace"),
        asked.text("name"),
    )


def _check_target(spec: Body) -> list[FieldError]:
    both = [name in spec for name in ("resourceAttributes", "nonResourceAttributes")]
    if all(both):
        detail = "cannot be specified in combination with resourceAttributes"
        return [errors.invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"].fields, detail)]
    if not any(both):
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [errors.invalid("spec.resourceAttributes", None, detail)]
    return []


def _check_subject(spec: Body, user: User | None) -> list[FieldError]:
    if user is not None or spec.text("user") or spec.texts("groups"):
        return []
    return [errors.invalid("spec.user", "", "at least one of user or group must be specified")]


def _check_metadata(body: Body, *, local: bool) -> list[FieldError]:
    given = {name: value for name, value in body["metadata"].fields.items() if value and name != "managedFields"}
    if local:
        given.pop("namespace", None)
    words = "must be empty except for namespace" if local else "must be empty"
    return [errors.invalid("metadata", given, words)] if given else []


def _check_local(spec: Body, namespace: str) -> list[FieldError]:
    problems = []
    asked = spec["resourceAttributes"].text("namespace")
    if "resourceAttributes" in spec and asked != namespace:
        path = "spec.resourceAttributes.namespace"
        problems.append(errors.invalid(path, asked, "must match metadata.namespace"))
    if "nonResourceAttributes" in spec:
        found, detail = spec["nonResourceAttributes"].fields, "disallowed on this kind of request"
        problems.append(errors.invalid("spec.nonResourceAttributes", found, detail))
    return problems


def _rules(body: Body, user: User, authorizer: RbacAuthorizer) -> Object:
    namespace = body["spec"].text("namespace")
    if not namespace:
        raise bad_request("no namespace on request")
    found = authorizer.rules_for(user, namespace)
    resources = [_picked(rule, ("apiGroups", "resources", "resourceNames")) for rule in found.rules]
    paths = [_picked(rule, ("nonResourceURLs",)) for rule in found.rules]
    status = {
        "resourceRules": [rule for rule in resources if "resources" in rule],
        "nonResourceRules": [rule for rule in paths if "nonResourceURLs" in rule],
        "incomplete": False,
        **without_empty({"evaluationError": ", ".join(found.problems)}),
    }
    return {"spec": {}, "status": status}


def _picked(rule: Mapping[str, Sequence[str]], fields: Sequence[str]) -> Object:
    return {"verbs": list(rule.get("verbs") or ()), **{name: list(rule[name]) for name in fields if rule.get(name)}}


def _token(body: Body, authenticator: Authenticator) -> Object:
    spec = body["spec"]
    token = spec.text("token")
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    found = authenticator.verify(token, spec.texts("audiences") or API_AUDIENCES)
    if found is None:
        return {"spec": dict(spec.fields), "status": {"user": {}, "error": "invalid bearer token"}}
    status = {"authenticated": True, "user": user_info(found.user), "audiences": list(found.audiences)}
    return {"spec": dict(spec.fields), "status": status}
