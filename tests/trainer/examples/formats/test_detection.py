from typing import Any

import pytest

from adapter_testing.learning_lab import learning_config
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.examples.formats.detection import Reading, detect
from adapter_trainer.examples.readers.row import Row

pytestmark = pytest.mark.unit

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHARE = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]


def detected(first: dict[str, Any], *, preferences: bool = False, **changes: object) -> Reading:
    objective = "DirectPreferenceOptimization" if preferences else "SupervisedFineTuning"
    return detect(learning_config(dataset=changes).dataset, objective, Row("train.jsonl line 4", first))


@pytest.mark.parametrize(
    ("first", "found", "columns"),
    [
        ({"messages": CHAT, "id": 7}, "Messages", {"messages": "messages"}),
        ({"conversations": SHARE}, "Messages", {"messages": "conversations"}),
        ({"conversation": CHAT}, "Messages", {"messages": "conversation"}),
        ({"prompt": "1+1=", "completion": "2"}, "PromptCompletion", {"prompt": "prompt", "completion": "completion"}),
        ({"text": "abc"}, "Text", {"text": "text"}),
        (
            {"instruction": "a", "output": "b"},
            "Messages",
            {"instruction": "instruction", "input": "input", "output": "output"},
        ),
    ],
)
def test_auto_finds_format_and_columns(first: dict[str, Any], found: str, columns: dict[str, str]) -> None:
    reading = detected(first)
    assert (reading.format, dict(reading.columns), reading.remark) == (found, columns, None)


def test_it_is_said_what_was_found_and_why() -> None:
    assert detected({"text": "a"}).because == "Text from 'text': the first row has them"
    columns = [{"name": "prompt", "from": "question"}, {"name": "completion", "from": "completion"}]
    assert (
        detected({"question": "a", "completion": "b"}, columns=columns).because
        == "PromptCompletion from 'question' (as prompt) and 'completion': the first row has them"
    )
    assert detected({"text": "a"}, format="Text").because == "Text from 'text': dataset.format says so"
    assert "human is user, gpt is assistant" in detected({"conversations": SHARE}).because
    assert "a blank line and the input" in detected({"instruction": "a", "output": "b"}).because


def test_columns_that_are_not_read_are_told() -> None:
    assert detected({"id": 7, "text": "a", "b\n": 1}).because.endswith("has them; not read: 'id', 'b\\n'")
    assert detected({"messages": CHAT, "system": "a", "id": 7}).because.endswith("; not read: 'id'")
    assert detected({"instruction": "a", "output": "b", "system": "c"}).because.endswith("is the output")
    assert detected({"text": "a"} | {f"c{n}": 1 for n in range(10)}).because.endswith("'c6', 'c7' and 2 more")


def test_texts_are_not_taken_for_whole_answers_where_their_prompt_has_another_name() -> None:
    row = {"system": "Be brief.", "question": "1+1?", "chosen": "2", "rejected": "3"}
    with pytest.raises(
        BadData, match=r"line 4: there is no 'prompt' .* but 'question': name it in dataset.columns \[{"
    ):
        detected(row, preferences=True)
    mapped = detected(row, preferences=True, columns=[{"name": "prompt", "from": "question"}])
    assert mapped.columns["prompt"] == "question"
    assert "prompt" not in detected(row, preferences=True, format="Preference").columns
    assert "prompt" not in detected({**row, "chosen": CHAT, "rejected": CHAT}, preferences=True).columns


def test_a_second_format_that_fits_is_told() -> None:
    reading = detected({"messages": CHAT, "text": "abc", "prompt": "a", "completion": "b"})
    assert reading.format == "Messages"
    assert reading.remark == (
        "dataset.format: the data is read as Messages, but 'prompt', 'completion' fit PromptCompletion and 'text' fit "
        "Text as well: set dataset.format to say which is meant"
    )
    assert detected({"messages": CHAT, "text": "abc"}, format="Text").remark is None


def test_the_objective_chooses_between_preferences_and_the_rest() -> None:
    row = {"prompt": "a", "chosen": "b", "rejected": "c", "messages": CHAT}
    reading = detected(row, preferences=True)
    assert (reading.format, reading.remark) == ("Preference", None)
    assert reading.columns == {"chosen": "chosen", "rejected": "rejected", "prompt": "prompt"}
    assert detected({"chosen": "b", "rejected": "c"}, preferences=True).columns.keys() == {"chosen", "rejected"}
    assert detected(row).format == "Messages"


def test_the_chosen_answers_alone_can_be_learned() -> None:
    row = {"prompt": "a", "chosen": "b", "rejected": "c"}
    assert detected(row, columns=[{"name": "completion", "from": "chosen"}]).format == "PromptCompletion"
    with pytest.raises(BadData, match=r"holds preferences.*set objective.type.*or learn the chosen answers alone with"):
        detected(row)


@pytest.mark.parametrize(
    ("changes", "preferences", "message"),
    [
        (
            {"format": "Preference"},
            False,
            "dataset.format: objective SupervisedFineTuning learns from Messages, Prompt",
        ),
        (
            {"format": "Text"},
            True,
            "dataset.format: objective DirectPreferenceOptimization learns from Preference, not",
        ),
        (
            {"format": "Text", "columns": [{"name": "prompt", "from": "a"}]},
            False,
            r"dataset.columns: prompt is no part of format Text \(text\): remove it, or set dataset.format",
        ),
        (
            {"columns": [{"name": "chosen", "from": "a"}]},
            False,
            "dataset.columns: chosen are together no parts of format Messages or PromptCompletion or Text",
        ),
        (
            {"columns": [{"name": "text", "from": "a"}, {"name": "prompt", "from": "b"}]},
            False,
            "dataset.columns: text, prompt are together no parts",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], preferences: bool, message: str) -> None:
    with pytest.raises(BadConfiguration, match=message):
        detected({"text": "a"}, preferences=preferences, **changes)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (
            {"question": "a", "answer": "b"},
            r"line 4: the keys \('question', 'answer'\) fit no format; set dataset.columns to \[{name: prompt, from: "
            r"question}, {name: completion, from: answer}\] if that is what they are",
        ),
        ({"body": "a"}, r"the keys \('body'\) fit no format; give 'messages', or 'prompt' and 'completion', or 'text'"),
        ({}, r"the keys \(none\) fit no format"),
    ],
)
def test_no_format_fits(first: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        detected(first)


def test_no_preferences_are_there() -> None:
    with pytest.raises(BadData, match=r"the keys \('text'\) hold no preferences.*give 'chosen' and 'rejected'"):
        detected({"text": "a"}, preferences=True)


def test_columns_that_the_data_does_not_have_fit_no_format() -> None:
    with pytest.raises(BadData, match=r"the keys \('conversations'\) fit no format.*or name them in dataset.columns"):
        detected({"conversations": SHARE}, columns=[{"name": "messages", "from": "chats"}])
