import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from adapter_contract import TrainerConfig, sha256_json
from adapter_testing import chat_templates
from adapter_testing.learning_lab import HOLDOUT, learning_config
from adapter_testing.trainer_lab import write_chats
from adapter_trainer.errors import BadData
from adapter_trainer.examples.prepare import prepare_examples
from adapter_trainer.examples.prepared import PreparedExamples
from adapter_trainer.examples.refusals import ChatTemplateMissing, NothingToLearn, TooManyUnusableExamples

pytestmark = pytest.mark.integration


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(question: str, answer: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def test_examples_of_several_files_are_counted(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    files = [write_chats(tmp_path / "a.jsonl", 3), write_chats(tmp_path / "b.jsonl", 4, seed=1)]
    found = prepare_examples(files, None, tokenizer, learning_config())
    assert (len(found.training), found.evaluation, found.dropped) == (7, (), 0)
    assert (found.detected_format, found.warnings, found.evaluation_digest) == ("Messages", (), None)
    assert found.tokens == sum(len(example.tokens) for example in found.training)
    assert found.labelled_tokens == sum(example.labelled_tokens for example in found.training)


def test_the_held_out_share_does_not_depend_on_the_order(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = write_chats(tmp_path / "a.jsonl", 20)
    lines = path.read_text().splitlines(keepends=True)
    mixed = tmp_path / "b.jsonl"
    mixed.write_text("".join(random.Random(3).sample(lines, len(lines))))  # noqa: S311 - test data
    config = learning_config(evaluation=HOLDOUT)
    one, other = (prepare_examples([file], None, tokenizer, config) for file in (path, mixed))
    assert len(one.evaluation) == 5
    assert (one.evaluation, one.evaluation_digest) == (other.evaluation, other.evaluation_digest)
    assert sorted(map(repr, one.training)) == sorted(map(repr, other.training))
    assert all(example not in one.evaluation for example in one.training)


def test_a_source_of_its_own_is_evaluated_on_in_its_order(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    source = {"holdout": {"type": "Source", "source": {"type": "Path", "path": "/evaluation"}}, "metrics": ["Loss"]}
    config = learning_config(evaluation=source)
    rows = [chat("who?", "nine"), chat("when?", "seven"), chat("what?", "-")]
    training = write(tmp_path / "a.jsonl", *rows)
    evaluation = write(tmp_path / "e.jsonl", rows[2], rows[0])
    found = prepare_examples([training], [evaluation], tokenizer, config)
    assert found.evaluation == (found.training[2], found.training[0])
    assert found.evaluation_digest == sha256_json([sha256_json(rows[2]), sha256_json(rows[0])])
    with pytest.raises(NothingToLearn, match=r"evaluation.holdout.source: there is no example in it \(no file\)"):
        prepare_examples([training], None, tokenizer, config)


@pytest.mark.parametrize("make", [lambda n: {"prompt": f"{n}?", "completion": f"{n}!"}, lambda n: {"text": f"{n}."}])
def test_every_format_can_be_held_out(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, make: Callable[[int], dict[str, str]]
) -> None:
    rows = [make(number) for number in range(4)]
    found = prepare_examples([write(tmp_path / "a.jsonl", *rows)], None, tokenizer, learning_config(evaluation=HOLDOUT))
    assert len(found.training) == 3
    assert found.evaluation_digest in {sha256_json([sha256_json(row)]) for row in rows}


def unusable(action: str, percent: str) -> TrainerConfig:
    return learning_config(dataset={"unusableExamples": {"action": action, "maxPercent": percent}})


def with_one_bad(tmp_path: Path) -> Path:
    rows = [chat("who?", str(number)) for number in range(9)]
    rows.insert(3, {"messages": [{"role": "user", "content": "who?"}]})
    return write(tmp_path / "a.jsonl", *rows)


def test_examples_without_anything_to_learn_are_dropped(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    found = prepare_examples([with_one_bad(tmp_path)], None, tokenizer, unusable("Drop", "10"))
    assert (len(found.training), found.dropped) == (9, 1)
    assert found.warnings == ("1 examples have nothing to learn from and were left out",)


@pytest.mark.parametrize(
    ("action", "percent", "fix"),
    [
        ("Drop", "9.9", r"or raise dataset.unusableExamples.maxPercent \(9.9\)"),
        ("Fail", "100", "or set dataset.unusableExamples.action to Drop"),
    ],
)
def test_too_many_of_them_are_refused(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, action: str, percent: str, fix: str
) -> None:
    with pytest.raises(
        TooManyUnusableExamples, match=rf"1 of 10 examples have nothing to learn.*the first is a.jsonl line 4.*{fix}"
    ):
        prepare_examples([with_one_bad(tmp_path)], None, tokenizer, unusable(action, percent))


def test_nothing_at_all_to_learn_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [{"messages": [{"role": "user", "content": "who?"}]}]
    with pytest.raises(
        NothingToLearn, match=r"dataset: there is no example in it that can be learned from \(a.jsonl\)"
    ):
        prepare_examples([write(tmp_path / "a.jsonl", *rows)], None, tokenizer, unusable("Drop", "100"))
    with pytest.raises(NothingToLearn, match=r"dataset: there is no example in it \(b.jsonl\)"):
        prepare_examples([write(tmp_path / "b.jsonl")], None, tokenizer, learning_config())
    with pytest.raises(NothingToLearn, match=r"dataset: there is no example in it \(no file\)"):
        prepare_examples([], None, tokenizer, learning_config())


def test_a_lone_surrogate_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n{"text": "a \\ud800 b"}\n')
    with pytest.raises(BadData, match=r"a.jsonl line 2 holds text that is not Unicode"):
        prepare_examples([path], None, tokenizer, learning_config())


def test_what_was_found_is_told(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"messages": [*chat("who?", "nine")["messages"], *chat("when?", "the office " * 20)["messages"]]},  # type: ignore[misc]
    )

    def warnings(template: str, limit: int) -> PreparedExamples:
        tokenizer.chat_template = template
        config = learning_config(hyperparameters={"maxSequenceLength": limit})
        return prepare_examples([path], None, tokenizer, config)

    split = warnings(chat_templates.FORGETS_THOUGHTS, 90)
    assert len(split.training) == 2
    assert [warning.split(":")[0] for warning in split.warnings] == [
        "1 examples are longer than 90 tokens and were cut; in 1 of them the end of an answer is lost, so that it is "
        "not learned where to stop",
        "the chat template rewrites earlier turns",
    ]
    assert (
        warnings(chat_templates.BEGINS_WITH_A_THOUGHT, 500)
        .warnings[0]
        .startswith("the chat template's generation prompt begins 2 answers otherwise")
    )
    assert warnings(chat_templates.WITHOUT_SPECIAL_TOKENS, 500).warnings == (
        "2 answers end without a special token: served answers may not stop",
    )


def test_a_base_without_a_template_is_refused_for_conversations_only(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    tokenizer.chat_template = None
    with pytest.raises(ChatTemplateMissing, match=r"dataset.format: examples are Messages, but the base model has no"):
        prepare_examples([write_chats(tmp_path / "a.jsonl", 3)], None, tokenizer, learning_config())
    found = prepare_examples([write(tmp_path / "b.jsonl", {"text": "nine"})], None, tokenizer, learning_config())
    assert found.detected_format == "Text"


def test_examples_are_prepared_without_torch(tmp_path: Path, tokenizer_directory: Path) -> None:
    write_chats(tmp_path / "a.jsonl", 3)
    (tmp_path / "config.json").write_bytes(learning_config().to_json())
    program = f"""
import sys
sys.modules["torch"] = None
from pathlib import Path
from adapter_contract import TrainerConfig
from adapter_trainer.examples.prepare import prepare_examples
from adapter_trainer.examples.templates import load_tokenizer
config = TrainerConfig.from_json(Path({str(tmp_path / "config.json")!r}).read_bytes())
tokenizer = load_tokenizer(Path({str(tokenizer_directory)!r}))
print(len(prepare_examples([Path({str(tmp_path / "a.jsonl")!r})], None, tokenizer, config).training))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout == "3\n"
