"""CEL's types and when one is assignable to another (unification with type parameters, as cel-go does it)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Type:
    """A type: its kind (``int``, ``list``, ``object``, ...), its parameters, and a name that tells objects apart."""

    kind: str
    params: tuple[Type, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        if self.kind in {"object", "param"}:
            return self.name
        shown = {"null_type": "null", "error": "!error!", "optional": "optional_type"}.get(self.kind, self.kind)
        return f"{shown}({', '.join(map(str, self.params))})" if self.params else shown


DYN: Final = Type("dyn")
ERROR: Final = Type("error")
BOOL: Final = Type("bool")
INT: Final = Type("int")
UINT: Final = Type("uint")
DOUBLE: Final = Type("double")
STRING: Final = Type("string")
BYTES: Final = Type("bytes")
DURATION: Final = Type("duration")
TIMESTAMP: Final = Type("timestamp")
NULL: Final = Type("null_type")
# Types whose size is known when an expression is compiled.
SCALARS: Final = frozenset({BOOL, INT, UINT, DOUBLE, DURATION, TIMESTAMP})
# A null may stand for these, as it did in the first type checker.
_NULLABLE: Final = frozenset({"object", "optional", "duration", "timestamp"})


def list_of(item: Type) -> Type:
    """Return the type of a list."""
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """Return the type of a map."""
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    """Return the type of an optional value."""
    return Type("optional", (value,))


def type_of(value: Type) -> Type:
    """Return the type of a type."""
    return Type("type", (value,))


def is_dyn(found: Type) -> bool:
    """Tell a type that agrees with every other: dynamic, or already known to be wrong."""
    return found.kind in {"dyn", "error"}


class Substitution:
    """What is known of type parameters so far."""

    def __init__(self, known: Mapping[Type, Type] | None = None) -> None:
        self._known = dict(known or {})
        self._fresh = 0

    def fresh(self) -> Type:
        """Return a type parameter that nothing is known of."""
        self._fresh += 1
        return Type("param", name=f"_var{self._fresh}")

    def instantiate(self, types: Iterable[Type]) -> list[Type]:
        """Give the type parameters of a signature fresh names."""
        renamed: dict[Type, Type] = {}

        def rename(found: Type) -> Type:
            if found.kind == "param":
                return renamed.setdefault(found, self.fresh())
            return Type(found.kind, tuple(map(rename, found.params)), found.name)

        return [rename(found) for found in types]

    def assignable(self, wanted: Sequence[Type], given: Sequence[Type]) -> bool:
        """Unify two lists of types; what was learnt is kept only if all of it fits."""
        before = dict(self._known)
        if len(wanted) == len(given) and all(map(self._unify, wanted, given)):
            return True
        self._known = before
        return False

    def substitute(self, found: Type, *, free_to_dyn: bool = False) -> Type:
        """Replace type parameters by what is known of them."""
        if found in self._known:
            return self.substitute(self._known[found], free_to_dyn=free_to_dyn)
        if found.kind == "param":
            return DYN if free_to_dyn else found
        params = tuple(self.substitute(param, free_to_dyn=free_to_dyn) for param in found.params)
        return Type(found.kind, params, found.name) if params else found

    def _unify(self, a: Type, b: Type) -> bool:
        if b.kind == "param":
            fits, known = self._bind(a, b)
            if fits or known:
                return fits
        if a.kind == "param":
            return self._bind(b, a)[0]
        return is_dyn(a) or is_dyn(b) or self._unify_known(a, b)

    def _unify_known(self, a: Type, b: Type) -> bool:
        if "null_type" in {a.kind, b.kind}:
            return a.kind == b.kind or (b if a.kind == "null_type" else a).kind in _NULLABLE
        if a.kind != b.kind or a.kind == "type":
            return a.kind == b.kind
        return a.name == b.name and len(a.params) == len(b.params) and all(map(self._unify, a.params, b.params))

    def _bind(self, found: Type, param: Type) -> tuple[bool, bool]:
        """Try a type for a parameter: does it fit, and was something known of the parameter already."""
        if found == param:
            return True, True
        known = self._known.get(param)
        if known is None:
            if self._occurs(param, found):
                return False, False
            self._known[param] = found
            return True, False
        if found == known:
            return True, True
        if not self._unify(found, known):
            return False, True
        general = found if less_specific(found, known) else known
        if not self._occurs(param, general):
            self._known[param] = general
        return True, True

    def _occurs(self, param: Type, within: Type) -> bool:
        if param == within:
            return True
        if within.kind == "param":
            return within in self._known and self._occurs(param, self._known[within])
        return any(self._occurs(param, part) for part in within.params)


def less_specific(a: Type, b: Type) -> bool:
    """Tell whether ``a`` is ``b``, or ``b`` with parts of it dynamic."""
    if a.kind in {"dyn", "param"}:
        return True
    if b.kind in {"dyn", "param"} or a.kind != b.kind or len(a.params) != len(b.params):
        return False
    return a.kind == "type" or (a.name == b.name and all(map(less_specific, a.params, b.params)))
