import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit


def test_rows_know_file_and_line_and_blank_lines_count_for_numbers_only(tmp_path: Path, read) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n\n{"text": "b\\u2028c"}')
    rows = [("train.jsonl line 1", {"text": "a"}), ("train.jsonl line 3", {"text": "b\u2028c"})]
    assert read(path) == (rows, [])


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x0b"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, separator: str, read) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"text": f"a{separator}b"}, ensure_ascii=False), encoding="utf-8")
    assert read(path)[0] == [("train.jsonl line 1", {"text": f"a{separator}b"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "secret"', "train.jsonl line 2 is not JSON (Expecting ',' delimiter at column 18)"),
        (b'{"text": "\xff secret"}', "train.jsonl line 2 is not UTF-8: save the file in UTF-8"),
        (b'["secret"]', "train.jsonl line 2 is a JSON array: each line must be one JSON object; a whole array"),
        (b'"secret"', "train.jsonl line 2 is a JSON string"),
        (b"17", "train.jsonl line 2 is a JSON scalar"),
        (b'{"text": NaN}', "train.jsonl line 2 is not JSON that can be read (ValueError: NaN is not a JSON value)"),
        (b"[" * 100_000, "train.jsonl line 2 is not JSON that can be read (RecursionError"),
    ],
)
def test_a_bad_line_is_named_and_not_shown_and_hides_no_other(tmp_path: Path, line: bytes, message: str, read) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + line + b'\n{"text": "good"}\n7\n')
    rows, refused = read(path)
    assert [value["text"] for _, value in rows] == ["fine", "good"]
    assert refused[0].startswith(message)
    assert "secret" not in refused[0]
    assert refused[1:] == ["train.jsonl line 4 is a JSON scalar: each line must be one JSON object"]
