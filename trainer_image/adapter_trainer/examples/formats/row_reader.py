"""Reads what the rows of a dataset say, all in one format."""

from adapter_contract import DatasetConfig
from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Content, Conversation, Message, Preference, Text
from adapter_trainer.examples.formats.chats import opened_by_system, read_messages, require_no_tools
from adapter_trainer.examples.formats.detection import Objective, Reading, detect
from adapter_trainer.examples.formats.preferences import joined, read_preference
from adapter_trainer.examples.readers.row import Row


class RowReader:
    """Reads rows of one format, under the names that the configuration gives to its parts."""

    def __init__(self, config: DatasetConfig, objective: Objective, first: Row) -> None:
        """Decide on the format, by the first row where it is Auto.

        Raises:
            BadConfiguration: format, columns and objective don't go together.
            BadData: no format fits the first row.
        """
        self.reading: Reading = detect(config, objective, first)

    def read(self, row: Row) -> Content:
        """Return what a row says.

        Raises:
            BadData: which part of the row is missing or has another type.
        """
        name = self.reading.format
        if name == "Text":
            return Text(self._text(row, "text"))
        require_no_tools(row.value, row.where)
        if name == "Preference":
            return self._preference(row)
        if name == "PromptCompletion":
            prompt, completion = self._text_or_messages(row, "prompt"), self._text_or_messages(row, "completion")
            return joined(prompt, completion, f"{row.where}: {self.reading.columns['completion']!r}")
        if self.reading.alpaca:
            return self._alpaca(row)
        column = self.reading.columns["messages"]
        return Conversation(opened_by_system(read_messages(self._part(row, "messages"), column, row.where), row))

    def _part(self, row: Row, part: str) -> object:
        column = self.reading.columns[part]
        value = row.value.get(column)
        if value is None:
            missing = f"has null for {column!r}" if column in row.value else f"has no {column!r}"
            raise BadData(
                f"{row.where} {missing} (format {self.reading.format}): every line needs it; "
                "set dataset.columns where it has another name"
            )
        return value

    def _text(self, row: Row, part: str) -> str:
        value = self._part(row, part)
        if not isinstance(value, str):
            raise BadData(
                f"{row.where}: {self.reading.columns[part]!r} must be a string; for chats use "
                '{"messages": [{"role": ..., "content": ...}]}' + _hint(value)
            )
        return value

    def _text_or_messages(self, row: Row, part: str) -> str | tuple[Message, ...]:
        value = self._part(row, part)
        if isinstance(value, str):
            return value
        column = self.reading.columns[part]
        if not isinstance(value, list):
            raise BadData(
                f"{row.where}: {column!r} must be a string, or a list of messages with role and content{_hint(value)}"
            )
        return read_messages(value, column, row.where)

    def _alpaca(self, row: Row) -> Conversation:
        if row.value.get("history"):
            raise BadData(
                f"{row.where}: 'history' can't be read beside instruction and output: write 'messages' instead"
            )
        instruction, output = self._text(row, "instruction"), self._text(row, "output")
        extra = row.value.get("input") or ""
        if not isinstance(extra, str):
            raise BadData(f"{row.where}: 'input' must be a string where it is given")
        question = f"{instruction}\n\n{extra}" if extra.strip() else instruction
        messages = ({"role": "user", "content": question}, {"role": "assistant", "content": output})
        return Conversation(opened_by_system(messages, row))

    def _preference(self, row: Row) -> Preference:
        chosen, rejected = self._text_or_messages(row, "chosen"), self._text_or_messages(row, "rejected")
        prompt = self._text_or_messages(row, "prompt") if "prompt" in self.reading.columns else None
        return read_preference(prompt, chosen, rejected, row.where)


def _hint(value: object) -> str:
    # pandas writes a whole column into one object, unless it is told otherwise.
    return '; with pandas write to_json(orient="records", lines=True)' if isinstance(value, dict) else ""
