"""The type checker: which type an expression has, and which overloads its calls can mean.

The rules and the messages are cel-go's (v0.26 ``checker``), in the configuration that Kubernetes uses:
aggregate literals hold one type, numbers of different types may be compared but not be mixed otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions.cel_decls import Decl
from adapter_devcluster.apiextensions.cel_functions import FUNCTIONS, NOT_PROVIDED, Functions, Overload
from adapter_devcluster.apiextensions.cel_lexer import RESERVED, CelSyntaxError, Uint
from adapter_devcluster.apiextensions.cel_library import matches
from adapter_devcluster.apiextensions.cel_operators import convert
from adapter_devcluster.apiextensions.cel_syntax import (
    Call,
    Expr,
    Ident,
    ListLiteral,
    LiteralValue,
    Macro,
    MapLiteral,
    Select,
    display_error,
    parse,
)
from adapter_devcluster.apiextensions.cel_values import CelError

_TYPE_NAMES = {
    "bool": t.BOOL,
    "bytes": t.BYTES,
    "double": t.DOUBLE,
    "dyn": t.DYN,
    "int": t.INT,
    "list": t.list_of(t.DYN),
    "map": t.map_of(t.DYN, t.DYN),
    "null_type": t.NULL,
    "string": t.STRING,
    "type": t.type_of(t.DYN),
    "uint": t.UINT,
    "google.protobuf.Timestamp": t.TIMESTAMP,
    "google.protobuf.Duration": t.DURATION,
    "optional_type": t.optional_of(t.DYN),
}
_LITERALS = {
    bool: t.BOOL,
    bytes: t.BYTES,
    float: t.DOUBLE,
    int: t.INT,
    type(None): t.NULL,
    str: t.STRING,
    Uint: t.UINT,
}


def _pattern(value: object) -> None:
    if isinstance(value, str):
        matches("", value)


_LITERAL_CHECKS: Mapping[str, Callable[[object], object]] = {
    "matches": _pattern,
    "find": _pattern,
    "findAll": _pattern,
    "duration": convert("duration"),
    "timestamp": convert("timestamp"),
}


class CelCompileError(ValueError):
    """An expression that can't be compiled; the message is cel-go's, one error a line with its place."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression with the types of its parts and, for its calls, what they can mean."""

    source: str
    expr: Expr
    types: Mapping[Expr, t.Type]
    overloads: Mapping[Expr, tuple[Overload, ...]]

    @property
    def type(self) -> t.Type:
        """The type of the whole expression."""
        return self.types[self.expr]


def compile_expression(
    source: str, variables: Mapping[str, t.Type], root: Decl, functions: Functions = FUNCTIONS
) -> Checked:
    """Parse and check an expression. ``root`` declares the objects that the variables' types name.

    A variable's name may have dots. ``functions`` are those that may be called. Raises CelCompileError.
    """
    try:
        expr = parse(source)
    except CelSyntaxError as error:
        raise CelCompileError(display_error(source, error.at, error.message)) from error
    checker = _Checker(variables, _objects(root), functions)
    checker.check(expr)
    if checker.errors:
        raise CelCompileError("\n".join(display_error(source, at, text) for at, text in sorted(checker.errors)))
    types = {e: checker.known.substitute(found, free_to_dyn=True) for e, found in checker.types.items()}
    return Checked(source, expr, types, checker.overloads)


def _objects(root: Decl) -> dict[str, Mapping[str, Decl]]:
    """The fields of every object below a declaration, by the object's name."""
    found: dict[str, Mapping[str, Decl]] = {}
    pending = [root]
    while pending:
        decl = pending.pop()
        if decl.type.kind == "object":
            found[decl.type.name] = decl.fields
        pending += [*decl.fields.values(), *([decl.element] if decl.element else [])]
    return found


def qualified_name(expr: Expr) -> str | None:
    """Return ``a.b`` for a chain of plain selections, None for anything else."""
    match expr:
        case Ident():
            return expr.name
        case Select(test_only=False, optional=False):
            prefix = qualified_name(expr.operand)
            return None if prefix is None else f"{prefix}.{expr.field}"
    return None


class _Checker:
    def __init__(
        self, variables: Mapping[str, t.Type], objects: Mapping[str, Mapping[str, Decl]], functions: Functions
    ) -> None:
        self.scopes = [dict(variables)]
        self.objects = objects
        self.functions = functions
        self.types: dict[Expr, t.Type] = {}
        self.overloads: dict[Expr, tuple[Overload, ...]] = {}
        self.known = t.Substitution()
        self.errors: set[tuple[int, str]] = set()

    def check(self, expr: Expr) -> t.Type:
        match expr:
            case LiteralValue():
                found = _LITERALS[type(expr.value)]
            case Ident():
                found = self.identifier(expr, expr.name)
            case Select():
                found = self.select(expr)
            case Call():
                found = self.call(expr)
            case ListLiteral():
                found = t.list_of(self.joined(expr.items))
            case MapLiteral():
                keys, values = [key for key, _ in expr.entries], [value for _, value in expr.entries]
                found = t.map_of(self.joined(keys), self.joined(values))
            case _:
                found = self.macro(expr)
        self.types[expr] = found
        return found

    def error(self, at: int, message: str) -> t.Type:
        self.errors.add((at, message))
        return t.ERROR

    def lookup(self, name: str) -> t.Type | None:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return t.type_of(_TYPE_NAMES[name]) if name in _TYPE_NAMES else None

    def identifier(self, expr: Expr, name: str) -> t.Type:
        found = self.lookup(name)
        return self.error(expr.at, f"undeclared reference to '{name}' (in container '')") if found is None else found

    def select(self, expr: Select) -> t.Type:
        name = None if expr.test_only or expr.optional else qualified_name(expr)
        found = self.lookup(name) if name else None
        if found is not None:
            return found
        operand = self.known.substitute(self.check(expr.operand))
        was_optional = operand.kind == "optional"
        target = operand.params[0] if was_optional else operand
        result = self.field(expr, target)
        if expr.test_only:
            return t.BOOL
        result = t.optional_of(result) if was_optional or expr.optional else result
        return self.known.substitute(result)

    def field(self, expr: Select, target: t.Type) -> t.Type:
        match target.kind:
            case "map":
                return target.params[1]
            case "object":
                fields = self.objects.get(target.name, {})
                # Reserved words may be written as they are since Kubernetes 1.33.
                found = fields.get(expr.field) or fields.get(f"__{expr.field}__" if expr.field in RESERVED else "")
                if found is not None:
                    return found.type
                return self.error(expr.at, f"undefined field '{expr.field}'")
            case "param":
                self.known.assignable([t.DYN], [target])
            case "dyn" | "error":
                pass
            case _:
                self.error(expr.at, f"type '{target}' does not support field selection")
        return t.DYN

    def call(self, expr: Call) -> t.Type:
        args = [self.check(arg) for arg in expr.args]
        if expr.target is not None:
            name = f"{qualified_name(expr.target)}.{expr.function}"
            if name in self.functions:
                return self.resolve(expr, name, args, member=False)
            if name in NOT_PROVIDED:
                return self.unknown_function(expr, name)
            args.insert(0, self.check(expr.target))
        if expr.function not in self.functions:
            return self.unknown_function(expr, expr.function)
        self.literal_argument(expr)
        return self.resolve(expr, expr.function, args, member=expr.target is not None)

    def unknown_function(self, expr: Call, name: str) -> t.Type:
        if name in NOT_PROVIDED:
            return self.error(expr.at, f"'{name}' belongs to a Kubernetes library that is not provided here")
        return self.error(expr.at, f"undeclared reference to '{name}' (in container '')")

    def literal_argument(self, expr: Call) -> None:
        """Check constants that can only be wrong: patterns, durations, timestamps."""
        if expr.function not in _LITERAL_CHECKS or not expr.args:
            return
        argument = expr.args[0 if expr.target is not None else -1]
        if not isinstance(argument, LiteralValue):
            return
        try:
            _LITERAL_CHECKS[expr.function](argument.value)
        except CelError:
            self.error(argument.at, f"invalid {expr.function} argument")

    def resolve(self, expr: Call, name: str, args: Sequence[t.Type], *, member: bool) -> t.Type:
        if name in {"_&&_", "_||_"}:
            return self.logical(expr, args)
        result: t.Type | None = None
        fitting: list[Overload] = []
        for overload in self.functions[name]:
            if overload.member != member:
                continue
            *wanted, returned = self.known.instantiate([*overload.args, overload.result])
            if not self.known.assignable(wanted, args):
                continue
            fitting.append(overload)
            returned = self.known.substitute(returned)
            result = returned if result in {None, returned} else t.DYN
        self.overloads[expr] = tuple(fitting)
        if result is None:
            shown = [str(self.known.substitute(arg, free_to_dyn=True)) for arg in args]
            receiver = f"{shown.pop(0)}." if member else ""
            signature = f"{receiver}({', '.join(shown)})"
            return self.error(expr.at, f"found no matching overload for '{name}' applied to '{signature}'")
        return result

    def logical(self, expr: Call, args: Sequence[t.Type]) -> t.Type:
        self.overloads[expr] = self.functions[expr.function]
        for arg, found in zip(expr.args, args, strict=True):
            self.expect(arg, found, t.BOOL)
        return t.BOOL

    def expect(self, expr: Expr, found: t.Type, wanted: t.Type) -> None:
        if not self.known.assignable([wanted], [found]):
            shown = self.known.substitute(found)
            self.error(expr.at, f"expected type '{wanted}' but found '{shown}'")

    def joined(self, items: Sequence[Expr]) -> t.Type:
        """The one type of a literal's items."""
        joined: t.Type | None = None
        for item in items:
            found = self.check(item)
            if joined is None:
                joined = found
            elif self.known.assignable([joined], [found]):
                joined = joined if t.less_specific(joined, found) else found
            else:
                joined = self.error(item.at, f"expected type '{joined}' but found '{found}'")
        return self.known.fresh() if joined is None else joined

    def macro(self, expr: Macro) -> t.Type:
        operand = self.known.substitute(self.check(expr.operand))
        self.scopes.append({expr.variable: self.iterated(expr, operand)})
        found = [self.check(arg) for arg in expr.args]
        self.scopes.pop()
        if expr.name != "map" or len(found) == 2:
            self.expect(expr.args[0], found[0], t.BOOL)
        match expr.name:
            case "map":
                return t.list_of(found[-1])
            case "filter":
                return t.list_of(self.iterated(expr, operand))
        return t.BOOL

    def iterated(self, expr: Macro, operand: t.Type) -> t.Type:
        """The type of a macro's variable: an item of a list, a key of a map."""
        match operand.kind:
            case "list" | "map":
                return operand.params[0]
            case "dyn" | "error" | "param":
                self.known.assignable([t.DYN], [operand])
                return t.DYN
        message = f"expression of type '{operand}' cannot be range of a comprehension (must be list, map, or dynamic)"
        return self.error(expr.operand.at, message)
