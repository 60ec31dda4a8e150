"""Which files of a repository a subset and a split are: by the card, else by names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.inputs.hub_dataset import Wanted, _expression, select_files

pytestmark = pytest.mark.unit

WHERE = "hf://datasets/org/chats@c0ffee"


def card(metadata: str) -> bytes:
    return f"---\nlicense: mit\n{metadata}---\n# Chats\n".encode()


def select(
    paths: list[str], *, subset: str | None = None, split: str | None = None, metadata: str | None = None
) -> tuple[str, ...]:
    about = None if metadata is None else card(metadata)
    return select_files(["README.md", *paths], about, Wanted(WHERE, "dataset.source", subset, split)).paths


BY_CARD = """configs:
- config_name: plain
  data_files:
  - split: train
    path: ["plain/a.jsonl", "plain/b-*.jsonl"]
  - split: test
    path: plain/test.jsonl
- config_name: whole
  data_files: "whole/**/*.parquet"
- config_name: halves
  data_files: {train: h/1.csv, validation: h/2.csv}
- config_name: directory
  data_dir: dir
- config_name: inside
  data_dir: dir
  data_files: "*.jsonl"
"""
FILES = [
    "plain/a.jsonl", "plain/b-1.jsonl", "plain/b-2.jsonl", "plain/test.jsonl", "plain/other.jsonl",
    "whole/x.parquet", "whole/y/z.parquet", "h/1.csv", "h/2.csv", "dir/train.jsonl", "dir/test.jsonl",
]  # fmt: skip


@pytest.mark.parametrize(
    ("subset", "split", "expected"),
    [
        ("plain", None, ("plain/a.jsonl", "plain/b-1.jsonl", "plain/b-2.jsonl")),
        ("plain", "test", ("plain/test.jsonl",)),
        ("whole", None, ("whole/x.parquet", "whole/y/z.parquet")),
        ("halves", "validation", ("h/2.csv",)),
        ("halves", "dev", ("h/2.csv",)),
        ("directory", "test", ("dir/test.jsonl",)),
        ("inside", "train", ("dir/test.jsonl", "dir/train.jsonl")),
    ],
)
def test_the_card_decides(subset: str, split: str | None, expected: tuple[str, ...]) -> None:
    assert select(FILES, subset=subset, split=split, metadata=BY_CARD) == expected


@pytest.mark.parametrize(
    ("subset", "split", "finding"),
    [
        (
            None,
            None,
            "dataset.source.subset: hf://datasets/org/chats@c0ffee has several subsets; set subset to one of: ",
        ),
        ("gone", None, "has no subset gone; set subset to one of: directory, halves, inside, plain, whole"),
        (
            "plain",
            "dev",
            "dataset.source.split: hf://datasets/org/chats@c0ffee has no split dev; set split to one of: ",
        ),
    ],
)
def test_what_the_card_does_not_have_is_refused(subset: str | None, split: str | None, finding: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(finding)):
        select(FILES, subset=subset, split=split, metadata=BY_CARD)


def test_the_default_subset_is_marked_named_or_the_only_one() -> None:
    marked = "configs:\n- {config_name: a, data_files: a.csv}\n- {config_name: b, data_files: b.csv, default: true}\n"
    assert select(["a.csv", "b.csv"], metadata=marked) == ("b.csv",)
    named = "configs:\n- {config_name: a, data_files: a.csv}\n- {config_name: default, data_files: b.csv}\n"
    assert select(["a.csv", "b.csv"], metadata=named) == ("b.csv",)
    assert select(["a.csv"], metadata="configs:\n- {config_name: a, data_files: a.csv}\n") == ("a.csv",)


@pytest.mark.parametrize(
    ("metadata", "finding"),
    [
        ("configs: [\n", "the metadata in README.md of hf://datasets/org/chats@c0ffee is no YAML: correct it"),
        ("configs: 3\n", "configs must be a list of objects"),
        ("configs:\n- {config_name: a, data_files: [3]}\n", "configs.data_files must name paths"),
        ("configs:\n- {config_name: a, data_files: []}\n", "configs.data_files must name paths"),
        ('configs:\n- {config_name: a, data_files: "[z-a].csv"}\n', "has '[z-a].csv', which is no pattern"),
        ("configs:\n- {config_name: a, data_files: gone.csv}\n", "names 'gone.csv' for split train, and no file is so"),
    ],
)
def test_a_card_that_can_not_be_used_is_bad_data(metadata: str, finding: str) -> None:
    with pytest.raises(BadData, match=re.escape(finding)):
        select(["a.csv"], metadata=metadata)


@pytest.mark.parametrize(
    ("paths", "split", "expected"),
    [
        (["train.jsonl", "test.jsonl"], None, ("train.jsonl",)),
        (["train.jsonl", "test.jsonl", "valid.jsonl"], "validation", ("valid.jsonl",)),
        (["my_train_file.csv", "eval.csv", "latest.csv"], "test", ("eval.csv",)),
        (["train1.csv", "train2.csv"], "train", ("train1.csv", "train2.csv")),
        (["data/train-00000-of-00002-0a1b.parquet", "data/train-00001-of-00002-0a1b.parquet",
          "data/gen.v2-00000-of-00001.parquet"], "gen.v2", ("data/gen.v2-00000-of-00001.parquet",)),
        (["training/a.jsonl", "training/b.jsonl", "testing/a.jsonl"], None, ("training/a.jsonl", "training/b.jsonl")),
        (["a.jsonl", "b/c.jsonl"], None, ("a.jsonl", "b/c.jsonl")),
        (["a.jsonl"], "train", ("a.jsonl",)),
        (["notes.txt"], None, ()),
    ],
)  # fmt: skip
def test_without_a_card_names_decide(paths: list[str], split: str | None, expected: tuple[str, ...]) -> None:
    assert select(paths, split=split) == select(paths, split=split, metadata="") == expected


def test_a_subset_without_a_card_is_a_directory() -> None:
    paths = ["en/train-00000-of-00001.parquet", "en/test-00000-of-00001.parquet", "de/train-00000-of-00001.parquet"]
    assert select(paths, subset="en", split="test") == ("en/test-00000-of-00001.parquet",)
    with pytest.raises(BadConfiguration, match=r"\.subset: .* has no subset fr, nor a directory .* one of: de, en$"):
        select(paths, subset="fr")


def test_a_split_that_has_to_be_chosen_is_not_guessed() -> None:
    with pytest.raises(
        BadConfiguration, match=r"\.split: .* has no split train; set split to one of: test, validation$"
    ):
        select(["test.csv", "dev.csv"])


def test_loading_scripts_are_never_run() -> None:
    with pytest.raises(
        BadConfiguration, match=r"loading script chats\.py, and scripts are never run; choose a revision"
    ):
        select(["chats.py", "raw.csv"])
    assert select(["chats.py", "a.csv"], metadata="configs:\n- {config_name: a, data_files: a.csv}\n") == ("a.csv",)


def test_types_are_not_mixed_within_a_split() -> None:
    assert select(["train.jsonl", "test.csv"]) == ("train.jsonl",)
    with pytest.raises(BadConfiguration, match=r"split train of .* holds files of several types"):
        select(["train.jsonl", "train.csv"])
    with pytest.raises(BadConfiguration, match="compressed"):
        select(["train.jsonl.gz"])


@given(st.text(alphabet="ab*?[]!-./\\^$+(){}|", max_size=12), st.text(alphabet="ab./", max_size=8))
def test_no_pattern_fails(pattern: str, path: str) -> None:
    _expression(pattern, Wanted(WHERE, "dataset.source", None, None)).fullmatch(path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.csv", "a.csv", True), ("*.csv", "d/a.csv", False), ("**/*.csv", "a.csv", True),
        ("**/*.csv", "d/e/a.csv", True), ("d/**", "d/e/a.csv", True), ("a?.csv", "ab.csv", True),
        ("a?.csv", "a/.csv", False), ("[ab].csv", "b.csv", True), ("[!ab].csv", "b.csv", False),
        ("a.csv", "abcsv", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, *, matches: bool) -> None:
    assert (_expression(pattern, Wanted(WHERE, "dataset.source", None, None)).fullmatch(path) is not None) == matches
