"""What every reader yields."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from adapter_trainer.errors import BadData


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file; `where` names file and line (or row) for messages."""

    where: str
    value: dict[str, Any]


Refused: TypeAlias = Callable[[BadData], None]
"""Is told of each row that can't be read; the reader goes on with the next one."""
