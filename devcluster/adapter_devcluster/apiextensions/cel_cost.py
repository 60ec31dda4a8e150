"""What a rule can cost at worst, in the API server's units, before it is accepted.

An API server estimates every rule when a CRD is written and refuses rules over 10,000,000 units and CRDs
over 100,000,000. The estimate is cel-go's (v0.26 ``checker/cost.go``, ``common/cost.go``) with Kubernetes'
sizes and additions (``k8s.io/apiserver/pkg/cel/library/cost.go``, ``apiextensions-apiserver/pkg/apiserver/
schema/cel/compilation.go``, v0.36), including its oddities, so that what passes here passes there. Only the
upper end of the server's cost range matters; sizes need both ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions.cel_check import Checked, qualified_name
from adapter_devcluster.apiextensions.cel_decls import MAX_REQUEST_BYTES, Decl
from adapter_devcluster.apiextensions.cel_functions import CORE, FUNCTIONS, Overload
from adapter_devcluster.apiextensions.cel_prices import (
    ONE,
    UNKNOWN,
    Operand,
    Size,
    add,
    literal_size,
    price,
    saturated,
    times,
)
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

RULE_LIMIT: Final = 10_000_000
CRD_LIMIT: Final = 100_000_000
# What one evaluation of a rule may cost while it runs; the estimate of one evaluation stays above it.
CALL_LIMIT: Final = 1_000_000

_CREATE_LIST, _CREATE_MAP = 10, 30


@dataclass(frozen=True, slots=True)
class _Entries:
    """The sizes of a container's keys (or positions) and values."""

    kind: str
    key: Size
    value: Size


@dataclass(frozen=True, slots=True)
class _Local:
    """What is known of a macro's variable."""

    path: tuple[str, ...]
    size: Size | None


def estimate(checked: Checked, root: Decl) -> int:
    """Estimate the highest cost of one evaluation. ``root`` declares ``self`` (and ``oldSelf``)."""
    return _Estimator(checked, root).cost(checked.expr)


def max_cardinality(root: Decl) -> int:
    """Return how often a value can stand in one request, where no list or map around it is bounded."""
    return MAX_REQUEST_BYTES // (root.min_size + 1)


def multiplied(cost: int, cardinality: int) -> int:
    """Return the cost of a rule that is evaluated for each of so many values."""
    return times(cost, cardinality)


def excess(what: str, cost: int, limit: int) -> str:
    """Say by how much a limit is exceeded, in the server's words."""
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:.6f}x" if factor < 1.5 else f"{factor:.1f}x"
    return (
        f"{what} exceeds budget by factor of {shown} (try simplifying the rule, or adding maxItems, "
        "maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )


def used_functions(expr: Expr) -> frozenset[str]:
    """Return the names of the functions, operators and macros that an expression uses.

    Optional selections count as ``_?._``, ``has()`` as ``has``.
    """
    return frozenset(_uses(expr))


def _uses(expr: Expr) -> Iterable[str]:
    for part in walk(expr):
        match part:
            case Macro():
                yield part.name
            case Select(test_only=True):
                yield "has"
            case Select(optional=True):
                yield "_?._"
            case Call():
                prefixed = f"{qualified_name(part.target)}.{part.function}" if part.target else ""
                yield prefixed if prefixed in FUNCTIONS else part.function


def outside_core(expr: Expr) -> frozenset[str]:
    """Return what an expression uses beyond the core language: nothing, if it is portable."""
    return used_functions(expr) - CORE


class _Estimator:
    def __init__(self, checked: Checked, root: Decl) -> None:
        self.checked = checked
        self.root = root
        self.paths: dict[Expr, tuple[str, ...]] = {}
        self.sizes: dict[Expr, Size] = {}
        self.entries: dict[Expr, _Entries] = {}
        self.locals: list[tuple[str, _Local]] = []

    # --- costs -----------------------------------------------------------------------------------

    def cost(self, expr: Expr) -> int:
        match expr:
            case LiteralValue():
                return 0
            case Ident():
                local = self.local(expr.name)
                self.paths[expr] = (expr.name,) if local is None else local.path
                return 1
            case Select():
                return self.select(expr)
            case Call():
                return self.call(expr)
            case Macro():
                return self.macro(expr)
        return self.collection(expr)

    def select(self, expr: Select) -> int:
        if expr.optional:
            # cel-go reads this as a call with the field's name as a constant argument.
            cost = add(self.cost(expr.operand), 1)
            size = self.size(expr)
            if size is not None:
                self.sizes[expr] = size
            return cost
        if expr.operand not in self.checked.types:
            return 1
        cost = self.cost(expr.operand)
        if expr.test_only:
            # Kubernetes keeps presence tests free, as they were at first.
            return cost
        if self.checked.types[expr.operand].kind in {"map", "object", "param"}:
            cost = add(cost, 1)
        self.paths[expr] = (*self.path(expr.operand), expr.field)
        return cost

    def collection(self, expr: ListLiteral | MapLiteral) -> int:
        if isinstance(expr, ListLiteral):
            cost = sum(self.cost(item) for item in expr.items)
            self.entries[expr] = _Entries("list", ONE, self.union(expr.items))
            return add(cost, _CREATE_LIST)
        keys, values = [key for key, _ in expr.entries], [value for _, value in expr.entries]
        cost = sum(self.cost(key) + self.cost(value) for key, value in expr.entries)
        self.entries[expr] = _Entries("map", self.union(keys), self.union(values))
        return add(cost, _CREATE_MAP)

    def union(self, items: Sequence[Expr]) -> Size:
        if not items:
            return Size(0, 0)
        sizes = [self.known_size(item) for item in items]
        return Size(min(size.low for size in sizes), max(size.high for size in sizes))

    def macro(self, expr: Macro) -> int:
        """Price a macro as the comprehension that cel-go makes of it."""
        range_cost = self.cost(expr.operand)
        self.locals.append((expr.variable, self.iterated(expr.operand)))
        costs = [self.cost(arg) for arg in expr.args]
        count = self.known_size(expr.operand)
        match expr.name:
            case "all":
                # @not_strictly_false(accu), accu && predicate; the result is accu.
                step, fixed = add(3, costs[0]), 1
            case "exists":
                # @not_strictly_false(!accu), accu || predicate.
                step, fixed = add(4, costs[0]), 1
            case "exists_one":
                # predicate ? accu + 1 : accu; the result is accu == 1.
                step, fixed = add(2, costs[0]), 2
            case _:
                step, fixed = self.appended(expr, costs), _CREATE_LIST + 1
                self.sizes[expr] = count
        if expr.name not in {"map", "filter"}:
            self.sizes[expr] = ONE
        self.locals.pop()
        return add(range_cost, add(fixed, times(count.high, step)))

    def appended(self, expr: Macro, costs: Sequence[int]) -> int:
        """``accu + [transform]``, perhaps under a condition."""
        filters = expr.name == "filter"
        item = Ident(expr.at, expr.variable) if filters else expr.args[-1]
        transform_cost = self.cost(item) if filters else costs[-1]
        condition = costs[0] if filters or len(costs) == 2 else 0
        item_size = self._local_size(expr) if filters else self.known_size(item)
        self.entries[expr] = _Entries("list", ONE, Size(0, item_size.high))
        return add(condition, add(2 + _CREATE_LIST, transform_cost))

    def _local_size(self, expr: Macro) -> Size:
        local = self.local(expr.variable)
        if local is None:
            return UNKNOWN
        by_path = self.declared(local.path)
        kind = self.checked.types[expr].params[0]
        return by_path or (ONE if kind in t.SCALARS else local.size or UNKNOWN)

    def iterated(self, operand: Expr) -> _Local:
        entries = self.entry_sizes(operand)
        kind = entries.kind if entries else self.checked.types[operand].kind
        if kind == "list":
            return _Local((*self.path(operand), "@items"), entries.value if entries else None)
        return _Local((*self.path(operand), "@keys"), entries.key if entries else None)

    def call(self, expr: Call) -> int:
        if expr.function == "dyn":
            cost = add(self.cost(expr.args[0]), 1)
            self.copy(expr, expr.args[0])
            return cost
        costs = [self.cost(arg) for arg in expr.args]
        target = expr.target if expr.target in self.checked.types else None
        target_cost = self.cost(target) if target is not None else 0
        best = 0
        result: Size | None = None
        for overload in self.checked.overloads[expr]:
            cost, found = self.overload(expr, overload, target, costs)
            best = max(best, cost)
            if found is not None:
                result = found if result is None else result | found
            if expr.function == "_[_]" and overload.args[0].kind in {"list", "map"}:
                entries = self.entry_sizes(expr.args[0])
                result = entries.value if entries else None
                step = "@items" if overload.args[0].kind == "list" else "@values"
                self.paths[expr] = (*self.path(expr.args[0]), step)
            if result is None:
                result = self.size(expr)
        if result is not None:
            self.sizes[expr] = result
        return add(target_cost, best)

    def overload(
        self, expr: Call, overload: Overload, target: Expr | None, costs: Sequence[int]
    ) -> tuple[int, Size | None]:
        """The cost of one meaning of a call, its arguments included, and its result's size if it has one."""
        name = expr.function
        if name in {"_&&_", "_||_"}:
            return add(costs[0], costs[1]), None
        if name == "_?_:_":
            self.join_entries(expr, expr.args[1], expr.args[2])
            size = self.known_size(expr.args[1]) | self.known_size(expr.args[2])
            return add(costs[0], max(costs[1], costs[2])), size
        if name == "_+_":
            self.join_entries(expr, expr.args[0], expr.args[1])
        operands = [self.operand(arg) for arg in (target, *expr.args) if arg is not None]
        limit = expr.args[-1].value if expr.args and isinstance(expr.args[-1], LiteralValue) else None
        own, result = price(name, overload, operands, limit)
        return saturated(own + sum(costs)), result

    # --- sizes -----------------------------------------------------------------------------------

    def local(self, name: str) -> _Local | None:
        return next((local for known, local in reversed(self.locals) if known == name), None)

    def path(self, expr: Expr) -> tuple[str, ...]:
        if isinstance(expr, Ident) and (local := self.local(expr.name)):
            return local.path
        return self.paths.get(expr, ())

    def declared(self, path: tuple[str, ...]) -> Size | None:
        """The size that the schema says a place has; the first step is the variable."""
        if not path:
            return None
        found = self.root
        for step in path[1:]:
            named = {"@items": found.element, "@values": found.element, "@keys": found.key}
            below = named[step] if step in named else found.fields.get(step)
            if below is None:
                return None
            found = below
        return Size(0, found.max_elements)

    def size(self, expr: Expr) -> Size | None:
        if expr in self.sizes:
            return self.sizes[expr]
        literal = _written_size(expr)
        if literal is not None:
            return literal
        found = self.declared(self.path(expr))
        if found is not None:
            self.sizes[expr] = found
            return found
        kind = self.checked.types.get(expr)
        if kind is not None and (kind in t.SCALARS or (kind.kind == "optional" and kind.params[0] in t.SCALARS)):
            return ONE
        local = self.local(expr.name) if isinstance(expr, Ident) else None
        return local.size if local else None

    def known_size(self, expr: Expr) -> Size:
        return self.size(expr) or UNKNOWN

    def entry_sizes(self, expr: Expr) -> _Entries | None:
        return self.entries.get(expr)

    def join_entries(self, expr: Expr, a: Expr, b: Expr) -> None:
        left, right = self.entry_sizes(a), self.entry_sizes(b)
        if left is not None and right is not None:
            self.entries[expr] = _Entries(left.kind, left.key | right.key, left.value | right.value)

    def copy(self, to: Expr, source: Expr) -> None:
        size, entries = self.size(source), self.entry_sizes(source)
        if size is not None:
            self.sizes[to] = size
        if entries is not None:
            self.entries[to] = entries

    def operand(self, expr: Expr) -> Operand:
        path, found = self.path(expr), self.checked.types[expr]
        items = self.declared((*path, "@items")) if path else None
        item_kind = found.params[0].kind if found.params else ""
        return Operand(found.kind, self.known_size(expr), item_kind, items or UNKNOWN)


def _written_size(expr: Expr) -> Size | None:
    """The size of what is written out."""
    match expr:
        case LiteralValue():
            return literal_size(expr.value)
        case ListLiteral():
            return Size(len(expr.items), len(expr.items))
        case MapLiteral():
            return Size(len(expr.entries), len(expr.entries))
    return None
