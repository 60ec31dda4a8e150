import json
from typing import Any

import pytest

from adapter_testing.learning_lab import learning_config
from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Conversation, Preference, PromptCompletion, Text
from adapter_trainer.examples.formats.row_reader import RowReader
from adapter_trainer.examples.readers.row import Row

pytestmark = pytest.mark.unit

USER = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}
BYE = {"role": "assistant", "content": "Bye"}
CHAT = [USER, HELLO]


def reader(first: dict[str, Any], *, preferences: bool = False, **changes: object) -> RowReader:
    objective = "DirectPreferenceOptimization" if preferences else "SupervisedFineTuning"
    return RowReader(learning_config(dataset=changes).dataset, objective, row(first))


def row(value: dict[str, Any]) -> Row:
    return Row("train.jsonl line 4", value)


def read(value: dict[str, Any], **changes: object) -> object:
    return reader(value, **changes).read(row(value))  # type: ignore[arg-type]


def conversation(*messages: dict[str, str], answers_from: int = 1) -> Conversation:
    return Conversation(messages, answers_from)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"messages": CHAT, "id": 7}, conversation(*CHAT)),
        ({"messages": json.dumps(CHAT)}, conversation(*CHAT)),
        ({"prompt": "1+1=", "completion": "2"}, PromptCompletion("1+1=", "2")),
        ({"prompt": "[1]", "completion": "[2]"}, PromptCompletion("[1]", "[2]")),
        ({"prompt": [USER], "completion": [HELLO]}, conversation(*CHAT)),
        ({"prompt": "Hi", "completion": [HELLO]}, conversation(*CHAT)),
        ({"prompt": [USER, HELLO, USER], "completion": "Bye"}, conversation(USER, HELLO, USER, BYE, answers_from=3)),
        ({"text": "abc"}, Text("abc")),
    ],
)
def test_rows_of_every_format(value: dict[str, Any], content: object) -> None:
    assert read(value) == content


def test_columns_give_the_parts_their_names() -> None:
    columns = [{"name": "prompt", "from": "question"}, {"name": "completion", "from": "answer"}]
    found = reader({"question": "1+1=", "answer": "2"}, columns=columns)
    assert found.read(row({"question": "1+1=", "answer": "2"})) == PromptCompletion("1+1=", "2")
    with pytest.raises(BadData, match=r"train.jsonl line 4 has no 'answer' \(format PromptCompletion.*dataset.columns"):
        found.read(row({"question": "1+1="}))
    with pytest.raises(BadData, match=r"train.jsonl line 4 has null for 'answer'"):
        found.read(row({"question": "1+1=", "answer": None}))


def test_conversations_of_sharegpt_are_read_as_messages() -> None:
    shared = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello", "weight": None},
    ]
    assert read({"conversations": shared}) == conversation({"role": "system", "content": "Be brief."}, *CHAT)
    assert read({"dialog": shared[1:]}, columns=[{"name": "messages", "from": "dialog"}]) == conversation(*CHAT)
    with pytest.raises(
        BadData, match="message 1: role must be a string, one of system, developer, user, assistant, not 'narr"
    ):
        read({"conversations": [{"from": "narrator", "value": "Hi"}]})


def test_a_system_message_in_a_column_of_its_own_opens_the_conversation() -> None:
    system = {"role": "system", "content": "Be brief."}
    assert read({"system": "Be brief.", "messages": CHAT}) == conversation(system, *CHAT)
    assert read({"system": "", "messages": CHAT}) == conversation(*CHAT)
    shared = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    assert read({"system": "Be brief.", "conversations": shared}) == conversation(system, *CHAT)
    with pytest.raises(BadData, match="line 4: 'system' and the first message are both the system's: keep one"):
        read({"system": "Be brief.", "messages": [system, *CHAT]})
    with pytest.raises(BadData, match="line 4: 'system' must be a string where it is given"):
        read({"system": 7, "messages": CHAT})


def test_instructions_of_alpaca_are_read_as_messages() -> None:
    for nothing in ("", "  \n", None):
        assert read({"instruction": "Hi", "input": nothing, "output": "Hello"}) == conversation(*CHAT)
    assert read({"instruction": "Hi", "input": "there", "output": "Hello", "system": "Be brief."}) == conversation(
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n\nthere"}, HELLO
    )
    with pytest.raises(BadData, match="'output' must be a string"):
        read({"instruction": "Hi", "output": ["Hello"]})
    with pytest.raises(BadData, match="has null for 'output'"):
        read({"instruction": "Hi", "output": None})
    with pytest.raises(BadData, match="'input' must be a string where it is given"):
        read({"instruction": "Hi", "input": 7, "output": "Hello"})
    with pytest.raises(BadData, match="'history' can't be read beside instruction and output: write 'messages'"):
        read({"instruction": "Hi", "output": "Hello", "history": [["a", "b"]]})


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "messages must be a list of objects with role and content, at least one"),
        ("Hi", "messages must be a list"),
        ("[Hi", "messages is text that begins like a JSON array, but is none"),
        (
            str(CHAT),
            "messages is text that begins like a JSON array, but is none (Expecting property name enclosed in double "
            "quotes: line 1 column 3 (char 2)): write it with json.dumps",
        ),
        (["Hi"], "message 1 must be an object with role and content"),
        ([USER, {"role": "assistant"}], "message 2: content must be a string"),
        ([USER, {"role": "", "content": "a"}], "message 2: role must be a string"),
        (
            [{"role": "human", "content": "a"}],
            "message 1: role must be a string, one of system, developer, user, assist",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
            "message 1: content must be a string; a list of",
        ),
        ([{**USER, "weight": 0}], "message 1: 'weight' can't be learned from in this release"),
        ([USER, {"role": "assistant", "content": None, "tool_calls": [{}]}], "message 2 is a tool call or its result"),
        ([USER, {**HELLO, "function_call": {"name": "f"}}], "message 2 is a tool call or its result"),
        ([{"role": "tool", "content": "7"}], "message 1 is a tool call or its result, which can't be learned from"),
        ([{"from": "function_call", "value": "7"}], "message 1 is a tool call or its result"),
        ([{"from": 7, "value": "7"}], "message 1: role must be a string"),
    ],
)
def test_messages_that_cannot_be_read(messages: object, message: str) -> None:
    with pytest.raises(BadData) as raised:
        reader({"messages": CHAT}).read(row({"messages": messages}))
    assert str(raised.value).startswith(f"train.jsonl line 4: {message}")


def test_what_is_empty_in_a_message_and_its_name_are_fine() -> None:
    value = {"messages": [{**USER, "tool_calls": None, "images": [], "name": "Ann"}], "tools": []}
    assert read(value) == conversation({**USER, "name": "Ann"})


@pytest.mark.parametrize("value", [{"messages": CHAT}, {"prompt": [USER], "completion": [HELLO]}])
def test_tools_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(BadData, match="'tools' can't be learned from in this release: remove it"):
        read({**value, "tools": [{"type": "function"}]})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"prompt": "a", "completion": 2}, "'completion' must be a string, or a list of messages"),
        ({"prompt": "a", "completion": ["2"]}, "message 1 must be an object with role and content"),
        ({"prompt": "a", "completion": [USER]}, "'completion' must begin with a message of role assistant"),
        ({"text": ["a"]}, "'text' must be a string; for chats use"),
        ({"prompt": {"0": "a"}, "completion": {"0": "b"}}, r"'prompt' must be a string.*; with pandas write to_json\("),
    ],
)
def test_a_part_of_another_type(value: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        read(value)


PAIR = Preference(conversation(USER, HELLO), conversation(USER, BYE))


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (
            {"prompt": "1+1=", "chosen": "2", "rejected": "3"},
            Preference(PromptCompletion("1+1=", "2"), PromptCompletion("1+1=", "3")),
        ),
        (
            {"chosen": "Q: 1+1? A: 2", "rejected": "Q: 1+1? A: 3"},
            Preference(PromptCompletion("Q: 1+1? A: ", "2"), PromptCompletion("Q: 1+1? A: ", "3")),
        ),
        ({"prompt": [USER], "chosen": [HELLO], "rejected": [BYE]}, PAIR),
        ({"prompt": [USER], "chosen": "Hello", "rejected": "Bye"}, PAIR),
        ({"prompt": "Hi", "chosen": [HELLO], "rejected": [BYE]}, PAIR),
        ({"chosen": [USER, HELLO], "rejected": [USER, BYE]}, PAIR),
        ({"prompt": "Hi", "chosen": [USER, HELLO], "rejected": [USER, BYE]}, PAIR),
        ({"prompt": [USER], "chosen": [USER, HELLO], "rejected": [USER, BYE]}, PAIR),
        (
            {"chosen": [USER, HELLO, USER, HELLO], "rejected": [USER, HELLO, USER, BYE]},
            Preference(
                conversation(USER, HELLO, USER, HELLO, answers_from=3),
                conversation(USER, HELLO, USER, BYE, answers_from=3),
            ),
        ),
    ],
)
def test_pairs_with_a_prompt_of_their_own_or_a_shared_beginning(value: dict[str, Any], content: Preference) -> None:
    assert read(value, preferences=True) == content


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"chosen": "a", "rejected": [BYE]}, "chosen and rejected must both be strings, or both lists of messages"),
        ({"chosen": [HELLO], "rejected": [BYE]}, "begin with different messages, so that there is no prompt"),
        ({"prompt": "a", "chosen": [USER, HELLO], "rejected": [BYE]}, "chosen must begin with a message of role"),
        ({"prompt": [USER], "chosen": [USER, HELLO], "rejected": [BYE]}, "chosen must begin with a message of role"),
        ({"prompt": [USER], "chosen": [HELLO], "rejected": [USER, BYE]}, "rejected must begin with a message of role"),
        ({"prompt": None, "chosen": [HELLO], "rejected": [BYE]}, "has null for 'prompt'"),
        ({"chosen": None, "rejected": "a"}, "has null for 'chosen'"),
        ({"prompt": "a", "chosen": 1, "rejected": "a"}, "'chosen' must be a string, or a list of messages"),
    ],
)
def test_pairs_that_cannot_be_read(value: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        read(value, preferences=True)
