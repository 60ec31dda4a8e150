"""Which files below a prefix are the examples: by their names."""

import gzip
import re

import pytest

from adapter_trainer.errors import BadConfiguration
from adapter_trainer.inputs.data_files import compression_of, data_files, require_readable_name

pytestmark = pytest.mark.unit

FIELD = "dataset.source"


def chosen(*paths: str) -> tuple[str, ...]:
    return data_files(paths, "s3://data/x/", FIELD).paths


@pytest.mark.parametrize(
    ("paths", "data"),
    [
        (["b.jsonl", "a/c.jsonl"], ("a/c.jsonl", "b.jsonl")),
        (["part-0.parquet", "_SUCCESS", ".part-0.parquet.crc", "_delta_log/0.json"], ("part-0.parquet",)),
        (["train.csv", "README.md", "LICENSE", ".gitattributes"], ("train.csv",)),
        (["data.JSONL", "dataset_info.json", "state.json"], ("data.JSONL",)),
        (["one.jsonl", "two.ndjson"], ("one.jsonl", "two.ndjson")),
        (["..2026_11_24/train.jsonl", "..data/train.jsonl", "train.jsonl"], ("train.jsonl",)),
        (["logs.gz", "train.tsv"], ("train.tsv",)),
        (["README.md"], ()),
        ([], ()),
    ],
)
def test_what_counts(paths: list[str], data: tuple[str, ...]) -> None:
    found = data_files(paths, "s3://data/x/", FIELD)
    assert found.paths == data
    assert sorted(found.paths + found.left_out) == sorted(paths)


@pytest.mark.parametrize(
    ("paths", "finding"),
    [
        (
            ["a.csv", "b.jsonl", "c.jsonl"],
            "holds files of several types (a.csv, b.jsonl): name the file, or keep one type",
        ),
        (["a.csv", "a.tsv"], "several types (a.csv, a.tsv)"),
        (["a.jsonl", "b.jsonl.gz"], "b.jsonl.gz of s3://data/x/ is compressed: decompress it (gunzip)"),
        (["train.json.zst"], "train.json.zst of s3://data/x/ is compressed: decompress it (unzstd)"),
        (["data-00000-of-00001.arrow", "state.json"], "arrow of s3://data/x/ is of a type that can't be read: write"),
        (["all.zip"], "all.zip of s3://data/x/ is of a type that can't be read: write the examples as *.jsonl"),
    ],
)
def test_no_data_are_left_out_in_silence(paths: list[str], finding: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(finding)) as caught:
        chosen(*paths)
    assert str(caught.value).startswith(f"{FIELD}: ")


def test_a_named_file_must_be_readable() -> None:
    for name in ("train.jsonl", "train", "chats.CSV"):
        require_readable_name(name, FIELD)
    with pytest.raises(
        BadConfiguration, match=r"^dataset\.source: train\.csv\.gz is compressed: decompress it \(gunzip"
    ):
        require_readable_name("train.csv.gz", FIELD)
    with pytest.raises(
        BadConfiguration, match=r"train\.tar is of a type that can't be read: write the examples as \*\."
    ):
        require_readable_name("train.tar", FIELD)
    with pytest.raises(BadConfiguration, match=r"notes\.txt is of a type that can't be read: write the examples as"):
        require_readable_name("notes.txt", FIELD)


def test_compression_shows_in_the_first_bytes() -> None:
    assert compression_of(gzip.compress(b"{}")) == "gunzip"
    assert compression_of(b"PAR1") is None
    assert compression_of(b"") is None
