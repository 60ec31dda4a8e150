from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapter_trainer.errors import BadData
from adapter_trainer.examples.readers import lines
from adapter_trainer.examples.readers.files import is_data_file, read_files, suffix_of_data

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["train.txt", "train.arrow", "train.jsonl.gz", "README.md"])
def test_a_file_of_another_type_is_refused_with_what_is_read(tmp_path: Path, name: str, read) -> None:
    (tmp_path / name).write_bytes(b"")
    rows, (refused,) = read(tmp_path / name)
    assert rows == []
    assert refused.startswith(
        f"dataset: {name} is of a type that can't be read; this release reads JSON Lines (.jsonl,"
    )


def test_what_counts_as_data() -> None:
    assert all(map(is_data_file, ["a.jsonl", "b/c.NDJSON", "a.json", "a.csv", "a.tsv", "x.y.parquet"]))
    assert not any(map(is_data_file, ["a", "a.jsonl.gz", "README.md", "csv"]))
    assert suffix_of_data("dir.csv/KEY") == ""


def test_files_of_all_types_make_one_dataset_and_a_bad_one_hides_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "1"}\n')
    (tmp_path / "b.json").write_text('[{"text": "2"}]')
    (tmp_path / "c.csv").write_text("text\n3\n")
    (tmp_path / "d.gz").write_text("")
    pq.write_table(pa.table({"text": ["4"]}), tmp_path / "e.parquet")
    refused: list[BadData] = []
    rows = list(read_files(sorted(tmp_path.iterdir()), refused.append))
    assert [row.value["text"] for row in rows] == ["1", "2", "3", "4"]
    assert [row.where for row in rows] == [
        "a.jsonl line 1",
        "b.json line 1 (element 1)",
        "c.csv line 2",
        "e.parquet row 1",
    ]
    assert len(refused) == 1


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = [tmp_path / "a" / "train.jsonl", tmp_path / "b" / "c" / "train.jsonl"]
    for path in files:
        path.parent.mkdir(parents=True)
        path.write_text('{"text": "1"}\n{\n')
    refused: list[BadData] = []
    assert [row.where for row in read_files(files, refused.append)] == [
        "a/train.jsonl line 1",
        "b/c/train.jsonl line 1",
    ]
    assert [str(error)[:21] for error in refused] == ["a/train.jsonl line 2 ", "b/c/train.jsonl line "]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"text": "a"}\n' + "x" * 999 + '\n{"text": "b"}\n' + "x" * 50),
        ("a.csv", "text\na\n" + "x" * 999 + "\nb\n"),
    ],
)
def test_a_line_beyond_all_measure_is_refused(
    tmp_path: Path, read, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 40)
    (tmp_path / name).write_text(text)
    rows, refused = read(tmp_path / name)
    assert [value["text"] for _, value in rows] == ["a", "b"]
    assert f"{name} {'line 2' if name == 'a.jsonl' else 'line 3'} is longer than" in refused[0]
