"""Container logs: files with a time before each line, and readers of them.

A line of the file is ``<time> F <text>``, or ``P`` where a longer line goes on, as in the CRI's log format.
Lines are cut at 16 KiB there, as container runtimes do, and put together again on reading.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from adapter_devcluster.node.broadcast import Broadcast

LONGEST_PART: Final = 16 * 1024
_BLOCK: Final = 64 * 1024
_TIME_LENGTH: Final = 30


class LogWriter:
    """Writes what a container says to a file, and wakes who follows it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._rest = b""
        self._changed = Broadcast()

    def write(self, data: bytes) -> None:
        """Add output as it came. A line is written when it is whole, or 16 KiB of it."""
        stamp = _timestamp()
        *lines, self._rest = (self._rest + data).split(b"\n")
        parts = [part for line in lines for part in _cut(line, stamp, ended=True)]
        if len(self._rest) > LONGEST_PART:
            whole = len(self._rest) // LONGEST_PART * LONGEST_PART
            parts += _cut(self._rest[:whole], stamp, ended=False)
            self._rest = self._rest[whole:]
        if parts:
            self._file.write(b"".join(parts))
            self._changed.tell()

    def close(self) -> None:
        """End the log: the container has ended, and a last line without a line feed is one too."""
        if not self.closed:
            self._file.write(b"".join(_cut(self._rest, _timestamp(), ended=False) if self._rest else []))
            self._file.close()
            self.closed = True
            self._changed.tell()

    async def wait(self) -> None:
        """Wait for more lines, or for the end."""
        await self._changed.wait()


def _timestamp() -> bytes:
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % nanoseconds


def _cut(line: bytes, stamp: bytes, *, ended: bool) -> list[bytes]:
    parts = [line[at : at + LONGEST_PART] for at in range(0, len(line), LONGEST_PART)] or [b""]
    written = [b"%s P %s\n" % (stamp, part) for part in parts]
    if ended:
        written[-1] = b"%s F %s\n" % (stamp, parts[-1])
    return written


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What of a log to read: ``PodLogOptions``. ``since`` is a moment in UTC."""

    follow: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: dt.datetime | None = None
    timestamps: bool = False


async def read_log(path: Path, options: LogOptions, writer: LogWriter | None = None) -> AsyncGenerator[bytes, None]:
    """Yield a log in pieces, of whole lines unless ``limit_bytes`` cuts one.

    With ``follow`` it goes on until ``writer`` is closed. A log that is deleted meanwhile ends.
    """
    left = options.limit_bytes
    with path.open("rb") as file:
        file.seek(tail_offset(file, options.tail_lines))
        rest, goes_on = b"", False
        while left is None or left > 0:
            # Asked before reading: what is written before the end is read before it.
            open_writer = writer if options.follow and writer is not None and not writer.closed else None
            block = file.read(_BLOCK)
            if not block:
                if open_writer is None:
                    return
                await open_writer.wait()
                continue
            *lines, rest = (rest + block).split(b"\n")
            piece, goes_on = _shown(lines, options, goes_on)
            piece = piece if left is None else piece[:left]
            left = None if left is None else left - len(piece)
            if piece:
                yield piece
            await asyncio.sleep(0)


def _shown(lines: list[bytes], options: LogOptions, goes_on: bool) -> tuple[bytes, bool]:
    """Return what the reader sees of some lines of the file, and whether the last one goes on."""
    since = options.since.strftime("%Y-%m-%dT%H:%M:%S.%f").encode() if options.since else b""
    shown = []
    for line in lines:
        if line[:_TIME_LENGTH] >= since:
            stamp = line[: _TIME_LENGTH + 1] if options.timestamps and not goes_on else b""
            shown.append(stamp + line[_TIME_LENGTH + 3 :])
            goes_on = line[_TIME_LENGTH + 1 : _TIME_LENGTH + 2] == b"P"
            shown.append(b"" if goes_on else b"\n")
    return b"".join(shown), goes_on


def tail_offset(file: BinaryIO, lines: int | None) -> int:
    """Find where the last lines of a file begin, reading no more of it than needed."""
    end = position = file.seek(0, os.SEEK_END)
    if lines is None:
        return 0
    if lines == 0:
        return end
    wanted = lines + 1  # the line feed before the first wanted line
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        at = len(block)
        while wanted and (at := block.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
        if not wanted:
            return start + at + 1
        position = start
    return 0


def last_output(path: Path, *, lines: int, limit_bytes: int) -> str:
    """Return the end of a log as text, as a termination message that falls back to the log shows it."""
    with path.open("rb") as file:
        file.seek(tail_offset(file, lines))
        found = file.read().split(b"\n")[:-1]
    shown, _ = _shown(found, LogOptions(), goes_on=False)
    return shown[-limit_bytes:].decode(errors="replace")
