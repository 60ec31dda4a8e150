"""A policy with its expressions compiled (``.../plugin/policy/validating/plugin.go``, compilePolicy, v0.36)."""

from __future__ import annotations

from dataclasses import dataclass

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.objects import Object, meta
from adapter_devcluster.policies.environment import Environment, Expression


@dataclass(frozen=True, slots=True)
class Validation:
    """One validation. ``reason`` is that of the Status, ``message`` and ``message_expression`` may be missing."""

    expression: Expression
    message: str
    message_expression: Expression | None
    reason: str


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """What of a policy's spec is expressions. ``fails`` is whether an error denies (failurePolicy)."""

    name: str
    fails: bool
    param_kind: Object | None
    match_conditions: tuple[Expression, ...]
    variables: tuple[tuple[str, Expression], ...]
    validations: tuple[Validation, ...]
    audit_annotations: tuple[Expression, ...]


def compile_policy(policy: Object) -> CompiledPolicy:
    """Compile all expressions. One that can't be compiled is an error of each evaluation."""
    spec = policy["spec"]
    environment = Environment(has_params=spec.get("paramKind") is not None)
    variables = []
    for raw in spec.get("variables") or ():
        expression = Expression(raw["expression"], environment)
        variables.append((raw["name"], expression))
        environment = environment.with_variable(raw["name"], expression.type)
    messages = Environment(environment.has_params, has_authorizer=False, variables=environment.variables)
    return CompiledPolicy(
        name=meta(policy)["name"],
        fails=spec.get("failurePolicy") != "Ignore",
        param_kind=spec.get("paramKind"),
        match_conditions=tuple(
            Expression(raw["expression"], environment, t.BOOL) for raw in spec.get("matchConditions") or ()
        ),
        variables=tuple(variables),
        validations=tuple(_validation(raw, environment, messages) for raw in spec.get("validations") or ()),
        audit_annotations=tuple(
            Expression(raw["valueExpression"], environment, t.STRING, t.NULL)
            for raw in spec.get("auditAnnotations") or ()
        ),
    )


def _validation(raw: Object, environment: Environment, messages: Environment) -> Validation:
    message = raw.get("messageExpression")
    return Validation(
        expression=Expression(raw["expression"], environment, t.BOOL),
        message=(raw.get("message") or "").strip(),
        message_expression=Expression(message, messages, t.STRING) if message else None,
        reason=raw.get("reason") or "Invalid",
    )
