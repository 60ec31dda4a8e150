import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.unit

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}]


def test_nested_messages_and_nulls_are_read_over_batches_and_row_groups(tmp_path: Path, read) -> None:
    table = pa.table({"messages": [CHAT] * 600 + [None], "id": list(range(601))})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=250)
    rows, refused = read(tmp_path / "a.parquet")
    assert refused == []
    assert rows[599] == ("a.parquet row 600", {"messages": CHAT, "id": 599})
    assert rows[600] == ("a.parquet row 601", {"messages": None, "id": 600})


def test_text_that_is_none_is_named_and_a_foreign_date_does_not_matter(tmp_path: Path, read) -> None:
    text = pa.array([b"a", b"\xff", b"c"], pa.binary()).view(pa.string())
    when = pa.array([0, 1, 1 << 45], pa.timestamp("s"))
    pq.write_table(pa.table({"text": text, "when": when}), tmp_path / "a.parquet")
    rows, refused = read(tmp_path / "a.parquet")
    assert [value for _, value in rows] == [
        {"text": "a", "when": datetime.datetime(1970, 1, 1)},  # noqa: DTZ001 - as it is stored
        {"text": "c", "when": None},
    ]
    assert [where for where, _ in rows] == ["a.parquet row 1", "a.parquet row 3"]
    assert refused == ["a.parquet row 2 holds text that is not UTF-8: write it in UTF-8"]


def test_a_file_that_is_damaged_is_named(tmp_path: Path, read) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {number}" for number in range(2000)]}), path, compression="gzip")
    whole = path.read_bytes()
    for data in (b"", b"text\na\n", whole[:-20], whole[:100] + bytes(400) + whole[500:]):
        path.write_bytes(data)
        (refused,) = read(path)[1]
        assert refused.startswith("a.parquet can't be read as Parquet behind row 0 (")
        assert refused.endswith("it is damaged, was written incompletely, or is no Parquet file")


def test_a_column_that_stands_twice_is_refused(tmp_path: Path, read) -> None:
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), tmp_path / "a.parquet"
    )
    assert read(tmp_path / "a.parquet")[1] == ["a.parquet: the column 'text' stands twice: rename one of them"]
