"""Values against a schema: types, bounds, patterns, formats, enumerations, junctors.

Checks, their order and their words are those of ``kube-openapi/pkg/validation/validate`` and of
``apiextensions-apiserver/pkg/apiserver/validation``, as Kubernetes 1.36 has them. Go walks properties in a
random order; here it is the schema's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from adapter_devcluster.apiextensions import formats
from adapter_devcluster.apiextensions.correlation import TYPE_META, Correlation
from adapter_devcluster.apiextensions.errors import (
    FieldError,
    Path,
    child,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)
from adapter_devcluster.apiextensions.go_text import INT64_MAX, INT64_MIN, Json, json_text, kind, number, quote
from adapter_devcluster.apiextensions.json_values import deep_equal
from adapter_devcluster.apiextensions.patterns import compile_pattern
from adapter_devcluster.apiextensions.tree import Node

_MAX_JSON_INTEGER = 2**53 - 1
_MAX_FLOAT32 = 3.4028234663852886e38


@dataclass(slots=True)
class Result:
    """Errors found, and how many checks were made: that decides which of several failed alternatives is shown."""

    error_set: dict[FieldError, None] = field(default_factory=dict)
    checks: int = 0

    @property
    def errors(self) -> list[FieldError]:
        """The errors in the order in which they were found, each once."""
        return list(self.error_set)

    def add(self, *errors: FieldError) -> None:
        """Add errors, equal ones once."""
        self.error_set.update(dict.fromkeys(errors))

    def merge(self, other: Result) -> None:
        """Take over what another result found."""
        if other.error_set:
            self.error_set.update(other.error_set)
        self.checks += other.checks


def validate(value: Json, node: Node, path: Path = None, correlation: Correlation | None = None) -> Result:
    """Validate a value. With a correlation, errors of unchanged parts are let through."""
    return _Validation(path).place(value, node, "", correlation)


class _Validation:
    """One run: ``path`` stands before the names that the checks work with."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def at(self, name: str) -> Path:
        bare = name.removeprefix(".")
        return child(self.path, bare) if bare else self.path

    def place(self, value: Json, node: Node, name: str, correlation: Correlation | None) -> Result:
        result = self.checked(value, node, name, correlation)
        if result.error_set and correlation is not None and correlation.unchanged:
            return Result()
        return result

    def checked(self, value: Json, node: Node, name: str, correlation: Correlation | None) -> Result:
        result = Result()
        wrong_type = self.wrong_type(value, node, name)
        types = _types(node)
        if types or _format(node):
            result.add(*wrong_type)
            result.checks += 1 + (not wrong_type)
        if value is None:
            result.add(*self.enumeration(value, node, name))
            return result
        if node.all_of or node.any_of or node.one_of or node.not_ is not None:
            result.merge(self.junctors(value, node, name))
        result.checks += 2
        match value:
            case str():
                result.add(*self.string(value, node, name))
                result.checks += 1
            case bool():
                pass
            case int() | float():
                result.add(*self.number(value, node, name))
                result.checks += 2
            case list():
                result.merge(self.items(value, node, name, correlation))
                result.checks += 2
        if node.enum:
            result.add(*self.enumeration(value, node, name))
        if isinstance(value, dict):
            result.merge(self.fields(value, node, name, correlation))
        result.checks += 2
        return result

    def wrong_type(self, value: Json, node: Node, name: str) -> list[FieldError]:
        types, found, format_name = _types(node), kind(value), _format(node)
        if value is None:
            if not types or node.nullable:
                return []
            return [self.type_error(name, ",".join(types), found)]
        fits = (
            found in types
            or (found == "integer" and "number" in types)
            or (isinstance(value, float) and "integer" in types and _is_whole(value))
        )
        if format_name and not isinstance(value, str | list):
            # The server names the formats here, and has none for most values.
            own = {"integer": "int64", "number": "float64"}.get(found, "")
            return [] if fits or own == format_name else [self.type_error(name, format_name, own)]
        if format_name and isinstance(value, str | list) and not {"number", "integer"} & set(types):
            return []
        return [] if fits else [self.type_error(name, ",".join(types), found)]

    def type_error(self, name: str, wanted: str, found: str) -> FieldError:
        return type_invalid(self.at(name), found, f"{name} in body must be of type {wanted}: {quote(found)}")

    def enumeration(self, value: Json, node: Node, name: str) -> Iterator[FieldError]:
        if node.enum and not any(_is_enumerated(value, allowed) for allowed in node.enum):
            shown = [allowed if isinstance(allowed, str) else json_text(allowed) for allowed in node.enum]
            yield not_supported(self.at(name), value, shown)

    def string(self, value: str, node: Node, name: str) -> Iterator[FieldError]:
        if node.max_length is not None and len(value) > node.max_length:
            yield too_long(self.at(name), node.max_length)
        elif node.min_length is not None and len(value) < node.min_length:
            detail = f"{name} in body should be at least {node.min_length} chars long"
            yield invalid(self.at(name), value, detail)
        elif node.pattern and not compile_pattern(node.pattern).search(value):
            yield invalid(self.at(name), value, f"{name} in body should match '{node.pattern}'")
        format_name = _format(node)
        if format_name and formats.known("string", format_name) and not formats.matches(format_name, value):
            detail = f"{name} in body must be of type {format_name}: {quote(value)}"
            yield type_invalid(self.at(name), value, detail)

    def number(self, value: float, node: Node, name: str) -> Iterator[FieldError]:
        yield from self.in_range(value, node, "Checked", name)
        whole = isinstance(value, int)
        if node.multiple_of is not None:
            yield from self.in_range(node.multiple_of, node, "MultipleOf", name)
            factor = int(node.multiple_of) if whole else node.multiple_of
            yield from self.multiple(value, factor, name)
        if node.minimum is not None:
            yield from self.in_range(node.minimum, node, "Minimum boundary", name)
            low = int(node.minimum) if whole else node.minimum
            if value < low or (node.exclusive_minimum and value == low):
                word = "greater than" if node.exclusive_minimum else "greater than or equal to"
                yield invalid(self.at(name), value, f"{name} in body should be {word} {number(low)}")
        if node.maximum is not None:
            yield from self.in_range(node.maximum, node, "Maximum boundary", name)
            high = int(node.maximum) if whole else node.maximum
            if value > high or (node.exclusive_maximum and value == high):
                word = "less than" if node.exclusive_maximum else "less than or equal to"
                yield invalid(self.at(name), value, f"{name} in body should be {word} {number(high)}")

    def multiple(self, value: float, factor: float, name: str) -> Iterator[FieldError]:
        if factor <= 0:
            detail = f"factor MultipleOf declared for {name} must be positive: {number(factor)}"
            yield invalid(self.at(name), factor, detail)
            return
        quotient = value % factor == 0 if isinstance(factor, int) else _is_whole(value / factor)
        if not quotient:
            detail = f"{name} in body should be a multiple of {number(factor)}"
            yield invalid(self.at(name), value, detail)

    def in_range(self, value: float, node: Node, what: str, name: str) -> Iterator[FieldError]:
        types, format_name = _types(node), _format(node)
        if len(types) != 1:
            return
        if types == ("integer",):
            low, high = (-(2**31), 2**31 - 1) if format_name == "int32" else (INT64_MIN, INT64_MAX)
            fits = math.isfinite(value) and value == int(value) and low <= value <= high
        else:
            fits = format_name != "float" or abs(value) <= _MAX_FLOAT32
        if not fits:
            kind_text = f"with format {format_name}" if format_name else "(default format)"
            detail = f"{what} value must be of type {types[0]} {kind_text} in {name}"
            yield invalid(self.path, "", detail)

    def items(self, value: list[Json], node: Node, name: str, correlation: Correlation | None) -> Result:
        result, size = Result(), len(value)
        if node.items is not None:
            for position, item in enumerate(value):
                below = correlation.item(position) if correlation else None
                result.merge(self.place(item, node.items, f"{name}[{position}]", below))
        if node.min_items is not None and size < node.min_items:
            detail = f"{name} in body should have at least {node.min_items} items"
            result.add(invalid(self.at(name), size, detail))
        if node.max_items is not None and size > node.max_items:
            result.add(too_many(self.at(name), size, node.max_items))
        return result

    def fields(self, value: dict[str, Json], node: Node, name: str, correlation: Correlation | None) -> Result:
        result, size = Result(), len(value)
        if node.min_properties is not None and size < node.min_properties:
            detail = f"{name} in body should have at least {node.min_properties} properties"
            result.add(invalid(self.at(name), size, detail))
        if node.max_properties is not None and size > node.max_properties:
            result.add(too_many(self.at(name), size, node.max_properties))
        for key, item in value.items():
            if key in node.properties:
                continue
            if node.additional is False:
                result.add(invalid(self.at(name), key, f"{name}.{key} in body is a forbidden property"))
            elif node.additional_node is not None:
                below = correlation.field(key) if correlation else None
                result.merge(self.place(item, node.additional_node, f"{name}.{key}", below))
        for key, sub in node.properties.items():
            if key in value:
                known = correlation is not None and (name or key not in TYPE_META)
                below = correlation.field(key) if correlation and known else None
                result.merge(self.place(value[key], sub, f"{name}.{key}" if name else key, below))
        result.add(*(required(self.at(f"{name}.{key}")) for key in node.required if key not in value))
        return result

    def junctors(self, value: Json, node: Node, name: str) -> Result:
        # As in the server, nothing is ratcheted below a junctor.
        result = Result()
        if node.any_of:
            self.any_of(value, node, name, result)
        if node.one_of:
            self.one_of(value, node, name, result)
        if node.all_of:
            found = [self.checked(value, nested, name, None) for nested in node.all_of]
            for one in found:
                result.merge(one)
            if any(one.error_set for one in found):
                none = ". None validated" if all(one.error_set for one in found) else ""
                detail = f"{quote(name)} must validate all the schemas (allOf){none}"
                result.add(invalid(self.path, "", detail))
        if node.not_ is not None and not self.checked(value, node.not_, name, None).error_set:
            result.add(invalid(self.path, "", f"{quote(name)} must not validate the schema (not)"))
        return result

    def any_of(self, value: Json, node: Node, name: str, result: Result) -> None:
        best: Result | None = None
        for nested in node.any_of:
            found = self.checked(value, nested, name, None)
            if not found.error_set:
                result.merge(found)
                return
            if best is None or found.checks > best.checks:
                best = found
        result.add(invalid(self.path, "", f"{quote(name)} must validate at least one schema (anyOf)"))
        result.merge(best or Result())

    def one_of(self, value: Json, node: Node, name: str, result: Result) -> None:
        found = [self.checked(value, nested, name, None) for nested in node.one_of]
        valid = [one for one in found if not one.error_set]
        if len(valid) == 1:
            result.merge(valid[0])
            return
        detail = f"{quote(name)} must validate one and only one schema (oneOf). "
        detail += f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
        result.add(invalid(self.path, "", detail))
        if not valid:
            result.merge(max(found, key=lambda one: one.checks))


def _types(node: Node) -> tuple[str, ...]:
    if node.int_or_string:
        return ("integer", "string")
    return (node.type,) if node.type else ()


def _format(node: Node) -> str:
    """The format, unless the server does not know it for this type and so ignores it."""
    type_name = "" if node.int_or_string else node.type
    return node.format if formats.known(type_name, node.format) else ""


def _is_whole(value: float) -> bool:
    return (
        math.isfinite(value)
        and abs(value) <= _MAX_JSON_INTEGER
        and math.isclose(value, round(value), rel_tol=1e-9, abs_tol=0.0)
    )


def _is_enumerated(value: Json, allowed: Json) -> bool:
    # Go converts the value to the type of the enumerated one before it compares.
    if type(value) in {int, float} and type(allowed) in {int, float}:
        return type(allowed)(value) == allowed  # type: ignore[call-arg]
    return value is not None and deep_equal(value, allowed)
