import json
from pathlib import Path

import pytest

from adapter_trainer.errors import BadData
from adapter_trainer.examples.json_lines import read_rows

pytestmark = pytest.mark.unit


def test_rows_know_file_and_line_and_blank_lines_count_for_numbers_only(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\n{"text": "b\\u2028c"}')
    assert [(row.where, row.value) for row in read_rows(path)] == [
        ("train.jsonl line 1", {"text": "a"}),
        ("train.jsonl line 3", {"text": "b\u2028c"}),
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0b"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"text": f"a{separator}b"}, ensure_ascii=False), encoding="utf-8")
    assert [row.value["text"] for row in read_rows(path)] == [f"a{separator}b"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "secret"', "train.jsonl line 2 is not JSON (Expecting ',' delimiter at column 18)"),
        (b'{"text": "\xff secret"}', "train.jsonl line 2 is not UTF-8: save the file in UTF-8"),
        (b'["secret"]', "train.jsonl line 2 is a JSON array: each line must be one JSON object"),
        (b'"secret"', "train.jsonl line 2 is a JSON string"),
        (b"17", "train.jsonl line 2 is a JSON scalar"),
        (b'{"text": NaN}', "train.jsonl line 2 is not JSON that can be read (ValueError: NaN is not a JSON value)"),
        (b"[" * 100_000, "train.jsonl line 2 is not JSON that can be read (RecursionError"),
    ],
)
def test_a_bad_line_is_named_and_not_shown(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(BadData) as raised:
        list(read_rows(path))
    assert str(raised.value).startswith(message)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["train.csv", "train.parquet", "train.jsonl.gz", "README.md"])
def test_a_file_of_another_type_is_refused_with_what_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(BadData, match=f"{name} is of a type that can't be read; this release reads JSON Lines"):
        list(read_rows(tmp_path / name))
