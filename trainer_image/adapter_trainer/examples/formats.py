"""The shapes of an example, and how a row of the data becomes one.

`messages` are those of OpenAI's chat API (a list of objects with role and content); `prompt` and `completion`, and
`text`, are the column names that TRL's documentation uses for its standard formats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_contract import DatasetConfig
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.examples.json_lines import Row


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages with role and content, in order."""

    messages: tuple[dict[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Return what the example says, for its digest."""
        return {"messages": list(self.messages)}


@dataclass(frozen=True, slots=True)
class PromptCompletion:
    """A text to go on from, and how it goes on."""

    prompt: str
    completion: str

    def as_json(self) -> dict[str, Any]:
        """Return what the example says, for its digest."""
        return {"prompt": self.prompt, "completion": self.completion}


@dataclass(frozen=True, slots=True)
class Text:
    """A text, all of which is learned."""

    text: str

    def as_json(self) -> dict[str, Any]:
        """Return what the example says, for its digest."""
        return {"text": self.text}


Content = Conversation | PromptCompletion | Text

_PARTS: dict[str, tuple[str, ...]] = {
    "Messages": ("messages",),
    "PromptCompletion": ("prompt", "completion"),
    "Text": ("text",),
}
"""The parts of each format, in the order in which Auto tries the formats."""

_WITHOUT_MEANING_HERE = ("tools", "functions")
"""Keys that change what a conversation means and that this release can't honour; others, such as an id, are free."""


class RowReader:
    """Reads rows of one format, under the names that the configuration gives to its parts."""

    def __init__(self, config: DatasetConfig, first: Row) -> None:
        """Decide on the format, by the first row where it is Auto.

        Raises:
            BadConfiguration: this release doesn't read the format, or a column has no place in it.
            BadData: no format fits the first row.
        """
        self._keys: dict[str, str] = {column.name: column.source for column in config.columns}
        self.format = _detect(first, self._keys) if config.format == "Auto" else config.format
        if self.format not in _PARTS:
            raise BadConfiguration(
                f"dataset.format: this release reads {', '.join(_PARTS)}; it can't read {self.format} yet"
            )
        for name in self._keys:
            if name not in _PARTS[self.format]:
                raise BadConfiguration(
                    f"dataset.columns: {name} is no part of format {self.format} ({', '.join(_PARTS[self.format])}): "
                    "remove it, or set dataset.format"
                )

    def read(self, row: Row) -> Content:
        """Return what a row says.

        Raises:
            BadData: which part of the row is missing or has another type.
        """
        if self.format == "Messages":
            return Conversation(_messages(row, self._part(row, "messages")))
        if self.format == "PromptCompletion":
            return PromptCompletion(self._text(row, "prompt"), self._text(row, "completion"))
        return Text(self._text(row, "text"))

    def _part(self, row: Row, name: str) -> object:
        key = self._keys.get(name, name)
        if row.value.get(key) is None:
            raise BadData(
                f"{row.where} has no {key!r} (format {self.format}): every line needs it; "
                "set dataset.columns where it has another name"
            )
        return row.value[key]

    def _text(self, row: Row, name: str) -> str:
        value = self._part(row, name)
        if not isinstance(value, str):
            raise BadData(
                f"{row.where}: {self._keys.get(name, name)!r} must be a string; for chats use "
                '{"messages": [{"role": ..., "content": ...}]}'
            )
        return value


def _detect(row: Row, keys: Mapping[str, str]) -> str:
    for name, parts in _PARTS.items():
        if all(keys.get(part, part) in row.value for part in parts):
            return name
    if {keys.get(part, part) for part in ("chosen", "rejected")} <= row.value.keys():
        raise BadData(f"{row.where} holds preferences (chosen and rejected), which this release can't learn from yet")
    found = ", ".join(repr(key)[:40] for key in list(row.value)[:8]) or "none"
    raise BadData(
        f"{row.where}: the keys ({found}) fit no format; give 'messages', or 'prompt' and 'completion', or 'text', "
        "or name them in dataset.columns"
    )


def _messages(row: Row, value: object) -> tuple[dict[str, str], ...]:
    for key in _WITHOUT_MEANING_HERE:
        if row.value.get(key):
            raise BadData(f"{row.where}: {key!r} can't be learned from in this release: remove it")
    if not isinstance(value, list) or not value:
        raise BadData(f"{row.where}: messages must be a list of objects with role and content, at least one")
    return tuple(_message(f"{row.where}: message {number}", item) for number, item in enumerate(value, start=1))


def _message(where: str, item: object) -> dict[str, str]:
    if not isinstance(item, dict):
        raise BadData(f"{where} must be an object with role and content")
    for key in ("role", "content"):
        if not isinstance(item.get(key), str) or (key == "role" and not item[key]):
            raise BadData(f"{where}: {key} must be a string")
    unknown = [key for key, value in item.items() if key not in {"role", "content", "name"} and value is not None]
    if unknown:
        raise BadData(f"{where}: {unknown[0]!r} can't be learned from in this release: remove it")
    return {key: text for key, text in item.items() if isinstance(text, str)}
