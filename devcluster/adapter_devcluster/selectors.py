"""Label and field selectors, as strings of a query and as ``LabelSelector`` objects.

Grammar and meaning: ``k8s.io/apimachinery/pkg/labels/selector.go`` and ``.../fields`` (v0.36). A requirement
with ``!=`` or ``notin`` also matches objects that lack the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapter_devcluster.apiextensions import names


class SelectorError(ValueError):
    """A selector that can't be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition. ``operator`` is In, NotIn, Exists, DoesNotExist, Gt or Lt (whole numbers)."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return self.key not in labels or labels[self.key] not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
        found, (limit,) = labels.get(self.key, ""), self.values
        if not re.fullmatch(r"[-+]?\d+", found):
            return False
        return int(found) > int(limit) if self.operator == "Gt" else int(found) < int(limit)


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements have to be met. With none, everything matches; ``nothing`` matches no object."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels are selected."""
        return not self.nothing and all(one.matches(labels) for one in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements) or self.nothing


EVERYTHING: Final = Selector()
_TOKEN: Final = re.compile(r"\s*(!=|==|=|!|>|<|\(|\)|,|[^\s!=<>(),]+)\s*")


def parse_label_selector(text: str) -> Selector:
    """Read a ``labelSelector`` parameter. Raises SelectorError."""
    tokens = _tokens(text)
    requirements = []
    while tokens:
        requirements.append(_requirement(tokens))
        if tokens and tokens.pop(0) != ",":
            raise SelectorError(f"unable to parse requirement: found unexpected token in {text!r}, expected ','")
        if not tokens and text.rstrip().endswith(","):
            raise SelectorError("found '', expected: identifier after ','")
    return Selector(tuple(requirements))


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            if text[position:].strip():
                raise SelectorError(f"unable to parse requirement: unexpected {text[position:]!r}")
            break
        tokens.append(found.group(1))
        position = found.end()
    return tokens


def _requirement(tokens: list[str]) -> Requirement:
    first = tokens.pop(0)
    if first == "!":
        return Requirement(_key(tokens.pop(0) if tokens else ""), "DoesNotExist")
    key = _key(first)
    if not tokens or tokens[0] == ",":
        return Requirement(key, "Exists")
    operator = tokens.pop(0)
    if operator in ("=", "==", "!="):
        value = tokens.pop(0) if tokens and tokens[0] != "," else ""
        return Requirement(key, "NotIn" if operator == "!=" else "In", frozenset({_value(value)}))
    if operator in ("in", "notin"):
        return Requirement(key, "In" if operator == "in" else "NotIn", _values(tokens))
    if operator in (">", "<"):
        value = tokens.pop(0) if tokens else ""
        if not re.fullmatch(r"[-+]?\d+", value):
            raise SelectorError("unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer")
        return Requirement(key, "Gt" if operator == ">" else "Lt", frozenset({value}))
    raise SelectorError(f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _values(tokens: list[str]) -> frozenset[str]:
    if not tokens or tokens.pop(0) != "(":
        raise SelectorError("unable to parse requirement: found '', expected: '('")
    values: set[str] = set()
    expect_value = True
    while tokens:
        found = tokens.pop(0)
        if found == ")":
            return frozenset(values | ({""} if expect_value else set()))
        if found == ",":
            if expect_value:
                values.add("")
            expect_value = True
        elif not expect_value:
            break
        else:
            values.add(_value(found))
            expect_value = False
    raise SelectorError("unable to parse requirement: found '', expected: ',', or ')'")


def _key(text: str) -> str:
    if problems := names.check_label_key(text):
        raise SelectorError(f'unable to parse requirement: key: Invalid value: "{text}": {"; ".join(problems)}')
    return text


def _value(text: str) -> str:
    if problems := names.check_label_value(text):
        raise SelectorError(f'unable to parse requirement: values: Invalid value: "{text}": {"; ".join(problems)}')
    return text


def label_selector(raw: Mapping[str, Any] | None) -> Selector:
    """Read a ``LabelSelector`` object; None selects nothing, an empty one everything."""
    if raw is None:
        return Selector(nothing=True)
    requirements = [
        Requirement(key, "In", frozenset({str(value)})) for key, value in (raw.get("matchLabels") or {}).items()
    ]
    requirements += [
        Requirement(one["key"], one["operator"], frozenset(one.get("values") or ()))
        for one in raw.get("matchExpressions") or []
    ]
    return Selector(tuple(requirements))


def equality_selector(pairs: Mapping[str, str]) -> Selector:
    """Select objects that carry all of these labels (``Service.spec.selector``)."""
    return Selector(tuple(Requirement(key, "In", frozenset({value})) for key, value in pairs.items()))


def selector_text(raw: Mapping[str, Any]) -> str:
    """Write a ``LabelSelector`` object as the string that ``scale.status.selector`` holds: sorted by key."""
    parts = [(key, f"{key}={value}") for key, value in (raw.get("matchLabels") or {}).items()]
    for one in raw.get("matchExpressions") or []:
        key, values = one["key"], ",".join(sorted(one.get("values") or ()))
        match one["operator"]:
            case "In":
                parts.append((key, f"{key} in ({values})"))
            case "NotIn":
                parts.append((key, f"{key} notin ({values})"))
            case "Exists":
                parts.append((key, key))
            case _:
                parts.append((key, f"!{key}"))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on a field: equal to a value, or not."""

    path: str
    value: str
    equal: bool = True

    def matches(self, obj: Mapping[str, Any]) -> bool:
        """Whether an object meets it. A field that is absent counts as empty."""
        found: Any = obj
        for name in self.path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        text = "" if found is None else ("true" if found else "false") if isinstance(found, bool) else str(found)
        return (text == self.value) is self.equal


def parse_field_selector(text: str, supported: Sequence[str] | None = None) -> tuple[FieldRequirement, ...]:
    """Read a ``fieldSelector`` parameter. Raises SelectorError, also for a field that is not ``supported``.

    With None, every field is.
    """
    found = []
    for part in _split_fields(text):
        match = re.fullmatch(r"([^=!]*)(!=|==|=)(.*)", part)
        if not match:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = match.groups()
        if supported is not None and path not in supported:
            raise SelectorError(f"field label not supported: {path}")
        found.append(FieldRequirement(path, re.sub(r"\\(.)", r"\1", value), operator != "!="))
    return tuple(found)


def _split_fields(text: str) -> list[str]:
    return [part for part in re.split(r"(?<!\\),", text) if part]
