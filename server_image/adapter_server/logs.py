"""The log: one JSON object per line on standard output. It never holds prompts, answers or API keys."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_FIELDS = "fields"


class JsonLines(logging.Formatter):
    """Formats a record, with the fields that `log_fields` gave it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure() -> None:
    """Send the records of this program, and warnings of all others, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("adapter_server", "adapter_contract"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def log_fields(logger: logging.Logger, message: str, fields: Mapping[str, Any]) -> None:
    """Log a message with fields of their own; those that are None are left out."""
    told = {name: value for name, value in fields.items() if value is not None}
    logger.info(message, extra={_FIELDS: told})
