"""The schema of a CustomResourceDefinition version, checked as an API server checks it on creation.

Everything but structurality (`structural`) and defaults (`default_values`): forbidden keywords, list and
map types, the form of CEL rules, and, where all that is fine, the rules themselves and their estimated cost.
Source: ``apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`` (v0.36).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from adapter_devcluster.apiextensions import cel_cost
from adapter_devcluster.apiextensions.cel_decls import Decl, declare, escape
from adapter_devcluster.apiextensions.errors import (
    FieldError,
    child,
    forbidden,
    index,
    internal,
    invalid,
    not_supported,
    required,
)
from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.list_schema import check_list_types
from adapter_devcluster.apiextensions.rule_paths import FieldPathError, field_path
from adapter_devcluster.apiextensions.rules import CompiledRule, compile_rules
from adapter_devcluster.apiextensions.tree import Node, Rule

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_META_FIELDS: Final = frozenset({"metadata", "kind", "apiVersion"})
_REASONS: Final = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_LINE_BREAK: Final = re.compile(r"[\n\r]")


@dataclass(frozen=True, slots=True)
class RuleCost:
    """What a rule (or its message expression) was estimated at.

    ``cost`` is that of one evaluation, ``total`` of all that one object can cause. Both in CEL's units.
    """

    path: str
    cost: int
    total: int


@dataclass(slots=True)
class SchemaReport:
    """What was found in a schema: errors as the server orders them, and what its rules cost."""

    errors: list[FieldError] = field(default_factory=list)
    rule_errors: list[FieldError] = field(default_factory=list)
    costs: list[RuleCost] = field(default_factory=list)

    @property
    def total_cost(self) -> int:
        """The estimated cost of all rules together."""
        return sum(cost.total for cost in self.costs)


@dataclass(frozen=True, slots=True)
class _Context:
    """What is known at a place from the places above it.

    ``cardinality`` is how often a value can stand there, None if nothing bounds it; ``uncorrelated`` is the
    nearest list or map above whose old items can't be told; ``rules`` is off under junctors.
    """

    decl: Decl | None
    cardinality: int | None = 1
    uncorrelated: str = ""
    no_defaults: str = ""
    in_meta: bool = False
    is_root: bool = False
    rules: bool = True


def check_schema(root: Node, path: str, *, with_rules: bool) -> SchemaReport:
    """Check a schema; ``with_rules`` compiles its rules too, which only makes sense if it is structural."""
    report = SchemaReport()
    decl = declare(root, is_root=True) if with_rules else None
    _Checker(report).check(root, path, _Context(decl, is_root=True, rules=with_rules))
    report.errors += report.rule_errors
    report.errors += _total_cost_errors(report, path)
    return report


def _total_cost_errors(report: SchemaReport, path: str) -> Iterator[FieldError]:
    if report.total_cost <= cel_cost.CRD_LIMIT:
        return
    heavy = [cost for cost in report.costs if cost.total >= cel_cost.CRD_LIMIT // 100]
    for cost in sorted(heavy, key=lambda one: -one.total)[:4]:
        detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        yield forbidden(cost.path, detail)
    what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
    yield forbidden(path, cel_cost.excess(what, report.total_cost, cel_cost.CRD_LIMIT))


class _Checker:
    def __init__(self, report: SchemaReport) -> None:
        self.report = report

    def check(self, node: Node, path: str, context: _Context) -> bool:
        """Check a place and everything below it; returns whether its form is fine."""
        before = len(self.report.errors)
        self.report.errors += _keywords(node, path, context)
        if node.additional is not None:
            self.additional(node, path, context)
        for name, sub in node.properties.items():
            self.check(sub, index(child(path, "properties"), name), _below_property(node, name, path, context))
        self.junctors(node, path, context)
        if node.items is not None:
            uncorrelated = context.uncorrelated or ("" if node.list_type == "map" else path)
            below = replace(_below(node, node.items, context), uncorrelated=uncorrelated)
            self.check(node.items, child(path, "items"), below)
        self.report.errors += check_list_types(node, path)
        for position, rule in enumerate(node.validations):
            at = index(child(path, "x-kubernetes-validations"), position)
            self.report.errors += _rule_form(rule, node, at)
        fine = len(self.report.errors) == before
        if fine and context.rules and node.validations:
            self.rules(node, path, context)
        return fine

    def additional(self, node: Node, path: str, context: _Context) -> None:
        at = child(path, "additionalProperties")
        if node.properties and node.additional is not True:
            self.report.errors.append(forbidden(at, "additionalProperties and properties are mutual exclusive"))
        if isinstance(node.additional, Node):
            below = _below(node, node.additional, context)
            if context.in_meta:
                reason = "inside additionalProperties applying to object metadata"
                below = replace(below, no_defaults=reason)
            self.check(node.additional, at, below)

    def junctors(self, node: Node, path: str, context: _Context) -> None:
        below = replace(context, is_root=False, rules=False)
        if node.not_ is not None:
            self.check(node.not_, child(path, "not"), below)
        for key, nested in (("allOf", node.all_of), ("oneOf", node.one_of), ("anyOf", node.any_of)):
            for position, one in enumerate(nested):
                self.check(one, index(child(path, key), position), below)

    def rules(self, node: Node, path: str, context: _Context) -> None:
        at = child(path, "x-kubernetes-validations")
        if context.decl is None:
            detail = "failed to retrieve type information for x-kubernetes-validations"
            self.report.rule_errors.append(internal(at, detail))
            return
        for position, compiled in enumerate(compile_rules(node, context.decl)):
            self.report.rule_errors += self.rule(compiled, index(at, position), context)

    def rule(self, compiled: CompiledRule, path: str, context: _Context) -> Iterator[FieldError]:
        at = child(path, "rule")
        times = cel_cost.max_cardinality(context.decl) if context.decl else 1
        times = times if context.cardinality is None else context.cardinality
        yield from self.cost(at, compiled.cost, times, "estimated rule cost")
        if compiled.error:
            yield invalid(at, _shown(compiled.rule), compiled.error)
        message_at = child(path, "messageExpression")
        if compiled.message_error:
            yield invalid(message_at, _shown(compiled.rule), compiled.message_error)
        elif compiled.message is not None:
            yield from self.cost(message_at, compiled.message_cost, 1, "estimated messageExpression cost")
        if compiled.uses_old_self and context.uncorrelated:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {context.uncorrelated}"
            yield invalid(at, compiled.rule.rule, detail)
        elif not compiled.uses_old_self and compiled.rule.optional_old_self is not None:
            detail = "may not be set if oldSelf is not used in rule"
            yield invalid(child(path, "optionalOldSelf"), compiled.rule.optional_old_self, detail)

    def cost(self, path: str, cost: int, times: int, what: str) -> Iterator[FieldError]:
        total = cel_cost.multiplied(cost, times)
        self.report.costs.append(RuleCost(path, cost, total))
        if total > cel_cost.RULE_LIMIT:
            yield forbidden(path, cel_cost.excess(what, total, cel_cost.RULE_LIMIT))


def _below(node: Node, sub: Node, context: _Context) -> _Context:
    """The context of a list's items or a map's values."""
    declared = context.decl.element if context.decl else None
    declared = declared or (declare(sub, is_root=sub.embedded) if context.rules else None)
    limit = node.max_items if node.type == "array" else node.max_properties
    bound = None if limit is None or context.cardinality is None else context.cardinality * max(limit, 0)
    return replace(context, decl=declared, cardinality=bound, is_root=False)


def _below_property(node: Node, name: str, path: str, context: _Context) -> _Context:
    sub = node.properties[name]
    escaped = escape(name)
    declared = context.decl.fields.get(escaped) if context.decl and escaped else None
    declared = declared or (declare(sub, is_root=sub.embedded) if context.rules else None)
    below = replace(context, decl=declared, is_root=False)
    if node.map_type not in {None, "granular", "atomic"}:
        below = replace(below, uncorrelated=context.uncorrelated or path)
    if (context.is_root or node.embedded) and name in _META_FIELDS:
        below = replace(below, in_meta=True)
        if context.is_root:
            below = replace(below, no_defaults=f"in top-level {name}")
    return below


def _keywords(node: Node, path: str, context: _Context) -> Iterator[FieldError]:
    if node.type and node.type not in _TYPES:
        yield not_supported(child(path, "type"), node.type, _TYPES)
    if node.default is not None and context.no_defaults:
        yield forbidden(child(path, "default"), f"must not be set {context.no_defaults}")
    for name in ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"):
        if name in node.unsupported:
            yield forbidden(child(path, name), f"{name} is not supported")
    if node.type == "null":
        detail = "type cannot be set to null, use nullable as an alternative"
        yield forbidden(child(path, "type"), detail)
    if "items" in node.unsupported:
        yield forbidden(child(path, "items"), "items must be a schema object and not an array")
    if context.in_meta and node.embedded:
        yield forbidden(child(path, "x-kubernetes-embedded-resource"), "must not be used inside of resource meta")
    if node.unique_items:
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(child(path, "uniqueItems"), detail)
    if "x-kubernetes-preserve-unknown-fields" in node.unsupported:
        at = child(path, "x-kubernetes-preserve-unknown-fields")
        yield invalid(at, node.preserve_unknown, "must be true or undefined")


def _rule_form(rule: Rule, node: Node, path: str) -> Iterator[FieldError]:
    text, message = rule.rule.strip(), rule.message.strip()
    at = child(path, "message")
    if not text:
        yield required(child(path, "rule"), "rule is not specified")
    elif rule.message and not message:
        yield invalid(at, rule.message, "must be non-empty if specified")
    elif _LINE_BREAK.search(message):
        yield invalid(at, rule.message, "must not contain line breaks")
    elif _LINE_BREAK.search(text) and not message:
        yield required(at, "message must be specified if rule contains line breaks")
    if rule.message_expression and not rule.message_expression.strip():
        detail = "messageExpression must be non-empty if specified"
        yield required(child(path, "messageExpression"), detail)
    if rule.reason is not None and rule.reason not in _REASONS:
        yield not_supported(child(path, "reason"), rule.reason, _REASONS)
    yield from _rule_path(rule, node, child(path, "fieldPath"))


def _rule_path(rule: Rule, node: Node, path: str) -> Iterator[FieldError]:
    if not rule.field_path:
        return
    if not rule.field_path.strip():
        yield invalid(path, rule.field_path, "must be non-empty if specified")
    if _LINE_BREAK.search(rule.field_path):
        yield invalid(path, rule.field_path, "must not contain line breaks")
    try:
        field_path(rule.field_path, node)
    except FieldPathError:
        yield invalid(path, rule.field_path, "must be a valid path")


def _shown(rule: Rule) -> dict[str, Json]:
    """A rule as the server writes it into a message: Go's field names, all of them."""
    return {
        "Rule": rule.rule,
        "Message": rule.message,
        "MessageExpression": rule.message_expression,
        "Reason": rule.reason,
        "FieldPath": rule.field_path,
        "OptionalOldSelf": rule.optional_old_self,
    }
