"""Messages of a chat as they stand in a row."""

import json
from typing import Any

from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Message
from adapter_trainer.examples.readers.row import Row

SHAREGPT_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant"}
"""The names of ShareGPT's data set for the roles; others stand for themselves."""

SYSTEM = "system"
"""The column that holds the system's message, in data sets in the form of ShareGPT, Alpaca or Anthropic."""

_ROLES = ("system", "developer", "user", "assistant")
_TOOL_ROLES = frozenset({"tool", "function", "function_call", "observation", "ipython"})
_KEYS = frozenset({"role", "content", "name"})
_WITHOUT_MEANING_HERE = ("tools", "functions")
"""Columns that change what a conversation means and that this release can't honour; others, such as an id, are free."""


def require_no_tools(value: dict[str, Any], where: str) -> None:
    """Check that a row describes no tools.

    Raises:
        BadData: it does.
    """
    for key in _WITHOUT_MEANING_HERE:
        if value.get(key):
            raise BadData(f"{where}: {key!r} can't be learned from in this release: remove it")


def read_messages(value: object, name: str, where: str) -> tuple[Message, ...]:
    """Return the messages that a column holds: a list of objects, or such a list as JSON (in CSV).

    Args:
        value: of the column.
        name: of the column, for messages.
        where: file and line.

    Raises:
        BadData: which message has what wrong.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadData(
                f"{where}: {name} is text that begins like a JSON array, but is none ({error}): write it with "
                "json.dumps"
            ) from error
    if not isinstance(value, list) or not value:
        raise BadData(f"{where}: {name} must be a list of objects with role and content, at least one")
    return tuple(_message(f"{where}: message {number}", item) for number, item in enumerate(value, start=1))


def opened_by_system(messages: tuple[Message, ...], row: Row) -> tuple[Message, ...]:
    """Return messages with the system's before them, where it stands in a column `system` of its own.

    Raises:
        BadData: it is no text, or the messages begin with one as well.
    """
    system = row.value.get(SYSTEM)
    if not system:
        return messages
    if not isinstance(system, str):
        raise BadData(f"{row.where}: {SYSTEM!r} must be a string where it is given")
    if messages[0]["role"] in {"system", "developer"}:
        raise BadData(f"{row.where}: {SYSTEM!r} and the first message are both the system's: keep one of them")
    return ({"role": "system", "content": system}, *messages)


def _message(where: str, item: object) -> Message:
    if not isinstance(item, dict):
        raise BadData(f"{where} must be an object with role and content")
    if "from" in item and "role" not in item:
        item = _openai_message(item)
    role, content = item.get("role"), item.get("content")
    if item.get("tool_calls") or item.get("function_call") or role in _TOOL_ROLES:
        raise BadData(f"{where} is a tool call or its result, which can't be learned from in this release: remove it")
    if isinstance(content, list):
        raise BadData(
            f"{where}: content must be a string; a list of parts, such as images, can't be learned from in this release"
        )
    if not isinstance(content, str):
        raise BadData(f"{where}: content must be a string")
    if role not in _ROLES:
        shown = f", not {role[:40]!r}" if isinstance(role, str) and role else ""
        raise BadData(f"{where}: role must be a string, one of {', '.join(_ROLES)}{shown}")
    if len(item) == 2:
        return {"role": role, "content": content}
    unknown = [key for key, value in item.items() if key not in _KEYS and value not in (None, [], {}, "")]
    if unknown:
        raise BadData(f"{where}: {str(unknown[0])[:40]!r} can't be learned from in this release: remove it")
    name = item.get("name")
    return {"role": role, "content": content, **({"name": name} if isinstance(name, str) and name else {})}


def _openai_message(item: dict[str, Any]) -> dict[str, Any]:
    sender = item["from"]
    others = {key: value for key, value in item.items() if key not in {"from", "value"}}
    role = SHAREGPT_ROLES.get(sender, sender) if isinstance(sender, str) else None
    return {"role": role, "content": item.get("value"), **others}
