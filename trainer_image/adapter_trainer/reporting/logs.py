"""The log: one JSON object per line on standard output, where progress documents stand, too."""

import json
import logging
import sys
import threading
import warnings
from datetime import UTC, datetime
from typing import TextIO

_QUIET = (
    "bitsandbytes.backends.cpu.ops",
    "httpx2",
    "urllib3",
    "botocore",
    "filelock",
    "huggingface_hub",
    "transformers",
)
"""Loggers that say nothing of use below an error. That of bitsandbytes warns of a kernel of the Hub's, which is never
asked for; that of transformers of choices that this program makes on purpose."""

_FOR_DEVELOPERS = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
"""Warnings that libraries give to who calls them; users can do nothing about them."""


class LineStream:
    """Writes whole lines, from several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write_line(self, line: str) -> None:
        """Write a line and flush it. Nobody reading any more is no reason to stop training."""
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except OSError:
                return


class JSONFormatter(logging.Formatter):
    """A record as one JSON object; what was passed as `extra={"fields": {...}}` become members of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= fields
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


class _LineHandler(logging.Handler):
    def __init__(self, lines: LineStream) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.write_line(self.format(record))
        except Exception:  # a library's wrong format string must not end a training
            self.handleError(record)


def configure_logging(stream: TextIO | None = None) -> LineStream:
    """Send all logs and warnings of the process to a stream (standard output), and return it for other lines."""
    lines = LineStream(stream or sys.stdout)
    handler = _LineHandler(lines)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(capture=True)
    for category in _FOR_DEVELOPERS:
        warnings.simplefilter("ignore", category)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    return lines
