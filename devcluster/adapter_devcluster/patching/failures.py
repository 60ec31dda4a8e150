"""Answers to patches that fail, where they are not those of a common error, and the words for values in them."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.apiextensions.go_text import quote, text
from adapter_devcluster.statuses import StatusError, status_error

_GO_TYPES: Final = {dict: "map[string]interface {}", list: "[]interface {}", int: "int64", float: "float64"}


def unexpected(message: str) -> StatusError:
    """Build the answer to an error for which the server has no status: 500 without a reason."""
    error = status_error(500, "", message)
    return StatusError({name: value for name, value in error.status.items() if name != "reason"})


def unprocessable() -> StatusError:
    """422 for a patch that is well-formed and can't be carried out."""
    return status_error(422, "Invalid", "the server rejected our request due to an error in our request")


def printed(value: object) -> str:
    """Write a value as Go's ``%v``: maps as ``map[a:1 b:2]``, lists as ``[1 2]``, null as ``<nil>``."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{printed(value[name])}' for name in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(printed, value))}]"
    return text(value)


def go_type(value: object) -> str:
    """Name a value's type as Go's ``%T`` does."""
    return "<nil>" if value is None else _GO_TYPES.get(type(value), "bool" if isinstance(value, bool) else "string")


def go_syntax(value: object) -> str:
    """Write a value as Go's ``%#v`` does."""
    match value:
        case None:
            return "interface {}(nil)"
        case str():
            return quote(value)
        case dict():
            inside = ", ".join(f"{quote(name)}:{go_syntax(value[name])}" for name in sorted(value))
            return f"{go_type(value)}{{{inside}}}"
        case list():
            return f"{go_type(value)}{{{', '.join(map(go_syntax, value))}}}"
    return text(value)
