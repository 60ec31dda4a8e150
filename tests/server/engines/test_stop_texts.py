"""Stop texts are found however a text is cut, and no part of one gets out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_server.engines.transformers.stop_texts import StopTexts

pytestmark = pytest.mark.unit

PARTS = st.lists(st.text("abc", max_size=4), max_size=12)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def read_by_characters(text: str, stops: list[str]) -> tuple[str, bool]:
    """What is before the first stop text that is complete, read character by character."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@given(PARTS, STOPS)
def test_cutting_makes_no_difference(parts: list[str], stops: list[str]) -> None:
    texts = StopTexts(stops)
    got = "".join(texts.push(part) for part in parts) + texts.flush()
    assert (got, texts.found) == read_by_characters("".join(parts), stops)


@given(PARTS, STOPS)
def test_nothing_is_let_out_that_may_become_a_stop_text(parts: list[str], stops: list[str]) -> None:
    texts = StopTexts(stops)
    out = "".join(texts.push(part) for part in parts)
    for stop in stops:
        before, found = read_by_characters("".join(parts) + stop, stops)
        assert found
        assert before.startswith(out)


def test_no_more_is_held_back_than_must_be() -> None:
    texts = StopTexts(["END", "\n\n"])
    assert [texts.push(part) for part in ("a", "E", "N", "x", "\n", "y", "E")] == ["a", "", "", "ENx", "", "\ny", ""]
    assert texts.flush() == "E"


def test_after_a_stop_text_nothing_comes() -> None:
    texts = StopTexts(["."])
    assert [texts.push("one. two"), texts.push(" three"), texts.flush()] == ["one", "", ""]
    assert texts.found
