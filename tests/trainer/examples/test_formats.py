from typing import Any

import pytest

from adapter_testing.learning_lab import learning_config
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.examples.formats import Conversation, PromptCompletion, RowReader, Text
from adapter_trainer.examples.json_lines import Row

pytestmark = pytest.mark.unit

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def reader(first: dict[str, Any], **changes: object) -> RowReader:
    return RowReader(learning_config(dataset=changes).dataset, row(first))


def row(value: dict[str, Any]) -> Row:
    return Row("train.jsonl line 4", value)


@pytest.mark.parametrize(
    ("value", "detected", "content"),
    [
        ({"messages": CHAT, "id": 7}, "Messages", Conversation(tuple(CHAT))),
        ({"prompt": "1+1=", "completion": "2"}, "PromptCompletion", PromptCompletion("1+1=", "2")),
        ({"text": "abc"}, "Text", Text("abc")),
        ({"messages": CHAT, "text": "abc"}, "Messages", Conversation(tuple(CHAT))),
    ],
)
def test_auto_finds_the_format(value: dict[str, Any], detected: str, content: object) -> None:
    found = reader(value)
    assert (found.format, found.read(row(value))) == (detected, content)


def test_columns_give_the_parts_their_names() -> None:
    columns = [{"name": "prompt", "from": "question"}, {"name": "completion", "from": "answer"}]
    value = {"question": "1+1=", "answer": "2"}
    found = reader(value, columns=columns)
    assert found.format == "PromptCompletion"
    assert found.read(row(value)) == PromptCompletion("1+1=", "2")
    with pytest.raises(BadData, match=r"train.jsonl line 4 has no 'answer' \(format PromptCompletion.*dataset.columns"):
        found.read(row({"question": "1+1="}))


def test_a_column_without_a_place_is_refused() -> None:
    with pytest.raises(
        BadConfiguration, match=r"dataset.columns: chosen is no part of format Text \(text\): remove it"
    ):
        reader({"text": "a"}, columns=[{"name": "chosen", "from": "a"}])


def test_a_format_that_is_not_read_is_named() -> None:
    with pytest.raises(BadConfiguration, match=r"dataset.format: this release reads Messages, PromptCompletion, Text"):
        reader({"prompt": "a"}, format="Preference")
    with pytest.raises(BadData, match=r"train.jsonl line 4 holds preferences"):
        reader({"prompt": "a", "chosen": "b", "rejected": "c"})


def test_no_format_fits() -> None:
    with pytest.raises(BadData, match=r"the keys \('question', 'answer'\) fit no format; give 'messages'"):
        reader({"question": "a", "answer": "b"})
    with pytest.raises(BadData, match=r"the keys \(none\) fit no format"):
        reader({})


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "messages must be a list of objects with role and content, at least one"),
        ("Hi", "messages must be a list"),
        (["Hi"], "message 1 must be an object with role and content"),
        ([CHAT[0], {"role": "assistant"}], "message 2: content must be a string"),
        ([CHAT[0], {"role": "", "content": "a"}], "message 2: role must be a string"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], "message 1: content must be a string"),
        ([{**CHAT[0], "weight": 0}], "message 1: 'weight' can't be learned from in this release"),
    ],
)
def test_messages_that_cannot_be_read(messages: object, message: str) -> None:
    with pytest.raises(BadData) as raised:
        reader({"messages": CHAT}).read(row({"messages": messages}))
    assert str(raised.value).startswith(f"train.jsonl line 4: {message}")


def test_a_null_and_a_name_in_a_message_are_fine() -> None:
    value = {"messages": [{**CHAT[0], "tool_calls": None, "name": "Ann"}], "tools": []}
    assert reader(value).read(row(value)) == Conversation(({**CHAT[0], "name": "Ann"},))


def test_tools_are_refused() -> None:
    value = {"messages": CHAT, "tools": [{"type": "function"}]}
    with pytest.raises(BadData, match="'tools' can't be learned from in this release: remove it"):
        reader(value).read(row(value))


@pytest.mark.parametrize("completion", [["2"], 2, [{"role": "assistant", "content": "2"}]])
def test_a_part_that_is_no_string(completion: object) -> None:
    with pytest.raises(BadData, match="'completion' must be a string; for chats use"):
        reader({"prompt": "a", "completion": "b"}).read(row({"prompt": "a", "completion": completion}))
