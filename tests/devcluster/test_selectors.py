from __future__ import annotations

import pytest

from adapter_devcluster.selectors import (
    SelectorError,
    equality_selector,
    label_selector,
    parse_field_selector,
    parse_label_selector,
    selector_text,
)

pytestmark = pytest.mark.unit

BLUE, RED, BARE = {"color": "blue", "size": "1"}, {"color": "red"}, {"other": "x"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", [BLUE, RED, BARE]),
        ("color=blue", [BLUE]),
        ("color==blue", [BLUE]),
        ("color!=blue", [RED, BARE]),
        ("color in (blue, red)", [BLUE, RED]),
        ("color in (blue,)", [BLUE]),
        ("color notin (blue)", [RED, BARE]),
        ("color", [BLUE, RED]),
        ("!color", [BARE]),
        ("! color", [BARE]),
        ("color,size", [BLUE]),
        ("color=,other", []),
        (" color = blue , size = 1 ", [BLUE]),
        ("size>0", [BLUE]),
        ("size < 1", []),
        ("color>0", []),
        ("size>x", "must be an integer"),
        ("size>", "must be an integer"),
        ("color in (", "expected: ',', or '\\)'"),
        ("color in blue", "expected: '\\('"),
        ("color in (a b)", "expected: ',', or '\\)'"),
        ("color=blue,", "identifier after"),
        ("=blue", "key: Invalid value"),
        ("color=not valid", "expected ','"),
        ("color=-", "values: Invalid value"),
        ("a b c", "expected: in, notin"),
        ("!", "key: Invalid value"),
        ("(", "key: Invalid value"),
    ],
)
def test_label_selectors(text: str, selected: list[dict[str, str]] | str) -> None:
    if isinstance(selected, str):
        with pytest.raises(SelectorError, match=selected):
            parse_label_selector(text)
    else:
        found = parse_label_selector(text)
        assert [one for one in (BLUE, RED, BARE) if found.matches(one)] == selected


def test_a_selector_object_and_its_text_select_the_same() -> None:
    raw = {
        "matchLabels": {"color": "blue"},
        "matchExpressions": [
            {"key": "size", "operator": "In", "values": ["2", "1"]},
            {"key": "other", "operator": "DoesNotExist"},
            {"key": "size", "operator": "Exists"},
            {"key": "color", "operator": "NotIn", "values": ["red"]},
        ],
    }
    text = selector_text(raw)
    assert text == "color=blue,color notin (red),!other,size in (1,2),size"
    for labels in (BLUE, RED, BARE, {**BLUE, "other": "x"}):
        assert label_selector(raw).matches(labels) == parse_label_selector(text).matches(labels)


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not label_selector(None).matches(BLUE)
    assert label_selector({}).matches(BLUE)
    assert bool(label_selector(None))
    assert not bool(label_selector({}))
    assert equality_selector({"color": "red"}).matches(RED)


POD = {"metadata": {"name": "a"}, "spec": {"nodeName": "n,1", "hostNetwork": True}, "status": {}}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("metadata.name=a", True),
        ("metadata.name==a,spec.nodeName!=other", True),
        ("metadata.name!=a", False),
        (r"spec.nodeName=n\,1", True),
        ("spec.hostNetwork=true", True),
        ("status.phase=", True),
        ("", True),
    ],
)
def test_field_selectors(text: str, matches: bool) -> None:
    supported = ("metadata.name", "spec.nodeName", "spec.hostNetwork", "status.phase")
    assert all(one.matches(POD) for one in parse_field_selector(text, supported)) is matches


@pytest.mark.parametrize(("text", "problem"), [("x.y=1", "field label not supported: x.y"), ("metadata.name", "can't")])
def test_field_selectors_that_are_refused(text: str, problem: str) -> None:
    with pytest.raises(SelectorError, match=problem):
        parse_field_selector(text, ("metadata.name",))
