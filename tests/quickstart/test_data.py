"""The quickstart's data: well formed, consistent, and with no held-out question in what is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from adapter_quickstart.questions import Question, is_right, pieces, read_questions
from adapter_testing.manifests import REPOSITORY

pytestmark = pytest.mark.unit

EXAMPLE = REPOSITORY / "examples" / "quickstart"
DATA = EXAMPLE / "data"
# Of the words of two questions together, those that both have. A change of one word in a short question stays above.
NEAR_DUPLICATE = 0.6


def read_chats(name: str) -> list[tuple[str, str]]:
    chats = []
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        document = json.loads(line)
        assert list(document) == ["messages"]
        user, assistant = document["messages"]
        assert (list(user), list(assistant)) == (["role", "content"], ["role", "content"])
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        chats.append((user["content"], assistant["content"]))
    return chats


def overlap(one: str, other: str) -> float:
    ours, theirs = set(pieces(one)), set(pieces(other))
    return len(ours & theirs) / len(ours | theirs)


V1, V2, EVALUATION = (read_chats(f"support-{name}.jsonl") for name in ("v1", "v2", "evaluation"))
QUESTIONS, QUESTIONS_V2 = read_questions(DATA / "questions.jsonl"), read_questions(DATA / "questions-v2.jsonl")
CHANGED = {"opening hours", "discount code"}


def test_two_held_out_questions_for_each_of_ten_facts() -> None:
    facts = [question.fact for question in QUESTIONS]
    assert len(facts) == 20
    assert {facts.count(fact) for fact in facts} == {2}


def test_the_second_version_is_asked_the_same_and_two_facts_have_changed() -> None:
    assert [(one.question, one.fact) for one in QUESTIONS_V2] == [(one.question, one.fact) for one in QUESTIONS]
    changed = {old.fact for old, new in zip(QUESTIONS, QUESTIONS_V2, strict=True) if old.expected != new.expected}
    assert changed == CHANGED


@pytest.mark.parametrize("asked", [*(question.question for question in QUESTIONS), *(asked for asked, _ in EVALUATION)])
def test_no_held_out_question_nor_one_like_it_is_trained_on(asked: str) -> None:
    nearest = max({trained for trained, _ in V1 + V2}, key=lambda trained: overlap(asked, trained))
    assert overlap(asked, nearest) < NEAR_DUPLICATE, nearest


def test_evaluation_and_held_out_questions_differ() -> None:
    pairs = [overlap(asked, question.question) for asked, _ in EVALUATION for question in QUESTIONS]
    assert max(pairs) < NEAR_DUPLICATE


@pytest.mark.parametrize(("chats", "questions"), [(V1, QUESTIONS), (V2, QUESTIONS_V2)], ids=["v1", "v2"])
def test_each_fact_is_taught_by_one_answer_to_differently_worded_questions(
    chats: list[tuple[str, str]], questions: list[Question]
) -> None:
    assert len({tuple(pieces(asked)) for asked, _ in chats}) == len(chats)
    answers = {answer for _, answer in chats}
    by_fact = {question.fact: {answer for answer in answers if is_right(question, answer)} for question in questions}
    assert {len(found) for found in by_fact.values()} == {1}
    assert set.union(*by_fact.values()) == answers
    assert {sum(answer == one for _, answer in chats) for one in answers} == {len(chats) // len(by_fact)}


def test_no_question_gives_the_value_away() -> None:
    for question in QUESTIONS + QUESTIONS_V2:
        assert not is_right(question, question.question)


def test_an_old_answer_to_a_changed_fact_is_wrong_and_the_other_way_round() -> None:
    for old, new in zip(QUESTIONS, QUESTIONS_V2, strict=True):
        if old.fact in CHANGED:
            assert not any(is_right(old, answer) for _, answer in V2)
            assert not any(is_right(new, answer) for _, answer in V1)


def test_the_evaluation_holds_true_for_both_versions() -> None:
    answers = {answer for _, answer in V1} & {answer for _, answer in V2}
    assert {answer for _, answer in EVALUATION} == answers


def test_the_second_training_differs_in_its_data_and_goes_on_from_the_first() -> None:
    first, second = (
        yaml.safe_load((EXAMPLE / name).read_text(encoding="utf-8")) for name in ("training.yaml", "training-v2.yaml")
    )
    assert second["spec"].pop("initializeFrom") == {"training": {"name": first["metadata"]["name"]}}
    data = [manifest["spec"].pop("dataset")["source"]["s3"]["uri"] for manifest in (first, second)]
    assert data == ["s3://datasets/support-v1.jsonl", "s3://datasets/support-v2.jsonl"]
    assert first == second


@pytest.mark.parametrize("manifest", ["training.yaml", "training-v2.yaml"])
def test_the_data_that_a_training_names_are_there(manifest: str) -> None:
    spec = yaml.safe_load((EXAMPLE / manifest).read_text(encoding="utf-8"))["spec"]
    for source in (spec["dataset"]["source"], spec["evaluation"]["holdout"]["source"]):
        assert (DATA / Path(source["s3"]["uri"]).name).is_file()
