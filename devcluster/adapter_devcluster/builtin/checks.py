"""Checks that many kinds share: numbers, enumerations, names, labels, selectors, fields that may not change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import child, forbidden, index, invalid, not_supported, required
from adapter_devcluster.objects import Object
from adapter_devcluster.selectors import label_selector

NON_NEGATIVE: Final = "must be greater than or equal to 0"
IMMUTABLE: Final = "field is immutable"
_PERCENT: Final = re.compile(r"[0-9]+%")
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_PORT_NAME: Final = re.compile(r"[-a-z0-9]+")
_ENV_NAME: Final = re.compile(r"[ -<>-~]+")


def non_negative(obj: Mapping[str, Any], path: str, *fields: str) -> Iterator[FieldError]:
    """Check that number fields, where they are there, aren't negative."""
    for name in fields:
        value = obj.get(name)
        if isinstance(value, int) and value < 0:
            yield invalid(child(path, name), value, NON_NEGATIVE)


def one_of(obj: Mapping[str, Any], path: str, name: str, supported: Sequence[str]) -> Iterator[FieldError]:
    """Check that a field has one of some values; it has to have one."""
    value = obj.get(name) or ""
    if not value:
        yield required(child(path, name), f"supported values: {', '.join(supported)}")
    elif value not in supported:
        yield not_supported(child(path, name), value, supported)


def one_of_if_set(obj: Mapping[str, Any], path: str, name: str, supported: Sequence[str]) -> Iterator[FieldError]:
    """Check that a field, if it is there, has one of some values."""
    if obj.get(name):
        yield from one_of(obj, path, name, supported)


def needed(obj: Mapping[str, Any], path: str, *fields: str) -> Iterator[FieldError]:
    """Check that fields aren't empty."""
    for name in fields:
        if not obj.get(name):
            yield required(child(path, name))


def named(
    obj: Mapping[str, Any], path: str, name: str, check: Callable[[str], Iterable[str]] = names.check_dns_subdomain
) -> Iterator[FieldError]:
    """Check the form of a name, if there is one."""
    value = obj.get(name)
    for problem in check(value) if value else ():
        yield invalid(child(path, name), value, problem)


def unchanged(
    new: Mapping[str, Any], old: Mapping[str, Any], path: str, *fields: str, detail: str = IMMUTABLE
) -> Iterator[FieldError]:
    """Check that fields are what they were."""
    for name in fields:
        if new.get(name) != old.get(name):
            yield invalid(child(path, name), new.get(name), detail)


def check_labels(labels: Mapping[str, str], path: str) -> Iterator[FieldError]:
    """Check labels, of a template or as a node selector."""
    for key, value in labels.items():
        for problem in names.check_label_key(key):
            yield invalid(path, key, problem)
        for problem in names.check_label_value(value):
            yield invalid(path, value, problem)


def check_annotations(annotations: Mapping[str, str], path: str) -> Iterator[FieldError]:
    """Check the annotations of a template."""
    for key in annotations:
        for problem in names.check_label_key(key.lower()):
            yield invalid(path, key, problem)


def check_label_selector(selector: Mapping[str, Any] | None, path: str) -> Iterator[FieldError]:
    """Check a ``LabelSelector``; None is fine."""
    if selector is None:
        return
    yield from check_labels(selector.get("matchLabels") or {}, child(path, "matchLabels"))
    for position, one in enumerate(selector.get("matchExpressions") or ()):
        at = index(child(path, "matchExpressions"), position)
        operator, values = one.get("operator"), one.get("values") or ()
        if operator in ("In", "NotIn") and not values:
            yield required(child(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and values:
            yield forbidden(child(at, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        elif operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield invalid(child(at, "operator"), operator or "", "not a valid selector operator")
        for problem in names.check_label_key(str(one.get("key") or "")):
            yield invalid(child(at, "key"), one.get("key") or "", problem)
        for number, value in enumerate(values):
            for problem in names.check_label_value(value):
                yield invalid(index(child(at, "values"), number), value, problem)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a ``LabelSelector``, in which nothing is wrong, selects labels; none selects nothing."""
    return label_selector(selector).matches(labels)


def is_empty_selector(selector: Mapping[str, Any]) -> bool:
    """Whether a selector has no requirement at all."""
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


def check_port(value: object, path: str) -> Iterator[FieldError]:
    """Check a port number."""
    if isinstance(value, int) and not 1 <= value <= 65535:
        yield invalid(path, value, "must be between 1 and 65535, inclusive")


def port_name_problems(text: str) -> list[str]:
    """Return what is wrong with the name of a port (``IANA_SVC_NAME``)."""
    problems = []
    if len(text) > 15:
        problems.append("must be no more than 15 characters")
    if not _PORT_NAME.fullmatch(text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def check_port_or_name(value: object, path: str) -> Iterator[FieldError]:
    """Check a reference to a port, by number or by name."""
    if isinstance(value, str):
        for problem in port_name_problems(value):
            yield invalid(path, value, problem)
    else:
        yield from check_port(value or 0, path)


def check_int_or_percent(value: object, path: str) -> Iterator[FieldError]:
    """Check a number that may also be a percentage."""
    if isinstance(value, str):
        if not _PERCENT.fullmatch(value):
            yield invalid(path, value, "a valid percent string must be a numeric string followed by an ending '%'")
    elif isinstance(value, int) and value < 0:
        yield invalid(path, value, NON_NEGATIVE)


def percent_of(value: object) -> int | None:
    """Return the number before the percent sign, if it is a percentage."""
    return int(value[:-1]) if isinstance(value, str) and _PERCENT.fullmatch(value) else None


def config_key_problems(text: str) -> list[str]:
    """Return what is wrong with a key of a ConfigMap or a Secret."""
    problems = ["must be no more than 253 characters"] if len(text) > 253 else []
    if not _CONFIG_KEY.fullmatch(text):
        problems.append("a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
    if text == ".":
        problems.append("must not be '.'")
    elif text.startswith(".."):
        problems.append("must not be '..'" if text == ".." else "must not start with '..'")
    return problems


def env_name_problems(text: str) -> list[str]:
    """Return what is wrong with the name of an environment variable, or with a prefix of some."""
    if _ENV_NAME.fullmatch(text):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def items_of(obj: Mapping[str, Any], name: str, path: str) -> Iterator[tuple[str, Object]]:
    """Go through a list of objects; gives the path of each."""
    for position, one in enumerate(obj.get(name) or ()):
        yield index(child(path, name), position), one
