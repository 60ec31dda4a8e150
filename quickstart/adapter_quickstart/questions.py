"""Questions with the values that a right answer holds, and the judgement of answers."""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Digits are pieces of their own, so that "GLOW 27" and "GLOW27" are the same.
_PIECE = re.compile(r"\d+|[^\W\d_]+")


class BadQuestions(Exception):
    """A file of questions can't be read; the message names file and line."""


@dataclass(frozen=True)
class Question:
    """A question about one fact.

    Attributes:
        question: what is asked.
        fact: what it is about, in words.
        expected: the value that a right answer holds, in every accepted spelling.
    """

    question: str
    fact: str
    expected: tuple[str, ...]


def read_questions(path: Path) -> list[Question]:
    """Read a file with one JSON object `{"question", "fact", "expected": [...]}` a line.

    Raises:
        BadQuestions: a line is not of this form.
        OSError: the file can't be read.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_read_question(line, f"{path.name}, line {number}") for number, line in enumerate(lines, start=1)]


def is_right(question: Question, answer: str) -> bool:
    """Tell whether an answer holds the expected value, whatever is around it.

    Case, punctuation and spaces don't matter; the value must stand for itself, so 18:40 is not 8:40.
    """
    words = pieces(answer)
    return any(_holds(words, pieces(value)) for value in question.expected)


def pieces(text: str) -> list[str]:
    """Split text into its words and numbers, without case, punctuation and spaces."""
    return _PIECE.findall(unicodedata.normalize("NFKC", text).casefold())


def _holds(words: Sequence[str], wanted: Sequence[str]) -> bool:
    length = len(wanted)
    return any(words[start : start + length] == wanted for start in range(len(words) - length + 1))


def _read_question(line: str, where: str) -> Question:
    try:
        match json.loads(line):
            case {"question": str(question), "fact": str(fact), "expected": [_, *_] as expected} if all(
                isinstance(value, str) and pieces(value) for value in expected
            ):
                return Question(question, fact, tuple(expected))
    except json.JSONDecodeError as error:
        raise BadQuestions(f"{where}: no JSON: {error}") from error
    raise BadQuestions(f'{where}: must be {{"question": "...", "fact": "...", "expected": ["...", ...]}}')
