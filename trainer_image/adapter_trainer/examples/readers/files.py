"""Which files hold examples, and which reader reads them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from adapter_trainer.errors import BadData
from adapter_trainer.examples.readers.csv_table import read_csv
from adapter_trainer.examples.readers.json_document import read_json
from adapter_trainer.examples.readers.json_lines import read_json_lines
from adapter_trainer.examples.readers.parquet import read_parquet
from adapter_trainer.examples.readers.row import Refused, Row

DATA_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""What the names of files of examples end with, in lower case."""

READABLE = (
    "JSON Lines (.jsonl, .ndjson), JSON (.json), CSV (.csv, .tsv) and Parquet (.parquet), uncompressed; text in UTF-8"
)


def suffix_of_data(name: str) -> str:
    """Return the suffix of a file's name in lower case; none is that of a key of a config map, for example."""
    return PurePosixPath(name).suffix.lower()


def is_data_file(name: str) -> bool:
    """Tell whether a file counts as data where a directory or a prefix is given."""
    return suffix_of_data(name) in DATA_SUFFIXES


def read_rows(path: Path, name: str, refused: Refused) -> Iterator[Row]:
    """Read the rows of a file in order, a few at a time. A file without suffix is read as JSON.

    Args:
        path: of the file.
        name: of the file, for messages.
        refused: is told of each row that can't be read.

    Raises:
        BadData: the file as a whole can't be read (on).
    """
    suffix = suffix_of_data(path.name)
    if suffix in {".jsonl", ".ndjson"}:
        return read_json_lines(path, name, refused)
    if suffix in {".json", ""}:
        return read_json(path, name, refused)
    if suffix in {".csv", ".tsv"}:
        return read_csv(path, name, refused, delimiter="\t" if suffix == ".tsv" else ",")
    if suffix == ".parquet":
        return read_parquet(path, name, refused)
    raise BadData(f"dataset: {name} is of a type that can't be read; this release reads {READABLE}")


def read_files(files: Sequence[Path], refused: Refused) -> Iterator[Row]:
    """Read the rows of several files, of whatever types; a file that can't be read doesn't hide the next ones.

    Args:
        files: in order.
        refused: is told of each row, and of each file, that can't be read.
    """
    for path, name in zip(files, names_of(files), strict=True):
        try:
            yield from read_rows(path, name, refused)
        except BadData as error:
            refused(error)


def names_of(files: Sequence[Path]) -> list[str]:
    """Return what to call files in messages: their names, or as much of their paths as tells them apart."""
    if len({path.name for path in files}) == len(files):
        return [path.name for path in files]
    root = os.path.commonpath([path.parent for path in files])
    return [path.relative_to(root).as_posix() for path in files]
