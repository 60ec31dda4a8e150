"""Field errors and the Status objects that carry them, in the words of a Kubernetes API server.

The words are those of ``k8s.io/apimachinery/pkg/util/validation/field`` and ``.../api/errors`` (v0.36).
A field path is a plain string (``spec.items[0].name``); ``None`` is the root, which Kubernetes prints as
``<nil>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapter_devcluster.apiextensions.go_text import Json, json_text, quote, text

Path = str | None


class Reason(StrEnum):
    """The machine-readable cause types of a field error."""

    INVALID = "FieldValueInvalid"
    TYPE_INVALID = "FieldValueTypeInvalid"
    REQUIRED = "FieldValueRequired"
    NOT_FOUND = "FieldValueNotFound"
    NOT_SUPPORTED = "FieldValueNotSupported"
    DUPLICATE = "FieldValueDuplicate"
    FORBIDDEN = "FieldValueForbidden"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    INTERNAL = "InternalError"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong: ``field`` is a path, ``message`` the text after it in a Status."""

    field: str
    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class SchemaError(ValueError):
    """A schema (or a whole CustomResourceDefinition) that an API server would refuse. See ``errors``."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(str(error) for error in self.errors))


class NotJsonError(ValueError):
    """A value that no JSON document can hold: a non-string key, NaN, an infinity, a foreign type."""


class _Omitted:
    """Stands for a value that a message leaves out."""


OMITTED: Final = _Omitted()


def child(path: Path, name: str) -> str:
    """Return the path of a named field."""
    return f"{path}.{name}" if path else name


def index(path: Path, position: int | str) -> str:
    """Return the path of a list item, or of a map's value."""
    return f"{path or ''}[{position}]"


def invalid(path: Path, value: Json, detail: str) -> FieldError:
    """Report a malformed value."""
    return _error(path, Reason.INVALID, _with_value("Invalid value", value, detail))


def type_invalid(path: Path, value: Json, detail: str) -> FieldError:
    """Report a value of a wrong type; ``value`` is the name of the type found."""
    return _error(path, Reason.TYPE_INVALID, _with_value("Invalid value", value, detail))


def required(path: Path, detail: str = "") -> FieldError:
    """Report a missing value."""
    return _error(path, Reason.REQUIRED, _detailed("Required value", detail))


def forbidden(path: Path, detail: str) -> FieldError:
    """Report a value that may not be set here."""
    return _error(path, Reason.FORBIDDEN, _detailed("Forbidden", detail))


def not_supported(path: Path, value: Json, supported: Sequence[str]) -> FieldError:
    """Report a value outside an enumeration."""
    detail = f"supported values: {', '.join(quote(v) for v in supported)}" if supported else ""
    return _error(path, Reason.NOT_SUPPORTED, _with_value("Unsupported value", value, detail))


def not_found(path: Path, value: Json) -> FieldError:
    """Report a name that stands for nothing."""
    return _error(path, Reason.NOT_FOUND, _with_value("Not found", value, ""))


def duplicate(path: Path, value: Json) -> FieldError:
    """Report a value that may stand only once."""
    return _error(path, Reason.DUPLICATE, _with_value("Duplicate value", value, ""))


def too_long(path: Path, limit: int) -> FieldError:
    """Report a string over its limit. The server counts characters and says bytes; so does this."""
    unit = "byte" if limit == 1 else "bytes"
    detail = f"may not be more than {limit} {unit}" if limit >= 0 else "value is too long"
    return _error(path, Reason.TOO_LONG, _detailed("Too long", detail))


def too_many(path: Path, actual: int, limit: int) -> FieldError:
    """Report a list or map over its limit."""
    unit = "item" if limit == 1 else "items"
    detail = f"must have at most {limit} {unit}" if limit >= 0 else "has too many items"
    return _error(path, Reason.TOO_MANY, _with_value("Too many", actual, detail))


def internal(path: Path, detail: str) -> FieldError:
    """Report a failure that is not the user's."""
    return _error(path, Reason.INTERNAL, _detailed("Internal error", detail))


def _error(path: Path, reason: Reason, message: str) -> FieldError:
    return FieldError("<nil>" if path is None else path, reason, message)


def _detailed(label: str, detail: str) -> str:
    return f"{label}: {detail}" if detail else label


def _with_value(label: str, value: Json, detail: str) -> str:
    match value:
        case _Omitted():
            return _detailed(label, detail)
        case str():
            shown = quote(value)
        case bool() | int() | float():
            shown = text(value)
        case _:
            shown = json_text(value)
    return _detailed(f"{label}: {shown}", detail)


def aggregate(errors: Iterable[FieldError]) -> str:
    """Join errors in one line: equal ones once, several of them in brackets."""
    messages = list(dict.fromkeys(str(error) for error in errors))
    return messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"


def invalid_status(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> dict[str, Json]:
    """Build the 422 Status for a refused object. ``causes`` holds every error, in the order found."""
    qualified = f"{kind}.{group}" if group else kind
    details = {
        "name": name,
        "group": group,
        "kind": kind,
        "causes": [{"reason": str(e.reason), "message": e.message, "field": e.field} for e in errors],
    }
    return {
        **failure(422, "Invalid", f"{qualified} {quote(name)} is invalid: {aggregate(errors)}"),
        "details": {key: value for key, value in details.items() if value},
    }


def bad_request_status(message: str) -> dict[str, Json]:
    """Build the 400 Status for a body that can't be decoded."""
    return failure(400, "BadRequest", message)


def failure(code: int, reason: str, message: str) -> dict[str, Json]:
    """Build the Status of any error, without details."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
