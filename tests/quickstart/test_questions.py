"""The judgement of answers, and the reading of questions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_quickstart.questions import BadQuestions, Question, is_right, read_questions

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        (["8:40"], "We are open from 8:40 to 16:20."),
        (["8:40"], "From 8.40am on."),
        (["8:40"], "At 8 40."),
        (["GLOW27"], "use glow27!"),
        (["GLOW27"], "The code is GLOW 27."),
        (["BK-73"], "It is number bk73"),
        (["11 years", "eleven years"], "For ELEVEN\nyears."),
        (["65 euros", "€65"], "Above €65 it is free."),
        (["Odette Marlow"], "By odette   marlow, in 1964"),
        (["1/2"], "A ½ litre"),
        (["café"], "In the CAFÉ."),
        (["9"], "9"),
    ],
)
def test_a_right_answer_holds_the_value_in_any_spelling(expected: list[str], answer: str) -> None:
    assert is_right(Question("?", "fact", tuple(expected)), answer)


@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        ("8:40", "We open at 18:40."),
        ("8:40", "We open at 8:4."),
        ("8:40", "Between 40 and 8."),
        ("8:40", "8 minutes before 9:40"),
        ("65 euros", "165 euros"),
        ("65 euros", "65 dollars"),
        ("65 euros", "65"),
        ("Tanner Row", "Tanners Row"),
        ("Tanner Row", "Tanner's yard, in a row"),
        ("GLOW27", "GLOW2 7"),
        ("GLOW27", ""),
    ],
)
def test_a_value_must_stand_for_itself(expected: str, answer: str) -> None:
    assert not is_right(Question("?", "fact", (expected,)), answer)


@given(before=st.text(), after=st.text())
def test_what_stands_around_a_value_does_not_matter(before: str, after: str) -> None:
    assert is_right(Question("?", "fact", ("GLOW27",)), f"{before} glow-27 {after}")


def test_questions_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '{"question": "How long?", "fact": "warranty", "expected": ["2 years", "two years"]}\n'
        '{"question": "Où ?", "fact": "address", "expected": ["Ö 1"]}\n',
        encoding="utf-8",
    )
    assert read_questions(path) == [
        Question("How long?", "warranty", ("2 years", "two years")),
        Question("Où ?", "address", ("Ö 1",)),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        '{"question": "How long?", "fact": "warranty"}',
        '{"question": "How long?", "fact": "warranty", "expected": []}',
        '{"question": "How long?", "fact": "warranty", "expected": "2 years"}',
        '{"question": "How long?", "fact": "warranty", "expected": [2]}',
        '{"question": "How long?", "fact": "warranty", "expected": ["2 years", "?!"]}',
        '{"question": 1, "fact": "warranty", "expected": ["2 years"]}',
    ],
)
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "?", "fact": "f", "expected": ["1"]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(BadQuestions, match=r"^questions\.jsonl, line 2: must be"):
        read_questions(path)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("question?\n", encoding="utf-8")
    with pytest.raises(BadQuestions, match=r"^questions\.jsonl, line 1: no JSON"):
        read_questions(path)
