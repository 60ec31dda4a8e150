"""ControllerRevisions, whose data can't change: not even the bytes in which it was sent.

The server keeps ``data`` as the bytes of the request and compares bytes. A patch, and every client that reads
the object and writes it back, sends it as Go writes JSON: sorted, compact, with Go's escapes. Data that was
sent in another form therefore equals no later form of itself, and every update of the revision is refused
(seen on 1.36).

An object from JSON no longer knows its bytes. `with_sent_data` keeps them in it, as a dict that also has
``raw``; a plain dict stands for data in Go's form, and so does what comes from the store again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions.errors import invalid, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import Strategy
from adapter_devcluster.objects import Object

# encoding/json escapes these, so that its output is safe inside HTML.
_ESCAPED: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&"})
_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")


class SentData(dict[str, Any]):
    """The data of a revision, with the bytes in which it was sent."""

    def __init__(self, value: Mapping[str, Any], raw: bytes) -> None:
        super().__init__(value)
        self.raw = raw


def canonical_data(value: object) -> bytes:
    """Write data as Go does after it has read it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.translate(_ESCAPED).encode()


def with_sent_data(obj: Object, body: bytes) -> Object:
    """Return a ControllerRevision, read from the JSON ``body``, so that it remembers the bytes of its data.

    Data in Go's form is left as it is.
    """
    data, raw = obj.get("data"), _member(body, "data")
    if not isinstance(data, dict) or raw is None or raw == canonical_data(data):
        return obj
    return {**obj, "data": SentData(data, raw)}


def _member(body: bytes, name: str) -> bytes | None:
    """Return the bytes of a member of a JSON object; of several of the name, the last. Raises ValueError."""
    text, found = body.decode(), None
    position = _skip(text, text.find("{") + 1)
    while position < len(text) and text[position] == '"':
        key, position = _DECODER.raw_decode(text, position)
        start = _skip(text, _skip(text, position) + 1)
        _, end = _DECODER.raw_decode(text, start)
        if key == name:
            found = text[start:end].encode()
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
    return found


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _bytes_of(data: object) -> bytes:
    return data.raw if isinstance(data, SentData) else canonical_data(data)


def _check(obj: Object) -> Iterator[FieldError]:
    if obj.get("data") is None:
        yield required("data", "data is mandatory")
    yield from checks.non_negative(obj, "", "revision")


def _check_update(new: Object, old: Object) -> Iterator[FieldError]:
    data, stored = new.get("data"), old.get("data")
    # The very object that is stored was read and written back, so it is in Go's form now.
    sent = canonical_data(data) if data is stored else _bytes_of(data)
    if sent != _bytes_of(stored):
        yield invalid("data", data, checks.IMMUTABLE)


CONTROLLER_REVISIONS: Final = Strategy(check=_check, check_update=_check_update)
