"""The lines of a file, none longer than memory allows: a file that is no text may have no line feed at all."""

from collections.abc import Iterator
from typing import BinaryIO

LONGEST_LINE = 64 << 20
"""Bytes; no example is that long."""

TOO_LONG = f"is longer than {LONGEST_LINE >> 20} MiB: the file is of another type, or its line feeds are missing"


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Return the lines with their line feeds, and their numbers from 1 on; None for a line that is too long."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) <= LONGEST_LINE:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE)
        yield number, None
