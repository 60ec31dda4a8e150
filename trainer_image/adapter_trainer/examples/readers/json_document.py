"""Reading one JSON document: an array of objects, or an object with a member that is such an array.

The array is read element by element, so that the memory needed is that of the largest element, however long the
file. The standard library has no such parser, but its decoder tells where a value ends: text is added to a window
until the next value is complete in it.
"""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from adapter_trainer.errors import BadData
from adapter_trainer.examples.readers.json_lines import BYTE_ORDER_MARK, kind, read_json_lines, refuse_constant
from adapter_trainer.examples.readers.row import Refused, Row

LARGEST_VALUE = 64 << 20
"""Characters that one value (an example, or a member beside the array) may have."""

_BLANK = " \t\r\n"
_CORRECT = "correct it, or write the file again if it is cut"
_CHUNK = 1 << 16
_AT_THE_END = 16
"""An error so close to the end of the window may come from the cut: an escape or a number that goes on."""


def read_json(path: Path, name: str, refused: Refused) -> Iterator[Row]:
    """Read a file called .json: one document, or JSON Lines, which are often called so.

    Raises:
        BadData: the document can't be read (on); elements that are no objects are told to `refused` instead.
    """
    if _is_json_lines(path):
        yield from read_json_lines(path, name, refused)
        return
    with path.open("rb") as stream:
        window = _Window(stream, name)
        yield from (_array(window, refused) if window.peek() == "[" else _object(window, refused))
        if window.peek():
            raise window.error("goes on behind the end of the document: one document per file, or one object per line")


def _is_json_lines(path: Path) -> bool:
    """Tell whether the first line holds a whole object and another line follows, or it is all there is."""
    with path.open("rb") as stream:
        first = b""
        while not first.strip():
            line = stream.readline(LARGEST_VALUE)
            if not line:
                return True  # an empty file has no rows either way
            first = line.removeprefix(BYTE_ORDER_MARK)
        if first.lstrip()[:1] == b"[":
            return False
        try:
            value = json.loads(first.decode())
        except json.JSONDecodeError as error:
            # The first line of a document over several lines is in order as far as it goes. Whatever else this is,
            # the reader of lines says best what is wrong with it.
            return error.pos < len(error.doc.rstrip()) - 1 and len(first) < LARGEST_VALUE
        except (ValueError, RecursionError):
            return True
        if not isinstance(value, dict):
            return True
        return any(line.strip() for line in stream) or not any(_holds_rows(member) for member in value.values())


def _holds_rows(value: object) -> bool:
    """Tell whether a member is the array of the examples. An array of messages is not: it is part of one example."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and not _is_message(value[0])


def _is_message(value: dict[str, Any]) -> bool:
    return {"role", "content"} <= value.keys() or {"from", "value"} <= value.keys()


class _Window:
    """The part of a document that is being parsed."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._decoder = json.JSONDecoder(parse_constant=refuse_constant)
        self._text, self._at, self._ended = "", 0, False
        self._lines, self._counted = 1, 0
        self.name = name

    def peek(self) -> str:
        """Return the next character that is not blank; none at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    def take(self, characters: str) -> str:
        """Go past one of these characters."""
        found = self.peek()
        if not found or found not in characters:
            raise self.error(f"is not JSON ({' or '.join(characters)} is missing): {_CORRECT}")
        self._at += 1
        return found

    def value(self) -> object:
        """Go past a whole value and return it."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _AT_THE_END or error.msg.startswith("Unterminated string")
                if not (cut and self._read_on()):
                    self._at = error.pos
                    raise self.error(f"is not JSON ({error.msg}): {_CORRECT}") from error
            except (ValueError, RecursionError) as error:
                raise self.error(f"holds JSON that can't be read ({type(error).__name__}: {error})") from error
            else:
                # A number or word at the edge of the window may go on behind it.
                if end < len(self._text) or not self._read_on():
                    self._at = end
                    return value

    def line(self) -> int:
        """Return the number of the line that is being read."""
        self._lines += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._lines

    def error(self, what: str) -> BadData:
        """Return an error that names file and line."""
        return BadData(f"{self.name} line {self.line()} {what}")

    def _read_on(self) -> bool:
        if self._ended:
            return False
        rest = self._text[self._at :]
        if len(rest) > LARGEST_VALUE:
            raise self.error(f"begins a value of more than {LARGEST_VALUE >> 20} MiB: write JSON Lines (.jsonl)")
        self.line()
        self._text, self._at, self._counted = rest, 0, 0
        chunk = self._stream.read(max(_CHUNK, len(rest)))
        self._ended = not chunk
        try:
            self._text += self._decode(chunk, self._ended)
        except UnicodeDecodeError as error:
            raise self.error("or one of the next is not UTF-8: save the file in UTF-8") from error
        return True


def _array(window: _Window, refused: Refused) -> Iterator[Row]:
    window.take("[")
    if window.peek() == "]":
        window.take("]")
        return
    number = 0
    while True:
        window.peek()
        number += 1
        where = f"{window.name} line {window.line()} (element {number})"
        value = window.value()
        if isinstance(value, dict):
            yield Row(where, value)
        else:
            refused(BadData(f"{where} is a JSON {kind(value)}: each element must be an object"))
        if window.take(",]") == "]":
            return


def _examples(window: _Window, refused: Refused) -> Iterator[Row]:
    for row in _array(window, refused):
        if _is_message(row.value):
            raise window.error(
                "belongs to one example that is written over several lines: write each example on one line, or all of "
                "them into one array"
            )
        yield row


def _object(window: _Window, refused: Refused) -> Iterator[Row]:
    """Read the examples from the one member that holds them; others, such as a version, are passed over."""
    window.take("{")
    found: str | None = None
    while window.peek() != "}":
        key = window.value()
        if not isinstance(key, str):
            raise window.error("is not JSON (a key must be a string)")
        window.take(":")
        if window.peek() != "[":
            window.value()
        elif found is None:
            found = key
            yield from _examples(window, refused)
        else:
            raise window.error(
                f"holds a second array ({key[:40]!r} besides {found[:40]!r}): which one has the examples can't be "
                "known; write the one of them to a file"
            )
        if window.take(",}") == "}":
            break
    else:
        window.take("}")
    if found is None:
        raise window.error(
            "ends an object without an array of examples: write one object per line, or an array of them"
        )
