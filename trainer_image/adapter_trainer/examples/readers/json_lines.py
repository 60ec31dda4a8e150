"""Reading JSON Lines: one JSON object per line, in UTF-8."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from adapter_trainer.errors import BadData
from adapter_trainer.examples.readers.lines import TOO_LONG, numbered_lines
from adapter_trainer.examples.readers.row import Refused, Row

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EACH_LINE = "each line must be one JSON object"


def read_json_lines(path: Path, name: str, refused: Refused) -> Iterator[Row]:
    """Read the objects of a file in order. Blank lines don't count.

    The content of a line stands in no message: it may be private.
    """
    with path.open("rb") as stream:
        for number, line in numbered_lines(stream):
            where = f"{name} line {number}"
            if line is None:
                refused(BadData(f"{where} {TOO_LONG}"))
                continue
            data = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            if not data.strip():
                continue
            try:
                yield Row(where, parse_object(data.rstrip(b"\r\n"), where))
            except BadData as error:
                refused(error)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object that a line is.

    Raises:
        BadData: it is none, or not UTF-8.
    """
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=refuse_constant)
    except UnicodeDecodeError as error:
        raise BadData(f"{where} is not UTF-8: save the file in UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadData(f"{where} is not JSON ({error.msg} at column {error.colno}): {EACH_LINE}") from error
    except (ValueError, RecursionError) as error:
        raise BadData(f"{where} is not JSON that can be read ({type(error).__name__}: {error})") from error
    if not isinstance(value, dict):
        hint = "; a whole array belongs into a file named .json" if isinstance(value, list) else ""
        raise BadData(f"{where} is a JSON {kind(value)}: {EACH_LINE}{hint}")
    return value


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python reads and JSON doesn't know."""
    raise ValueError(f"{name} is not a JSON value")


def kind(value: object) -> str:
    """Name the type of a JSON value that is no object."""
    if isinstance(value, list):
        return "array"
    return "string" if isinstance(value, str) else "scalar"
