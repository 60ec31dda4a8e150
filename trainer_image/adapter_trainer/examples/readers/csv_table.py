"""Reading CSV and tab-separated values: a row of headers, then one example per record (RFC 4180), in UTF-8."""

import csv
from collections.abc import Iterator
from pathlib import Path

from adapter_trainer.errors import BadData
from adapter_trainer.examples.readers.lines import LONGEST_LINE, TOO_LONG, numbered_lines
from adapter_trainer.examples.readers.row import Refused, Row

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_csv(path: Path, name: str, refused: Refused, *, delimiter: str = ",") -> Iterator[Row]:
    """Read the records of a file in order; every cell is a string. Blank lines don't count.

    Columns whose header is empty are left out: pandas writes its index so, and spreadsheets their empty columns.

    Raises:
        BadData: the headers can't be read.
    """
    csv.field_size_limit(LONGEST_LINE)  # the module's own limit is 128 KiB, less than a long document
    lines = _Lines(path, name)
    records = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    try:
        header = next(records, None)
    except csv.Error as error:
        raise BadData(
            f"{name}: the headers can't be read ({error}): save the file as CSV in UTF-8, with a line feed behind each "
            "line"
        ) from error
    if lines.problems:
        raise BadData(f"{name} line {min(lines.problems)} {lines.problems[min(lines.problems)]}")
    if header is None:
        return
    header = [column.strip() for column in header]
    _require_headers(header, name, delimiter)
    while True:
        start = records.line_num + 1
        where = f"{name} line {start}"
        try:
            record = next(records, None)
        except csv.Error as error:
            refused(BadData(f"{where} is not CSV ({error}): a cell with quotes or line feeds stands in double quotes"))
            continue
        if record is None:
            return
        problem = lines.problem_since(start)
        if problem:
            refused(BadData(f"{name} line {problem}"))
        elif record and len(record) != len(header):
            refused(
                BadData(
                    f"{where} has {len(record)} cells, but there are {len(header)} headers: a cell with the delimiter, "
                    "quotes or line feeds stands in double quotes"
                )
            )
        elif record:
            yield Row(where, {column: cell for column, cell in zip(header, record, strict=True) if column})


class _Lines:
    """The lines of a file as text; what is wrong with one is kept, so that the parser stays in step."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self.problems: dict[int, str] = {}

    def __iter__(self) -> Iterator[str]:
        with self._path.open("rb") as stream:
            for number, line in numbered_lines(stream):
                if line is None:
                    self.problems[number] = TOO_LONG
                    yield "\n"
                    continue
                if number == 1 and line.startswith(_UTF16_MARKS):
                    raise BadData(f"{self._name} is UTF-16: save the file in UTF-8")
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    self.problems[number] = "is not UTF-8: save the file in UTF-8"
                    text = line.decode("utf-8", errors="replace")
                if "\0" in text:
                    self.problems.setdefault(number, "has a null byte: it is no text, or was written incompletely")
                yield text

    def problem_since(self, start: int) -> str | None:
        """Return and forget what was wrong with the lines from `start` on: number and description of the first."""
        found = [number for number in self.problems if number >= start]
        text = f"{found[0]} {self.problems[found[0]]}" if found else None
        self.problems.clear()
        return text


def _require_headers(header: list[str], file: str, delimiter: str) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise BadData(f"{file}: the header {twice[0][:40]!r} stands twice: rename one of the columns")
    if not any(header):
        raise BadData(
            f"{file}: its first line names no columns: put their headers there, such as prompt and completion"
        )
    other = next((sign for sign in ",;\t" if sign != delimiter and len(header) == 1 and sign in header[0]), None)
    if other:
        raise BadData(
            f"{file}: the headers are divided by {other!r}, not by {delimiter!r}: "
            "call the file .csv with commas, or .tsv with tabs"
        )
