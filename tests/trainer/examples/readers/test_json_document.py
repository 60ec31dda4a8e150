import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_trainer.examples.readers import json_document

pytestmark = pytest.mark.unit

ROWS: list[dict[str, Any]] = [
    {"text": 'a]}\\"\n\u00e9'},
    {"text": "", "n": 1.5e3, "deep": {"x": [1, None, {"y": []}]}},
    {"text": "\U0001f600" * 3},
]


def values(result: tuple[list[tuple[str, Any]], list[str]]) -> list[Any]:
    assert result[1] == []
    return [value for _, value in result[0]]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"version": "1 [", "data": rows, "more": {"a": [1]}}])
def test_an_array_or_an_object_that_holds_it_is_read(tmp_path: Path, read, indent, ascii_only, wrap) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps(wrap(ROWS), indent=indent, ensure_ascii=ascii_only), encoding="utf-8-sig")
    assert values(read(path)) == ROWS


@pytest.mark.parametrize("name", ["train.json", "data"])
def test_one_object_per_line_is_read_too(tmp_path: Path, read, name: str) -> None:
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert read(path)[0][1] == (f"{name} line 2", ROWS[1])
    path.write_text("\n" + json.dumps(ROWS[0]))
    assert values(read(path)) == ROWS[:1]
    path.write_text("")
    assert read(path) == ([], [])


def test_a_single_chat_is_one_example_and_no_list_of_examples(tmp_path: Path, read) -> None:
    path = tmp_path / "train.json"
    for chat in ([{"role": "user", "content": "Hi"}], [{"from": "human", "value": "Hi"}]):
        path.write_text(json.dumps({"messages": chat}))
        assert values(read(path)) == [{"messages": chat}]


def test_elements_are_named_by_line_and_number(tmp_path: Path, read) -> None:
    path = tmp_path / "train.json"
    path.write_text('[\n  {"text": "a"},\n  "secret",\n  {"text":\n "b"}\n]\n')
    rows, refused = read(path)
    assert [where for where, _ in rows] == ["train.json line 2 (element 1)", "train.json line 4 (element 3)"]
    assert refused == ["train.json line 3 (element 2) is a JSON string: each element must be an object"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"text": "a"},\n{"text" "b"}]', "train.json line 3 is not JSON (Expecting ':' delimiter)"),
        ('[\n{"text": "a"}\n{"text": "b"}]', "train.json line 3 is not JSON (, or ] is missing): correct it"),
        ('[{"text": "a"},', "train.json line 1 is not JSON (Expecting value)"),
        ('[{"text": "a"}', "train.json line 1 is not JSON (, or ] is missing)"),
        ('[{"text": "a', "train.json line 1 is not JSON (Unterminated string starting at)"),
        ('[{"text": "a"}] [', "train.json line 1 goes on behind the end of the document"),
        ('[{"text": NaN}]', "train.json line 1 holds JSON that can't be read (ValueError: NaN is not a JSON value)"),
        ("[" * 50_000, "train.json line 1 holds JSON that can't be read (RecursionError"),
        ('{\n"a": [{"text": "a"}],\n"b": [{"text": "b"}]}', "train.json line 3 holds a second array ('b' besides 'a')"),
        ('{\n"a": 1\n}', "train.json line 3 ends an object without an array of examples"),
        ("{\n}", "train.json line 2 ends an object without an array of examples"),
        (
            '{\n"messages": [\n{"role": "user",\n"content": "secret"}]}',
            "train.json line 4 belongs to one example that is written over several lines: write each example on one",
        ),
        ("{\n7: 1}", "train.json line 2 is not JSON (a key must be a string)"),
        ("hello", "train.json line 1 is not JSON (Expecting value at column 1): each line must be one JSON object"),
        ('{"text": "a" "b"}', "train.json line 1 is not JSON (Expecting ',' delimiter at column 14)"),
    ],
)
def test_a_broken_document_is_named(tmp_path: Path, read, text: str, message: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    (refused,) = read(path)[1]
    assert refused.startswith(message)


@pytest.mark.parametrize(
    "data",
    [
        b'[{"text": "caf\xe9"}]',
        b'{"text": "\xed\xa0\x80",\n"data": []}',
        '{\n"data": [{"text": "a"}]}'.encode("utf-16"),
        b"\xfe\xff" + '{\n"data": [{"text": "a"}]}'.encode("utf-16-be"),
    ],
)
def test_a_wrong_encoding_is_named(tmp_path: Path, read, data: bytes) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(data)
    rows, refused = read(path)
    assert rows == []
    assert "is not UTF-8: save the file in UTF-8" in refused[0]


def test_a_value_beyond_all_measure_is_refused(tmp_path: Path, read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_document, "LARGEST_VALUE", 1 << 17)
    path = tmp_path / "train.json"
    path.write_text(json.dumps([{"text": "a"}, {"text": "b" * (1 << 19)}]))
    rows, refused = read(path)
    assert [value["text"] for _, value in rows] == ["a"]
    assert "begins a value of more than 0 MiB: write JSON Lines" in refused[0]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(
    rows=st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=6),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_the_window_ends_the_elements_are_the_same(
    tmp_path: Path, read, monkeypatch: pytest.MonkeyPatch, rows, chunk: int, indent, ascii_only: bool
) -> None:
    monkeypatch.setattr(json_document, "_CHUNK", chunk)
    path = tmp_path / "train.json"
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    if any("\ud800" <= character <= "\udfff" for character in text):
        return
    assert values(read(path)) == json.loads(text)


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_a_number_that_goes_on_behind_the_window_is_read_whole(
    tmp_path: Path, read, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(json_document, "_CHUNK", chunk)
    path = tmp_path / "train.json"
    path.write_text('{\n"version": 1234567.25e1, "more": true, "data": [{"text": "a"}]}')
    assert values(read(path)) == [{"text": "a"}]
