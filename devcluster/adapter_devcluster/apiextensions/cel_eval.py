"""Running a checked expression: its tree is turned into nested closures once, and called often.

A frame is a list: variables first, then one place for each macro's variable. Nothing is shared between two
runs, so a program may run in several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions.cel_check import Checked, qualified_name
from adapter_devcluster.apiextensions.cel_functions import FUNCTIONS
from adapter_devcluster.apiextensions.cel_lexer import Uint
from adapter_devcluster.apiextensions.cel_library import IMPLEMENTATIONS, total
from adapter_devcluster.apiextensions.cel_syntax import (
    Call,
    Expr,
    Ident,
    ListLiteral,
    LiteralValue,
    Macro,
    MapLiteral,
    Select,
    walk,
)
from adapter_devcluster.apiextensions.cel_values import (
    NONE,
    CelError,
    Duration,
    JsonMap,
    ListValue,
    MapValue,
    NoSuchOverloadError,
    OptionalValue,
    Value,
    map_key,
)

_ZEROS: Mapping[t.Type, Value] = {t.INT: 0, t.UINT: Uint(0), t.DOUBLE: 0.0, t.DURATION: Duration(0)}
_Frame: TypeAlias = list[Value]
_Step: TypeAlias = Callable[[_Frame], Value]


class Program:
    """An expression that is ready to run."""

    def __init__(
        self,
        checked: Checked,
        variables: tuple[str, ...],
        implementations: Mapping[str, Callable[..., Any]] = IMPLEMENTATIONS,
    ) -> None:
        self._variables = variables
        planner = _Planner(checked, variables, implementations)
        self._step = planner.plan(checked.expr)
        self._size = planner.size

    def run(self, values: Mapping[str, Value]) -> Value:
        """Run with these variables. Raises CelError where a value is absent or of a wrong kind."""
        frame: _Frame = [values.get(name) for name in self._variables]
        frame.extend([None] * (self._size - len(frame)))
        try:
            return self._step(frame)
        except RecursionError as error:
            raise CelError("values are nested too deeply") from error


def _bool(value: Value) -> bool:
    if not isinstance(value, bool):
        raise NoSuchOverloadError
    return value


class _Planner:
    def __init__(
        self, checked: Checked, variables: tuple[str, ...], implementations: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.checked = checked
        self.implementations = implementations
        self.places = {name: place for place, name in enumerate(variables)}
        self.size = len(variables) + sum(isinstance(expr, Macro) for expr in walk(checked.expr))
        self.next = len(variables)

    def plan(self, expr: Expr) -> _Step:
        match expr:
            case LiteralValue():
                value = expr.value
                return lambda _: value
            case Ident():
                return self.identifier(expr)
            case Select():
                return self.select(expr)
            case Call():
                return self.call(expr)
            case Macro():
                return self.macro(expr)
        return self.collection(expr)

    def identifier(self, expr: Ident) -> _Step:
        return self.named(expr, expr.name)

    def named(self, expr: Expr, name: str) -> _Step:
        """A variable, or else a type."""
        place = self.places.get(name)
        if place is None:
            named = self.named_type(expr)
            return lambda _: named
        known = place
        return lambda frame: frame[known]

    def named_type(self, expr: Expr) -> t.Type:
        """The value of a type's name, in the form that ``type()`` gives: without parameters."""
        found = self.checked.types[expr].params[0]
        return t.Type(found.kind)

    def select(self, expr: Select) -> _Step:
        name = qualified_name(expr)
        if expr.operand not in self.checked.types and name is not None:
            return self.named(expr, name)
        operand, field = self.plan(expr.operand), expr.field
        if expr.test_only:
            return lambda frame: _has(operand(frame), field)
        if expr.optional:
            return lambda frame: _field_or_none(operand(frame), field)
        return lambda frame: _field(operand(frame), field)

    def call(self, expr: Call) -> _Step:
        args = [self.plan(arg) for arg in expr.args]
        match expr.function:
            case "_&&_":
                return _logical(args[0], args[1], deciding=False)
            case "_||_":
                return _logical(args[0], args[1], deciding=True)
            case "_?_:_":
                condition, accepted, rejected = args
                return lambda frame: accepted(frame) if _bool(condition(frame)) else rejected(frame)
            case "sum":
                return self.total(expr)
            case "orValue" | "or" if expr.target is not None:
                return self.alternative(expr.function, self.plan(expr.target), args[0])
        name = expr.function
        if expr.target is not None:
            prefixed = f"{qualified_name(expr.target)}.{name}"
            if prefixed in FUNCTIONS:
                name = prefixed
            else:
                args.insert(0, self.plan(expr.target))
        return _called(self.implementations[name], args)

    def total(self, expr: Call) -> _Step:
        """``sum()`` of nothing is the zero of the items' type."""
        items = self.plan(expr.target or expr)
        zero = _ZEROS.get(self.checked.types[expr], 0)

        def step(frame: _Frame) -> Value:
            found = total(items(frame))
            return zero if found is None else found

        return step

    def alternative(self, function: str, target: _Step, other: _Step) -> _Step:
        """``orValue`` and ``or`` look at their argument only where it is needed."""

        def step(frame: _Frame) -> Value:
            found = target(frame)
            if not isinstance(found, OptionalValue):
                raise NoSuchOverloadError
            if not found.present:
                return other(frame)
            return found if function == "or" else found.value

        return step

    def collection(self, expr: ListLiteral | MapLiteral) -> _Step:
        if isinstance(expr, ListLiteral):
            items = [self.plan(item) for item in expr.items]
            return lambda frame: ListValue([item(frame) for item in items])
        entries = [(self.plan(key), self.plan(value)) for key, value in expr.entries]

        def step(frame: _Frame) -> Value:
            made = {}
            for key, value in entries:
                found = key(frame)
                made[map_key(found)] = (found, value(frame))
            return MapValue(made)

        return step

    def macro(self, expr: Macro) -> _Step:
        operand = self.plan(expr.operand)
        place, shadowed = self.next, self.places.get(expr.variable)
        self.next += 1
        self.places[expr.variable] = place
        body = [self.plan(arg) for arg in expr.args]
        if shadowed is None:
            del self.places[expr.variable]
        else:
            self.places[expr.variable] = shadowed
        match expr.name:
            case "all":
                return _quantified(operand, place, body[0], deciding=False)
            case "exists":
                return _quantified(operand, place, body[0], deciding=True)
            case "exists_one":
                return _counted(operand, place, body[0])
            case "filter":
                return _mapped(operand, place, body[0], lambda frame: frame[place])
        return _mapped(operand, place, body[0] if len(body) == 2 else None, body[-1])


def _called(function: Callable[..., Value], args: list[_Step]) -> _Step:
    if len(args) == 1:
        (only,) = args
        return lambda frame: function(only(frame))
    if len(args) == 2:
        first, second = args
        return lambda frame: function(first(frame), second(frame))
    return lambda frame: function(*[arg(frame) for arg in args])


def _logical(left: _Step, right: _Step, *, deciding: bool) -> _Step:
    """``&&`` and ``||``: one side may decide even though the other one fails."""

    def step(frame: _Frame) -> bool:
        try:
            if _bool(left(frame)) is deciding:
                return deciding
        except CelError as failure:
            if not _decides(right, frame, deciding=deciding):
                raise failure from None
            return deciding
        return _bool(right(frame))

    return step


def _decides(operand: _Step, frame: _Frame, *, deciding: bool) -> bool:
    try:
        return operand(frame) is deciding
    except CelError:
        return False


def _items(value: Value) -> list[Value]:
    if not isinstance(value, ListValue | MapValue | JsonMap):
        raise NoSuchOverloadError
    return list(value)


def _quantified(operand: _Step, place: int, predicate: _Step, *, deciding: bool) -> _Step:
    """``all`` and ``exists``: an item may decide even though others fail."""

    def step(frame: _Frame) -> bool:
        failure: CelError | None = None
        for item in _items(operand(frame)):
            frame[place] = item
            try:
                if _bool(predicate(frame)) is deciding:
                    return deciding
            except CelError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return not deciding

    return step


def _counted(operand: _Step, place: int, predicate: _Step) -> _Step:
    def step(frame: _Frame) -> bool:
        count = 0
        for item in _items(operand(frame)):
            frame[place] = item
            count += _bool(predicate(frame))
        return count == 1

    return step


def _mapped(operand: _Step, place: int, predicate: _Step | None, transform: _Step) -> _Step:
    def step(frame: _Frame) -> Value:
        found = []
        for item in _items(operand(frame)):
            frame[place] = item
            if predicate is None or _bool(predicate(frame)):
                found.append(transform(frame))
        return ListValue(found)

    return step


def _find(value: Value, field: str) -> tuple[bool, Value]:
    """Look a field up. As in cel-go, what has no fields (a number, null) is without this one too."""
    if isinstance(value, ListValue):
        raise CelError("unsupported index type 'string' in list")
    return value.find(field) if isinstance(value, JsonMap | MapValue) else (False, None)


def _field(value: Value, field: str) -> Value:
    if isinstance(value, OptionalValue):
        return _field_or_none(value, field)
    found, inner = _find(value, field)
    if not found:
        raise CelError(f"no such key: {field}")
    return inner


def _field_or_none(value: Value, field: str) -> Value:
    if isinstance(value, OptionalValue):
        return _field_or_none(value.value, field) if value.present else NONE
    found, inner = _find(value, field)
    return OptionalValue(present=True, value=inner) if found else NONE


def _has(value: Value, field: str) -> bool:
    if isinstance(value, OptionalValue):
        return value.present and _has(value.value, field)
    return _find(value, field)[0]
