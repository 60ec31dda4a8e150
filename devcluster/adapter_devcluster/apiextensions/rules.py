"""``x-kubernetes-validations``: rules compiled once, run on every create and update.

Where rules run, what they see and what their failures say follow ``apiextensions-apiserver/pkg/apiserver/
schema/cel`` (v0.36). Transition rules (those that name ``oldSelf``) run where the old value can be told:
through fields, map keys and map lists. Rules of unchanged values are let through with a warning. The
server's budget for the cost of running is not kept here: its estimate before (`cel_cost`) bounds the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.apiextensions import cel_cost, cel_types
from adapter_devcluster.apiextensions.cel_check import CelCompileError, Checked, compile_expression
from adapter_devcluster.apiextensions.cel_decls import Decl, declare, escape, with_type_meta
from adapter_devcluster.apiextensions.cel_eval import Program
from adapter_devcluster.apiextensions.cel_syntax import Expr, Ident, walk
from adapter_devcluster.apiextensions.cel_values import (
    NONE,
    CelError,
    NoSuchOverloadError,
    OptionalValue,
    Value,
    from_json,
)
from adapter_devcluster.apiextensions.correlation import TYPE_META, Correlation, MapList
from adapter_devcluster.apiextensions.errors import (
    OMITTED,
    FieldError,
    Path,
    Reason,
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    required,
)
from adapter_devcluster.apiextensions.go_text import Json
from adapter_devcluster.apiextensions.rule_paths import FieldPathError, field_path
from adapter_devcluster.apiextensions.tree import Node, Rule

_VARIABLES: Final = ("self", "oldSelf")
_MESSAGE_LIMIT: Final = 5 * 1024


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that can run, or the reason why it can't.

    Costs are those of one evaluation. ``expr`` is None where the rule can't be compiled.
    """

    rule: Rule
    error: str = ""
    expr: Expr | None = None
    program: Program | None = None
    uses_old_self: bool = False
    cost: int = 0
    message_error: str = ""
    message: Program | None = None
    message_cost: int = 0
    field_path: str = ""

    @property
    def text(self) -> str:
        """What stands for the rule in messages."""
        return self.rule.message.strip() or self.rule.rule.strip()


def compile_rules(node: Node, decl: Decl) -> tuple[CompiledRule, ...]:
    """Compile the rules of one place of a schema, in their order."""
    return tuple(_compiled(rule, node, decl) for rule in node.validations)


def _compiled(rule: Rule, node: Node, decl: Decl) -> CompiledRule:
    if not rule.rule.strip():
        return CompiledRule(rule)
    old = cel_types.optional_of(decl.type) if rule.optional_old_self else decl.type
    types = {"self": decl.type, "oldSelf": old}
    try:
        checked = compile_expression(rule.rule, types, decl)
    except CelCompileError as error:
        return CompiledRule(rule, f"compilation failed: {error}")
    if checked.type != cel_types.BOOL:
        return CompiledRule(rule, "cel expression must evaluate to a bool")
    message, message_error = _message(rule, types, decl)
    try:
        path = field_path(rule.field_path, node)[0] if rule.field_path else ""
    except FieldPathError:
        # The schema check has reported it; the server then ignores the path.
        path = ""
    return CompiledRule(
        rule,
        expr=checked.expr,
        program=Program(checked, _VARIABLES),
        uses_old_self=any(isinstance(part, Ident) and part.name == "oldSelf" for part in walk(checked.expr)),
        cost=cel_cost.estimate(checked, decl),
        message_error=message_error,
        message=Program(message, _VARIABLES) if message else None,
        message_cost=cel_cost.estimate(message, decl) if message else 0,
        field_path=path,
    )


def _message(rule: Rule, types: Mapping[str, cel_types.Type], decl: Decl) -> tuple[Checked | None, str]:
    if not rule.message_expression:
        return None, ""
    try:
        checked = compile_expression(rule.message_expression, types, decl)
    except CelCompileError as error:
        return None, f"messageExpression compilation failed: {error}"
    if checked.type != cel_types.STRING:
        return None, "messageExpression must evaluate to a string"
    return checked, ""


@dataclass(frozen=True, slots=True)
class RuleTree:
    """The rules of a schema, by the places that have any; made by `rule_tree`."""

    node: Node
    rules: tuple[CompiledRule, ...]
    properties: Mapping[str, RuleTree]
    items: RuleTree | None
    additional: RuleTree | None


def rule_tree(node: Node, *, is_root: bool = True) -> RuleTree | None:
    """Compile all rules of a schema; None where it has none."""
    return _tree(node, declare(node, is_root=is_root), is_root=is_root)


def _tree(node: Node, decl: Decl | None, *, is_root: bool) -> RuleTree | None:
    if decl is None:
        return None
    properties = {}
    for name, sub in node.properties.items():
        escaped = escape(name)
        declared = declare(sub, is_root=sub.embedded) if escaped is None else decl.fields.get(escaped)
        below = _tree(sub, declared, is_root=sub.embedded)
        if below is not None:
            properties[name] = below
    items, values = node.items, node.additional_node
    tree = RuleTree(
        node=with_type_meta(node) if is_root else node,
        rules=compile_rules(node, decl),
        properties=properties,
        items=_tree(items, decl.element, is_root=items.embedded) if items else None,
        additional=_tree(values, decl.element, is_root=values.embedded) if values else None,
    )
    return tree if tree.rules or properties or tree.items or tree.additional else None


@dataclass(frozen=True, slots=True)
class _Ratchet:
    """Where a value stands to its old one: its own correlation, or that of its nearest correlated ancestor."""

    current: Correlation | None = None
    ancestor: Correlation | None = None

    @property
    def unchanged(self) -> bool:
        nearest = self.current or self.ancestor
        return nearest is not None and nearest.unchanged

    def field(self, name: str) -> _Ratchet:
        if self.current is None:
            return self
        if self.ancestor is None and name in TYPE_META:
            return _Ratchet()
        return _Ratchet(self.current.field(name), self.current)

    def item(self, position: int) -> _Ratchet:
        return self if self.current is None else _Ratchet(self.current.item(position), self.current)


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken rule; ``ratcheted`` if it is let through because its value did not change."""

    error: FieldError
    ratcheted: bool


def check_rules(
    tree: RuleTree, value: Json, old: Json, path: Path = None, correlation: Correlation | None = None
) -> Iterator[Broken]:
    """Run the rules of a value and of everything in it. ``old`` is None on creation."""
    yield from _check(tree, value, old, path, _Ratchet(correlation))


def _check(tree: RuleTree, value: Json, old: Json, path: Path, ratchet: _Ratchet) -> Iterator[Broken]:
    if value is None:
        return
    yield from _run(tree, value, old, path, ratchet)
    if isinstance(value, dict):
        yield from _check_fields(tree, value, old, path, ratchet)
    elif isinstance(value, list) and tree.items is not None:
        old_items = MapList(old, tree.node)
        for position, item in enumerate(value):
            at = index(path, position)
            yield from _check(tree.items, item, old_items.get(item), at, ratchet.item(position))


def _check_fields(tree: RuleTree, value: dict[str, Json], old: Json, path: Path, ratchet: _Ratchet) -> Iterator[Broken]:
    # Every known map type, `atomic` too, is correlated by its keys.
    known = old if isinstance(old, dict) else {}
    if tree.additional is not None:
        for name, item in value.items():
            yield from _check(tree.additional, item, known.get(name), index(path, name), ratchet.field(name))
    for name, below in tree.properties.items():
        if name in value:
            yield from _check(below, value[name], known.get(name), child(path, name), ratchet.field(name))


def _run(tree: RuleTree, value: Json, old: Json, path: Path, ratchet: _Ratchet) -> Iterator[Broken]:
    for compiled in tree.rules:
        if compiled.error:
            error = invalid(path, tree.node.type, f"rule compile error: {compiled.error}")
            yield Broken(error, ratcheted=False)
        if compiled.program is None:
            continue
        if compiled.uses_old_self and old is None and not compiled.rule.optional_old_self:
            continue
        try:
            variables = _variables(tree.node, compiled, value, old)
            if compiled.program.run(variables) is True:
                continue
        except CelError as failure:
            yield Broken(invalid(path, tree.node.type, _failure(failure, compiled)), ratcheted=False)
            continue
        error = _violation(tree.node, compiled, value, path, variables)
        yield Broken(error, ratcheted=not compiled.uses_old_self and ratchet.unchanged)


def _variables(node: Node, compiled: CompiledRule, value: Json, old: Json) -> dict[str, Value]:
    variables = {"self": from_json(value, node)}
    if not compiled.uses_old_self:
        return variables
    if compiled.rule.optional_old_self:
        variables["oldSelf"] = NONE if old is None else OptionalValue(present=True, value=from_json(old, node))
    elif old is not None:
        variables["oldSelf"] = from_json(old, node)
    return variables


def _failure(failure: CelError, compiled: CompiledRule) -> str:
    if isinstance(failure, NoSuchOverloadError):
        return (
            f"'{failure}': call arguments did not match a supported operator, function or macro signature "
            f"for rule: {compiled.text}"
        )
    return f"{failure} evaluating rule: {compiled.text}"


def _violation(
    node: Node, compiled: CompiledRule, value: Json, path: Path, variables: Mapping[str, Value]
) -> FieldError:
    at = child(path, compiled.field_path) if compiled.field_path else path
    detail = _evaluated_message(compiled, variables)
    if not detail:
        detail = compiled.rule.message.strip() or f"failed rule: {compiled.text}"
    shown = OMITTED if node.type in {"object", "array"} else value
    match compiled.rule.reason:
        case Reason.FORBIDDEN:
            return forbidden(at, detail)
        case Reason.REQUIRED:
            return required(at, detail)
        case Reason.DUPLICATE:
            return duplicate(at, shown)
    return invalid(at, shown, detail)


def _evaluated_message(compiled: CompiledRule, variables: Mapping[str, Value]) -> str:
    """Run ``messageExpression``; nothing where it fails or gives no usable line, as the server has it."""
    if compiled.message is None:
        return ""
    try:
        result = compiled.message.run(variables)
    except CelError:
        return ""
    text = result.strip() if isinstance(result, str) else ""
    return "" if "\n" in text or len(text.encode("utf-8", "replace")) > _MESSAGE_LIMIT else text
