"""The syntax of CEL: a Pratt parser from text to a tree, and the tree's nodes.

The core language and the optional selectors (``a.?b``, ``a[?b]``) are read. Macros become nodes of their own
instead of comprehensions over an accumulator; `cel_cost` prices them as cel-go prices the comprehensions.
Nodes are compared by identity, so that types can be kept beside the tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from adapter_devcluster.apiextensions.cel_lexer import RESERVED, CelSyntaxError, Token, Uint, tokenize
from adapter_devcluster.apiextensions.go_text import INT64_MAX

# Beyond these the parser, and the recursive walks of the tree, would run into Python's own limit. cel-go
# stops at a nesting of 250.
MAX_NESTING: Final = 60
MAX_DEPTH: Final = 120


@dataclass(frozen=True, slots=True, eq=False)
class LiteralValue:
    """A constant."""

    at: int
    value: object


@dataclass(frozen=True, slots=True, eq=False)
class Ident:
    """A variable, or a type by its name."""

    at: int
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Select:
    """``operand.field``; with ``test_only`` it is ``has(operand.field)``, with ``optional`` ``operand.?field``."""

    at: int
    operand: Expr
    field: str
    test_only: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A function or an operator (``_+_``, ``_[_]``, ``_?_:_``, ``@in``); ``target`` stands before the dot."""

    at: int
    function: str
    target: Expr | None
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ListLiteral:
    """``[a, b]``."""

    at: int
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MapLiteral:
    """``{k: v}``."""

    at: int
    entries: tuple[tuple[Expr, Expr], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Macro:
    """``operand.all(variable, ...)`` and its like; ``args`` are what follows the variable."""

    at: int
    name: str
    operand: Expr
    variable: str
    args: tuple[Expr, ...]


Expr: TypeAlias = LiteralValue | Ident | Select | Call | ListLiteral | MapLiteral | Macro

MACROS: Final = {
    ("all", 2): "all",
    ("exists", 2): "exists",
    ("exists_one", 2): "exists_one",
    ("existsOne", 2): "exists_one",
    ("map", 2): "map",
    ("map", 3): "map",
    ("filter", 2): "filter",
}
_FUNCTIONS: Final = {
    "in": "@in",
    **{op: f"_{op}_" for op in ("||", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%")},
}
_BINDING: Final = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
}


def parse(source: str) -> Expr:
    """Parse an expression. Raises CelSyntaxError."""
    parser = _Parser(tokenize(source))
    expr = parser.expr()
    parser.expect("end", "<EOF>")
    if _depth(expr) > MAX_DEPTH:
        raise CelSyntaxError(f"expression recursion limit exceeded: {MAX_DEPTH}", 0)
    return expr


def children(expr: Expr) -> Iterator[Expr]:
    """Yield the direct parts of an expression, in the order written."""
    match expr:
        case Select():
            yield expr.operand
        case Call():
            if expr.target is not None:
                yield expr.target
            yield from expr.args
        case ListLiteral():
            yield from expr.items
        case MapLiteral():
            for key, value in expr.entries:
                yield key
                yield value
        case Macro():
            yield expr.operand
            yield from expr.args


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield an expression and everything below it."""
    pending = [expr]
    while pending:
        found = pending.pop()
        yield found
        pending.extend(reversed(list(children(found))))


def _depth(expr: Expr) -> int:
    """How deep a tree is; without recursion, since it may be too deep for that."""
    deepest, level = 0, [expr]
    while level:
        deepest += 1
        level = [part for found in level for part in children(found)]
    return deepest


def display_error(source: str, at: int, message: str) -> str:
    """Write an error as cel-go does: with its line, its column and a marker below."""
    before = source[:at]
    line = before.count("\n") + 1
    column = at - (before.rfind("\n") + 1)
    snippet = source.split("\n")[line - 1].replace("\t", " ") if source else ""
    # cel-go marks wide characters with wide dots.
    marker = "".join("." if char < "\x80" else "\uff0e" for char in snippet[:column])
    return f"ERROR: <input>:{line}:{column + 1}: {message}\n | {snippet}\n | {marker}^"


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.nesting = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def next(self) -> Token:
        token = self.token
        self.position += token.kind != "end"
        return token

    def accept(self, *operators: str) -> Token | None:
        token = self.token
        if token.kind == "op" and token.text in operators:
            return self.next()
        return None

    def expect(self, kind: str, text: str = "") -> Token:
        token = self.next()
        if token.kind != kind or (text and token.text != text):
            wanted = f"'{text}'" if text and kind != "end" else text or "IDENTIFIER"
            message = f"Syntax error: mismatched input '{token.text}' expecting {wanted}"
            raise CelSyntaxError(message, token.at)
        return token

    def expr(self) -> Expr:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise CelSyntaxError(f"expression recursion limit exceeded: {MAX_NESTING}", self.token.at)
        expr = self.binary(1)
        if question := self.accept("?"):
            # The grammar keeps a bare ternary from between `?` and `:`.
            accepted = self.binary(1)
            self.expect("op", ":")
            expr = Call(question.at, "_?_:_", None, (expr, accepted, self.expr()))
        self.nesting -= 1
        return expr

    def binary(self, binding: int) -> Expr:
        """Parse operators that bind at least this strongly; all of them associate to the left."""
        left = self.unary()
        while self.token.kind == "op" and _BINDING.get(self.token.text, 0) >= binding:
            operator = self.next()
            right = self.binary(_BINDING[operator.text] + 1)
            if operator.text in {"||", "&&"}:
                left = self.chain(operator, left, right)
            else:
                left = Call(operator.at, _FUNCTIONS[operator.text], None, (left, right))
        return left

    def chain(self, first: Token, left: Expr, right: Expr) -> Expr:
        """Gather ``a || b || c ...``, of which two operands are read."""
        operands, ats = [left, right], [first.at]
        while operator := self.accept(first.text):
            ats.append(operator.at)
            operands.append(self.binary(_BINDING[first.text] + 1))
        return _balanced(_FUNCTIONS[first.text], operands, ats)

    def unary(self) -> Expr:
        first = self.accept("!", "-")
        if first is None:
            return self.member()
        count = 1
        while self.accept(first.text):
            count += 1
        negative = first.text == "-" and isinstance(self.token.value, int | float)
        if negative and not isinstance(self.token.value, bool | Uint):
            token = self.tokens[self.position]
            self.tokens[self.position] = Token("literal", f"-{token.text}", first.at, _negated(token))
            count -= 1
        operand = self.member()
        # Pairs cancel each other out.
        return Call(first.at, f"{first.text}_", None, (operand,)) if count % 2 else operand

    def member(self) -> Expr:
        expr = self.primary()
        while token := self.accept(".", "[", "{"):
            match token.text:
                case ".":
                    expr = self.selected(expr, token)
                case "[":
                    function = "_[?_]" if self.accept("?") else "_[_]"
                    expr = Call(token.at, function, None, (expr, self.expr()))
                    self.expect("op", "]")
                case _:
                    raise CelSyntaxError("message literals are not supported here", token.at)
        return expr

    def selected(self, operand: Expr, dot: Token) -> Expr:
        optional = self.accept("?") is not None
        name = self.expect("ident")
        opening = None if optional else self.accept("(")
        if opening is None:
            return Select(dot.at, operand, name.text, optional=optional)
        args = self.arguments(")")
        macro = MACROS.get((name.text, len(args)))
        if macro is None:
            return Call(opening.at, name.text, operand, args)
        variable = args[0]
        if not isinstance(variable, Ident):
            raise CelSyntaxError("argument must be a simple name", variable.at)
        return Macro(opening.at, macro, operand, variable.name, args[1:])

    def arguments(self, closing: str) -> tuple[Expr, ...]:
        args: list[Expr] = []
        while not self.accept(closing):
            if args:
                self.expect("op", ",")
                if closing != ")" and self.accept(closing):
                    break
            args.append(self.expr())
        return tuple(args)

    def primary(self) -> Expr:
        token = self.next()
        match token.kind, token.text:
            case "literal", _:
                return _constant(token)
            case "op", "(":
                inner = self.expr()
                self.expect("op", ")")
                return inner
            case "op", "[":
                return ListLiteral(token.at, self.arguments("]"))
            case "op", "{":
                return self.map_literal(token)
            case "op", ".":
                return self.named(self.expect("ident"))
            case "ident", _:
                return self.named(token)
        message = f"Syntax error: mismatched input '{token.text}' expecting an expression"
        raise CelSyntaxError(message, token.at)

    def named(self, name: Token) -> Expr:
        if name.text in RESERVED:
            raise CelSyntaxError(f"reserved identifier: {name.text}", name.at)
        opening = self.accept("(")
        if opening is None:
            return Ident(name.at, name.text)
        args = self.arguments(")")
        if (name.text, len(args)) != ("has", 1):
            return Call(opening.at, name.text, None, args)
        tested = args[0]
        if not isinstance(tested, Select) or tested.test_only or tested.optional:
            raise CelSyntaxError("invalid argument to has() macro", tested.at)
        return Select(opening.at, tested.operand, tested.field, test_only=True)

    def map_literal(self, opening: Token) -> Expr:
        entries: list[tuple[Expr, Expr]] = []
        while not self.accept("}"):
            if entries:
                self.expect("op", ",")
                if self.accept("}"):
                    break
            key = self.expr()
            self.expect("op", ":")
            entries.append((key, self.expr()))
        return MapLiteral(opening.at, tuple(entries))


def _balanced(function: str, operands: list[Expr], ats: list[int]) -> Expr:
    """Join operands into a balanced tree, as cel-go does, so that long chains stay flat."""
    if len(operands) == 1:
        return operands[0]
    middle = (len(operands)) // 2
    left = _balanced(function, operands[:middle], ats[: middle - 1])
    right = _balanced(function, operands[middle:], ats[middle:])
    return Call(ats[middle - 1], function, None, (left, right))


def _negated(token: Token) -> int | float:
    value = token.value
    return -value if isinstance(value, int | float) else 0


def _constant(token: Token) -> LiteralValue:
    value = token.value
    if isinstance(value, int) and not isinstance(value, Uint) and value > INT64_MAX:
        raise CelSyntaxError("invalid int literal", token.at)
    return LiteralValue(token.at, value)
