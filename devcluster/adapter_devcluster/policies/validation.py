"""What is wrong with a policy or a binding, in field errors.

Source: ``pkg/apis/admissionregistration/validation/validation.go`` (v1.36). Schema and defaults have been applied,
so types are right and ``failurePolicy``, ``matchPolicy`` and the selectors are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions import names
from adapter_devcluster.apiextensions.cel_check import CelCompileError
from adapter_devcluster.apiextensions.cel_lexer import RESERVED
from adapter_devcluster.apiextensions.errors import (
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_many,
)
from adapter_devcluster.builtin.checks import check_label_selector
from adapter_devcluster.objects import Object, meta, section
from adapter_devcluster.policies.environment import Environment
from adapter_devcluster.policies.rule_validation import check_match_resources

_REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_ACTIONS: Final = ("Audit", "Deny", "Warn")
_MAX_CONDITIONS: Final = 64
_MAX_ANNOTATIONS: Final = 20
_MAX_ANNOTATION_BYTES: Final = 5 * 1024
_NOT_VARIABLES: Final = RESERVED | {"true", "false", "null", "in"}


def policy_status(policy: Object) -> Object:
    """Return the status of a policy once the server has looked at it; nothing is wrong with its types."""
    return {"observedGeneration": meta(policy).get("generation", 1), "typeChecking": {}}


def check_policy(policy: Object) -> list[FieldError]:
    """Check a ValidatingAdmissionPolicy; every expression is compiled."""
    return list(_check_policy(policy, section(policy, "spec")))


def check_binding(binding: Object) -> list[FieldError]:
    """Check a ValidatingAdmissionPolicyBinding."""
    return list(_check_binding(section(binding, "spec")))


def _check_policy(policy: Object, spec: Object) -> Iterator[FieldError]:
    failure = spec.get("failurePolicy")
    if failure is not None and failure not in ("Fail", "Ignore"):
        yield not_supported("spec.failurePolicy", failure, ("Fail", "Ignore"))
    kind = spec.get("paramKind")
    if kind is not None:
        yield from _check_param_kind(kind)
    constraints = spec.get("matchConstraints")
    if constraints is None:
        yield required("spec.matchConstraints")
    else:
        yield from check_match_resources(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
    environment = Environment(has_params=kind is not None)
    yield from _check_conditions(spec.get("matchConditions") or (), environment)
    for at, variable in enumerate(spec.get("variables") or ()):
        problems, environment = _check_variable(variable, environment, f"spec.variables[{at}]")
        yield from problems
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        words = "validations or auditAnnotations must contain at least one item"
        yield from (required("spec.validations", words), required("spec.auditAnnotations", words))
    for at, validation in enumerate(validations):
        yield from _check_validation(validation, environment, f"spec.validations[{at}]")
    yield from _check_annotations(annotations, str(meta(policy).get("name") or ""), environment)


def _check_param_kind(kind: Object) -> Iterator[FieldError]:
    path, api_version, name = "spec.paramKind", kind.get("apiVersion") or "", kind.get("kind") or ""
    group, _, version = api_version.rpartition("/")
    if not api_version:
        yield required(f"{path}.apiVersion")
    elif "/" in group:
        yield invalid(f"{path}.apiVersion", api_version, f"unexpected GroupVersion string: {api_version}")
    else:
        if group and (problems := names.check_dns_subdomain(group)):
            yield invalid(f"{path}.apiVersion", group, ",".join(problems))
        if not version:
            yield invalid(f"{path}.apiVersion", api_version, "version must be specified")
        elif problems := names.check_dns_1035_label(version):
            yield invalid(f"{path}.apiVersion", version, ",".join(problems))
    if not name:
        yield required(f"{path}.kind")
    elif problems := names.check_dns_1035_label(name.lower()):
        detail = f"may have mixed case, but should otherwise match: {','.join(problems)}"
        yield invalid(f"{path}.kind", name, detail)


def _check_conditions(conditions: Sequence[Object], environment: Environment) -> Iterator[FieldError]:
    path = "spec.matchConditions"
    if len(conditions) > _MAX_CONDITIONS:
        yield too_many(path, len(conditions), _MAX_CONDITIONS)
    seen: set[str] = set()
    for at, condition in enumerate(conditions):
        name, source = condition.get("name") or "", (condition.get("expression") or "").strip()
        if source:
            yield from _compiled(source, environment, f"{path}[{at}].expression", t.BOOL)
        else:
            yield required(f"{path}[{at}].expression")
        if not name:
            yield required(f"{path}[{at}].name")
            continue
        for problem in names.check_label_key(name):
            yield invalid(f"{path}[{at}].name", name, problem)
        if name in seen:
            yield duplicate(f"{path}[{at}].name", name)
        seen.add(name)


def _check_variable(variable: Object, environment: Environment, path: str) -> tuple[list[FieldError], Environment]:
    """Check a variable; those after it see it, and so do all validations."""
    name, source = variable.get("name") or "", variable.get("expression") or ""
    problems = []
    if not name.strip():
        problems.append(required(f"{path}.name", "name is not specified"))
    elif not re.fullmatch("[_a-zA-Z][_a-zA-Z0-9]*", name) or name in _NOT_VARIABLES:
        problems.append(invalid(f"{path}.name", name, "name is not a valid CEL identifier"))
    if not source.strip():
        problems.append(required(f"{path}.expression", "expression is not specified"))
        return problems, environment
    try:
        found = environment.compile(source).type
    except CelCompileError as error:
        problems.append(invalid(f"{path}.expression", source, str(error)))
        found = t.DYN
    return problems, environment.with_variable(name, found)


def _check_validation(validation: Object, environment: Environment, path: str) -> Iterator[FieldError]:
    source = validation.get("expression") or ""
    if source.strip():
        yield from _compiled(source, environment, f"{path}.expression", t.BOOL)
    else:
        yield required(f"{path}.expression", "expression is not specified")
    source = validation.get("messageExpression") or ""
    if source.strip():
        without = Environment(environment.has_params, has_authorizer=False, variables=environment.variables)
        yield from _compiled(source, without, f"{path}.messageExpression", t.STRING)
    elif source:
        yield invalid(f"{path}.messageExpression", source, "must be non-empty if specified")
    message = validation.get("message") or ""
    if message and not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif re.search("[\r\n]", message.strip()):
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    reason = validation.get("reason")
    if reason is not None and reason not in _REASONS:
        yield not_supported(f"{path}.reason", reason, _REASONS)


def _check_annotations(annotations: Sequence[Object], policy: str, environment: Environment) -> Iterator[FieldError]:
    path = "spec.auditAnnotations"
    if len(annotations) > _MAX_ANNOTATIONS:
        yield invalid(path, list(annotations), f"must not have more than {_MAX_ANNOTATIONS} auditAnnotations")
    seen: set[str] = set()
    for at, annotation in enumerate(annotations):
        key, source = annotation.get("key") or "", (annotation.get("valueExpression") or "").strip()
        for problem in names.check_label_key(f"{policy}/{key}"):
            yield invalid(f"{path}[{at}].key", f"{policy}/{key}", problem)
        if not source:
            yield required(f"{path}[{at}].valueExpression", "valueExpression is not specified")
        elif len(source.encode()) > _MAX_ANNOTATION_BYTES:
            yield required(f"{path}[{at}].valueExpression", f"must not exceed {_MAX_ANNOTATION_BYTES} bytes in length")
        else:
            yield from _compiled(source, environment, f"{path}[{at}].valueExpression", t.STRING, t.NULL)
        if key in seen:
            yield duplicate(f"{path}[{at}].key", key)
        seen.add(key)


def _compiled(source: str, environment: Environment, path: str, *results: t.Type) -> Iterator[FieldError]:
    try:
        environment.compile(source, *results)
    except CelCompileError as error:
        yield invalid(path, source, str(error))


def _check_binding(spec: Object) -> Iterator[FieldError]:
    policy = spec.get("policyName") or ""
    if not policy:
        yield required("spec.policyName")
    else:
        yield from (invalid("spec.policyName", policy, problem) for problem in names.check_dns_subdomain(policy))
    if spec.get("paramRef") is not None:
        yield from _check_param_ref(spec["paramRef"], "spec.paramRef")
    if spec.get("matchResources") is not None:
        # The server's path has this spelling.
        yield from check_match_resources(spec["matchResources"], "spec.matchResouces")
    yield from _check_actions(spec.get("validationActions") or [], "spec.validationActions")


def _check_param_ref(reference: Object, path: str) -> Iterator[FieldError]:
    name, selector = reference.get("name") or "", reference.get("selector")
    for problem in names.check_path_segment(name):
        yield invalid(f"{path}.name", name, problem)
    if name and selector is not None:
        yield forbidden(f"{path}.name", "name and selector are mutually exclusive")
    if selector is not None:
        yield from check_label_selector(selector, f"{path}.selector")
    if name and selector is not None:
        yield forbidden(f"{path}.selector", "name and selector are mutually exclusive")
    if not name and selector is None:
        yield required(path, "one of name or selector must be specified")
    action = reference.get("parameterNotFoundAction") or ""
    if not action:
        yield required(f"{path}.parameterNotFoundAction")
    elif action not in ("Deny", "Allow"):
        yield not_supported(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow"))


def _check_actions(actions: list[str], path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for at, action in enumerate(actions):
        if action not in _ACTIONS:
            yield not_supported(f"{path}[{at}]", action, _ACTIONS)
        if action in seen:
            yield duplicate(f"{path}[{at}]", action)
        seen.add(action)
    if seen >= {"Deny", "Warn"}:
        detail = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)"
        )
        yield invalid(path, actions, detail)
    if not seen:
        yield required(path, "at least one validation action is required")
