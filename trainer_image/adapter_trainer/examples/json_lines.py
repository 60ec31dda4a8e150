"""Reading JSON Lines: one JSON object per line, in UTF-8."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from adapter_trainer.errors import BadData

SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ""})
"""What a file of examples may be called; a key of a config map often has no suffix."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file; `where` names file and line for messages."""

    where: str
    value: dict[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """Read the objects of a file in order. Blank lines don't count.

    Raises:
        BadData: which line is not a JSON object, or that the file is of a type that this release doesn't read. The
            content of a line stands in no message: it may be private.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadData(
            f"dataset: {path.name} is of a type that can't be read; this release reads JSON Lines "
            "(.jsonl, .ndjson or .json: one JSON object per line, in UTF-8)"
        )
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            data = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
            if data.strip():
                where = f"{path.name} line {number}"
                yield Row(where, _parse(data.rstrip(b"\r\n"), where))


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadData(f"{where} is not UTF-8: save the file in UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadData(
            f"{where} is not JSON ({error.msg} at column {error.colno}): each line must be one JSON object"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadData(f"{where} is not JSON that can be read ({type(error).__name__}: {error})") from error
    if not isinstance(value, dict):
        raise BadData(f"{where} is a JSON {_kind(value)}: each line must be one JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "array"
    return "string" if isinstance(value, str) else "scalar"
