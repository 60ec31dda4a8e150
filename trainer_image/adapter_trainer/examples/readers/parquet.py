"""Reading Parquet in batches; lists of structs, such as messages, become lists of objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter_trainer.errors import BadData
from adapter_trainer.examples.readers.row import Refused, Row

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-untyped]  # it has no type hints

_ROWS_AT_A_TIME = 256


def read_parquet(path: Path, name: str, refused: Refused) -> Iterator[Row]:
    """Read the rows of a file in order.

    Raises:
        BadData: the file is no Parquet file, or is damaged.
    """
    # Loading it takes a while, and most data comes as JSON Lines.
    import pyarrow  # noqa: PLC0415 - slow
    import pyarrow.parquet  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no type hints

    damaged = (pyarrow.ArrowException, OSError, ValueError)
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            _require_columns(table.schema_arrow.names, name)
            for batch in table.iter_batches(batch_size=_ROWS_AT_A_TIME, use_threads=False):
                for value in _values(batch, f"{name} row", number, refused):
                    number += 1
                    if value is not None:
                        yield Row(f"{name} row {number}", value)
    except damaged as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the volume's fault, not the file's
        raise BadData(
            f"{name} can't be read as Parquet behind row {number} ({_first_line(error)}): "
            "it is damaged, was written incompletely, or is no Parquet file"
        ) from error


def _values(batch: "pyarrow.RecordBatch", name: str, before: int, refused: Refused) -> Iterator[dict[str, Any] | None]:
    """Return the rows of a batch; None for one that holds no text where it should."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):  # one of its cells; nothing was yielded yet
        for position in range(batch.num_rows):
            try:
                yield {column: _cell(batch.column(column), position) for column in batch.schema.names}
            except UnicodeDecodeError:
                refused(BadData(f"{name} {before + position + 1} holds text that is not UTF-8: write it in UTF-8"))
                yield None


def _cell(column: "pyarrow.Array", position: int) -> object:
    try:
        return column[position].as_py()
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):  # a date beyond Python's, which no format asks for
        return None


def _require_columns(names: list[str], file: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadData(f"{file}: the column {twice[0][:40]!r} stands twice: rename one of them")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0][:200]
