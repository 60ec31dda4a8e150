"""Running a policy's expressions on one request with one parameter object.

Sources: ``.../plugin/policy/validating/validator.go``, ``.../plugin/webhook/matchconditions/matcher.go``,
``.../plugin/cel/{condition,composition}.go`` (v0.36).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.access.rbac import Attributes, RbacAuthorizer
from adapter_devcluster.apiextensions.cel_dynamic import dynamic
from adapter_devcluster.apiextensions.cel_values import CelError, MapValue, Value
from adapter_devcluster.apiextensions.go_text import quote
from adapter_devcluster.objects import Object
from adapter_devcluster.policies.authorizer_library import Check
from adapter_devcluster.policies.compilation import CompiledPolicy, Validation
from adapter_devcluster.policies.environment import Expression
from adapter_devcluster.policies.request import AdmissionRequest, Match, request_value

_MESSAGE_LIMIT: Final = 5 * 1024


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a policy is against a request. ``always``: whatever the binding's validation actions are."""

    message: str
    reason: str = "Invalid"
    always: bool = False


def values_of(
    request: AdmissionRequest, match: Match, namespace: Object | None, authorizer: RbacAuthorizer
) -> dict[str, Value]:
    """Return the values of all variables but ``params`` and ``variables``."""
    asked = Attributes(request.user, "")
    own = Attributes(
        request.user,
        "",
        request.resource,
        request.group,
        request.subresource,
        request.effective_namespace,
        request.name,
    )
    return {
        "object": dynamic(_in_version(request.object, request, match)),
        "oldObject": dynamic(_in_version(request.old_object, request, match)),
        "request": dynamic(request_value(request, match)),
        "namespaceObject": dynamic(namespace),
        "authorizer": Check(authorizer, asked),
        "authorizer.requestResource": Check(authorizer, own),
    }


def _in_version(obj: Object | None, request: AdmissionRequest, match: Match) -> Object | None:
    if obj is None or (request.group, request.version) == (match.group, match.version):
        return obj
    return {**obj, "apiVersion": match.api_version, "kind": match.kind}


def evaluate(policy: CompiledPolicy, values: Mapping[str, Value], params: Object | None) -> list[Denial]:
    """Evaluate a policy; ``values`` are those of `values_of`. Nothing means that it has nothing against it."""
    known: dict[str, Value] = {**values, "params": dynamic(params)}
    known["variables"] = _Variables(policy, known)
    # The namespace is not known to match conditions, and what a variable found there must not be kept.
    conditions = {**known, "namespaceObject": None}
    conditions["variables"] = _Variables(policy, conditions)
    unmet = _unmet(policy, conditions)
    if unmet is not None:
        return unmet
    return [*_broken(policy, known), *_failing_annotations(policy, known)]


def _unmet(policy: CompiledPolicy, values: Mapping[str, Value]) -> list[Denial] | None:
    """Decide whether the policy applies: None if it does, else what follows."""
    failures = []
    for condition in policy.match_conditions:
        try:
            if condition.run(values) is False:
                return []
        except CelError as error:
            failures.append(_failure(condition, error))
    if not failures:
        return None
    if not policy.fails:
        return []
    unique = list(dict.fromkeys(failures))
    return [Denial(unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]")]


def _broken(policy: CompiledPolicy, values: Mapping[str, Value]) -> Iterator[Denial]:
    for validation in policy.validations:
        try:
            holds = validation.expression.run(values) is True
        except CelError as error:
            if policy.fails:
                yield Denial(_failure(validation.expression, error))
            continue
        if not holds:
            yield Denial(_message(validation, values), validation.reason)


def _failing_annotations(policy: CompiledPolicy, values: Mapping[str, Value]) -> Iterator[Denial]:
    for annotation in policy.audit_annotations:
        try:
            annotation.run(values)
        except CelError as error:
            if policy.fails:
                yield Denial(_failure(annotation, error), always=True)


def _failure(expression: Expression, error: CelError) -> str:
    if expression.error:
        return f"compilation error: {error}"
    return f"expression '{expression.source}' resulted in error: {error}"


def _message(validation: Validation, values: Mapping[str, Value]) -> str:
    """What to say: what the message's expression gives, if it is one usable line, else the message."""
    found: Value = ""
    if validation.message_expression is not None:
        try:
            found = validation.message_expression.run(values)
        except CelError:
            # As in the server: an error here is no reason to let the request through, or to hide the other message.
            found = ""
    text = found.strip() if isinstance(found, str) else ""
    if "\n" in text or len(text.encode()) > _MESSAGE_LIMIT:
        text = ""
    return text or validation.message or f"failed expression: {validation.expression.source.strip()}"


class _Variables(MapValue):
    """The policy's variables: each is evaluated once, when it is first asked for."""

    def __init__(self, policy: CompiledPolicy, values: Mapping[str, Value]) -> None:
        super().__init__({})
        self._expressions = dict(policy.variables)
        self._values = values
        self._found: dict[str, Value | CelError] = {}

    def find(self, key: Value) -> tuple[bool, Value]:
        """Look a variable up. Raises CelError where it can't be evaluated."""
        name = str(key)
        if name not in self._found:
            self._found[name] = self._evaluate(name)
        found = self._found[name]
        if isinstance(found, CelError):
            raise CelError(str(found))
        return True, found

    def _evaluate(self, name: str) -> Value | CelError:
        expression = self._expressions[name]
        try:
            return expression.run(self._values)
        except CelError as error:
            problem = "compile" if expression.error else "evaluate"
            return CelError(f"composited variable {quote(name)} fails to {problem}: {error}")
