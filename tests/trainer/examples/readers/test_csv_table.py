import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("name", "delimiter"), [("train.csv", ","), ("TRAIN.TSV", "\t")])
def test_cells_may_hold_quotes_delimiters_and_line_feeds(tmp_path: Path, read, name: str, delimiter: str) -> None:
    path = tmp_path / name
    text = f'prompt{delimiter}completion\r\n"a ""b"", {delimiter}c\nd"{delimiter}e\r\n\r\nf{delimiter}\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(path) == (
        [
            (f"{name} line 2", {"prompt": f'a "b", {delimiter}c\nd', "completion": "e"}),
            (f"{name} line 5", {"prompt": "f", "completion": ""}),
        ],
        [],
    )


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(
    rows=st.lists(st.tuples(cells, cells.filter(bool)), max_size=8),
    style=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, read, rows: list[tuple[str, str]], style: int) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=style)
    writer.writerows([("prompt", "completion"), *rows])
    (tmp_path / "a.csv").write_bytes(stream.getvalue().encode())
    found, refused = read(tmp_path / "a.csv")
    assert [(value["prompt"], value["completion"]) for _, value in found] == rows
    assert refused == []


def test_a_long_cell_is_read(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "x" * 300_000)
    assert len(read(tmp_path / "a.csv")[0][0][1]["text"]) == 300_000


def test_bad_records_are_named_and_hide_no_other(tmp_path: Path, read) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"prompt,completion\n"  # 1
        b"secret\n"
        b'"two\nlines",b\n'  # 3 and 4
        b"caf\xe9,b\n"
        b"a\0,b\n"
        b'"a"b,c\n'
        b"a,b,c\n"
        b"fine,b\n"
        b'"never ends,\n'
    )
    rows, refused = read(path)
    assert [(where, value["prompt"]) for where, value in rows] == [
        ("a.csv line 3", "two\nlines"),
        ("a.csv line 9", "fine"),
    ]
    begins = [
        "a.csv line 2 has 1 cells, but there are 2 headers",
        "a.csv line 5 is not UTF-8",
        "a.csv line 6 has a null byte",
        "a.csv line 7 is not CSV (',' expected after '\"')",
        "a.csv line 8 has 3 cells",
        "a.csv line 10 is not CSV (unexpected end of data)",
    ]
    assert [message[: len(begin)] for message, begin in zip(refused, begins, strict=True)] == begins
    assert "secret" not in "".join(refused)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"text,text\na,b\n", "a.csv: the header 'text' stands twice: rename one of the columns"),
        (b",,\na,b,\n", "a.csv: its first line names no columns"),
        (b"\nprompt,completion\na,b\n", "a.csv: its first line names no columns"),
        (b"text\ra\r", "a.csv: the headers can't be read (new-line character seen"),
        (b"prompt;completion\na;b\n", "a.csv: the headers are divided by ';', not by ','"),
        ("text\na\n".encode("utf-16"), "a.csv is UTF-16: save the file in UTF-8"),
        (b"t\xe9xt\na\n", "a.csv line 1 is not UTF-8"),
        (b'"text\na\n', "a.csv: the headers can't be read (unexpected end of data)"),
    ],
)
def test_headers_that_cannot_be_read(tmp_path: Path, read, data: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    rows, (refused,) = read(tmp_path / "a.csv")
    assert rows == []
    assert refused.startswith(message)


def test_columns_without_a_name_are_left_out_and_blanks_around_names_do_not_count(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes(b",prompt, completion,,\n0,a,b,,\n1,c,d,,\n")
    rows, refused = read(tmp_path / "a.csv")
    assert [value for _, value in rows] == [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}]
    assert refused == []


def test_an_empty_file_has_no_rows(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    assert read(tmp_path / "a.csv") == ([], [])
