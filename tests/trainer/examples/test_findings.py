"""What is counted and told about the rows of a dataset."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerBase

from adapter_contract import sha256_json
from adapter_testing.learning_lab import HOLDOUT, learning_config
from adapter_testing.trainer_lab import write_chats
from adapter_trainer.errors import BadData
from adapter_trainer.examples.example import Example, PreferencePair
from adapter_trainer.examples.prepare import prepare_examples
from adapter_trainer.examples.prepared import PreparedExamples
from adapter_trainer.examples.refusals import ChatTemplateMissing, NothingToLearn, TooManyUnusableExamples

pytestmark = pytest.mark.integration

SOURCE = {"holdout": {"type": "Source", "source": {"type": "Path", "path": "/evaluation"}}, "metrics": ["Loss"]}
DPO = {"type": "DirectPreferenceOptimization", "beta": "0.1"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def pair(question: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": chat(question, "")["messages"][:1], "chosen": chosen, "rejected": rejected}


def with_bad_lines(path: Path) -> Path:
    rows = [json.dumps(chat("who?", f"number {number}")) for number in range(4)]
    rows[1:1] = ["{", '{"messages": []}', '{"text": "a"}', '{"messages": [{"role": "user", "content": "\\ud800"}]}']
    path.write_text("\n".join(rows))
    return path


def test_the_first_bad_row_ends_the_attempt_and_the_others_are_counted(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    files = [with_bad_lines(tmp_path / "a.jsonl"), tmp_path / "b.parquet"]
    files[1].write_bytes(b"no parquet")
    with pytest.raises(BadData, match=r"^a.jsonl line 2 is not JSON .*; 4 more can't be read either$"):
        prepare_examples(files, None, tokenizer, learning_config())


def test_all_bad_rows_are_told_to_who_asks_and_left_out(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    files = [with_bad_lines(tmp_path / "a.jsonl"), tmp_path / "b.parquet"]
    files[1].write_bytes(b"no parquet")
    refused: list[BadData] = []
    found = prepare_examples(files, None, tokenizer, learning_config(), refused=refused.append)
    begins = [
        "a.jsonl line 2 is",
        "a.jsonl line 3:",
        "a.jsonl line 4 has no",
        "a.jsonl line 5 holds text",
        "b.parquet can't",
    ]
    assert [str(error)[: len(begin)] for error, begin in zip(refused, begins, strict=True)] == begins
    assert (found.rows, len(found.training), found.dropped) == (4, 4, 0)


def test_where_every_row_is_bad_all_are_told_and_nothing_is_left(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{\n{\n")
    refused: list[BadData] = []
    with pytest.raises(
        NothingToLearn, match=r"dataset: there is no example in it that can be learned from \(a.jsonl\)"
    ):
        prepare_examples([path], None, tokenizer, learning_config(), refused=refused.append)
    assert len(refused) == 2
    with pytest.raises(BadData, match=r"a.jsonl line 1 is not JSON .*; 1 more can't be read either"):
        prepare_examples([path], None, tokenizer, learning_config())


def test_a_refusal_of_the_template_is_one_of_them(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = (
        "{% for message in messages %}{% if 'forbidden' in message['content'] %}{{ raise_exception('not that') }}"
        "{% endif %}{{ message['content'] }}<|im_end|>{% endfor %}"
    )
    path = write(tmp_path / "a.jsonl", chat("who?", "a"), chat("forbidden?", "b"), chat("forbidden!", "c"))
    refused: list[BadData] = []
    found = prepare_examples([path], None, tokenizer, learning_config(), refused=refused.append)
    assert found.rows == 1
    assert str(refused[0]) == "a.jsonl line 2: the chat template of the base model refuses it: not that"
    with pytest.raises(
        BadData, match=r"line 2: the chat template .* refuses it: not that; 1 more can't be read either"
    ):
        prepare_examples([path], None, tokenizer, learning_config())


def test_duplicates_and_leakage_are_counted(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    one, two, three = chat("who?", "nine"), chat("when?", "ten"), chat("what?", "-")
    training = write(tmp_path / "a.jsonl", one, two, {**one, "id": 7}, one)
    evaluation = write(tmp_path / "e.jsonl", three, two, chat("who?", "seven"))
    found = prepare_examples([training], [evaluation], tokenizer, learning_config(evaluation=SOURCE))
    assert (found.duplicates, found.leaked, found.leaked_prompts) == (2, 1, 1)
    assert [warning[:27] for warning in found.warnings] == [
        "2 training examples say exa",
        "1 evaluation examples stand",
        "1 evaluation examples have ",
    ]
    assert (found.rows, found.evaluation_rows) == (4, 3)


def test_texts_have_no_prompts_that_could_leak(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    training, evaluation = write(tmp_path / "a.jsonl", {"text": "a"}), write(tmp_path / "e.jsonl", {"text": "b"})
    found = prepare_examples([training], [evaluation], tokenizer, learning_config(evaluation=SOURCE))
    assert (found.leaked, found.leaked_prompts, found.warnings) == (0, 0, ())


def test_files_of_all_types_and_an_evaluation_source_of_another(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows = [chat(f"{number}?", f"{number}!") for number in range(4)]
    pq.write_table(pa.Table.from_pylist([rows[0]]), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text('messages\n"' + json.dumps(rows[1]["messages"]).replace('"', '""') + '"\n')
    (tmp_path / "c.json").write_text(json.dumps({"data": [rows[2]]}, indent=1))
    shared = [{"from": "human", "value": "3?"}, {"from": "gpt", "value": "3!"}]
    evaluation = write(tmp_path / "e.jsonl", {"conversations": shared})
    files = sorted(set(tmp_path.iterdir()) - {evaluation})
    found = prepare_examples(files, [evaluation], tokenizer, learning_config(evaluation=SOURCE))
    assert (found.rows, found.detected_format, found.columns) == (3, "Messages", {"messages": "messages"})
    assert found.evaluation_digest == sha256_json([sha256_json(rows[3])])
    other = write(tmp_path / "f.jsonl", {"text": "a"})
    with pytest.raises(BadData, match=r"evaluation.holdout.source: its examples are Text .* from are Messages"):
        prepare_examples(files, [other], tokenizer, learning_config(evaluation=SOURCE))


def test_what_else_would_fit_is_a_warning(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a", "prompt": "a", "completion": "b"})
    found = prepare_examples([path], None, tokenizer, learning_config())
    assert (
        found.detected_because
        == "PromptCompletion from 'prompt' and 'completion': the first row has them; not read: 'text'"
    )
    assert found.warnings[0].startswith(
        "dataset.format: the data is read as PromptCompletion, but 'text' fit Text as well"
    )


def test_lengths_and_cut_answers_are_counted(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = write(tmp_path / "a.jsonl", chat("who?", "nine"), chat("who?", "the office " * 40), chat("who?", ""))
    whole = prepare_examples([path], None, tokenizer, learning_config(hyperparameters={"maxSequenceLength": 500}))
    found = prepare_examples([path], None, tokenizer, learning_config(hyperparameters={"maxSequenceLength": 64}))
    assert found.longest == whole.longest == max(len(unit.sequences[0].tokens) for unit in whole.training)
    assert found.findings == {"truncated": 1, "answer cut": 1, "empty answer": 1}
    assert whole.findings == {"empty answer": 1}
    assert whole.warnings == ("1 answers are empty: what is learned from them is to say nothing",)


def prepared_pairs(path: Path, tokenizer: PreTrainedTokenizerBase, **changes: Any) -> PreparedExamples:
    config = {"objective": DPO, "dataset": {"unusableExamples": {"action": "Drop", "maxPercent": "50"}}} | changes
    return prepare_examples([path], None, tokenizer, learning_config(**config))


def answer(tokenizer: PreTrainedTokenizerBase, example: Example) -> str:
    ((start, end),) = example.learned
    assert end == len(example.tokens)
    return str(tokenizer.decode(example.tokens[start:end]))


def test_both_answers_of_a_pair_are_labelled_and_ended(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = write(tmp_path / "a.jsonl", pair("who?", "nine", "ten"), pair("when?", "seven", "never"))
    found = prepared_pairs(path, tokenizer)
    first, second = found.training
    assert isinstance(first, PreferencePair)
    assert isinstance(second, PreferencePair)
    assert [answer(tokenizer, one) for one in (*first.sequences, *second.sequences)] == [
        "nine<|im_end|>",
        "ten<|im_end|>",
        "seven<|im_end|>",
        "never<|im_end|>",
    ]
    start = first.chosen.learned[0][0]
    assert first.chosen.tokens[:start] == first.rejected.tokens[:start]
    assert found.detected_format == "Preference"
    assert found.tokens == sum(len(one.tokens) for unit in found.training for one in unit.sequences)


def test_pairs_of_texts_begin_and_end_as_texts_do(tmp_path: Path, bos_tokenizer: PreTrainedTokenizerBase) -> None:
    bos_tokenizer.chat_template = None
    path = write(tmp_path / "a.jsonl", {"prompt": "who?", "chosen": " nine", "rejected": " ten"})
    (found,) = prepared_pairs(path, bos_tokenizer).training
    assert [bos_tokenizer.decode(one.tokens) for one in found.sequences] == ["<s> who? nine</s>", "<s> who? ten</s>"]
    assert [answer(bos_tokenizer, one).strip() for one in found.sequences] == ["nine</s>", "ten</s>"]


def test_pairs_with_nothing_to_prefer_are_unusable(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    long = "the office " * 60
    path = write(
        tmp_path / "a.jsonl",
        pair("who?", "nine", "ten"),
        pair("when?", "equal", "equal"),
        pair(long, "nine", "ten"),
        pair("what?", f"{long} a", f"{long} b"),
    )
    with pytest.raises(
        TooManyUnusableExamples,
        match=r"3 of 4 .* or two equal answers or none within .*; the first is a.jsonl line 2: .*maxSequenceLength, or",
    ):
        prepared_pairs(path, tokenizer)
    drop = {"unusableExamples": {"action": "Drop", "maxPercent": "75"}}
    found = prepared_pairs(path, tokenizer, dataset=drop)
    assert (found.rows, found.dropped) == (1, 3)
    assert {name: found.findings[name] for name in ("equal answers", "unlabelled", "truncated")} == {
        "equal answers": 2,
        "unlabelled": 1,
        "truncated": 2,
    }


def test_pairs_are_held_out_by_what_they_say(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [pair("who?", f"{number}", "ten") for number in range(8)]
    one = prepared_pairs(write(tmp_path / "a.jsonl", *rows), tokenizer, evaluation=HOLDOUT)
    other = prepared_pairs(write(tmp_path / "b.jsonl", *reversed(rows)), tokenizer, evaluation=HOLDOUT)
    assert len(one.evaluation) == 2
    assert (one.evaluation, one.evaluation_digest) == (other.evaluation, other.evaluation_digest)
    assert one.leaked_prompts == 2


def test_conversations_of_pairs_need_a_template(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = None
    path = write(tmp_path / "a.jsonl", pair("who?", "nine", "ten"))
    with pytest.raises(
        ChatTemplateMissing, match=r"dataset.format: examples are messages, but the base model has no chat template"
    ):
        prepared_pairs(path, tokenizer)


def test_of_what_rows_say_nothing_is_kept(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [chat(f"{number}? " + "the office " * 60, "nine") for number in range(400)]
    path = write(tmp_path / "a.jsonl", *rows)
    config = learning_config(hyperparameters={"maxSequenceLength": 512})
    prepare_examples([write_chats(tmp_path / "b.jsonl", 600)], None, tokenizer, config)
    tracemalloc.start()
    found = prepare_examples([path], None, tokenizer, config)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 8 * found.tokens
