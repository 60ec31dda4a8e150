from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter_trainer.errors import BadData
from adapter_trainer.examples.readers.files import read_files

Read = Callable[[Path], tuple[list[tuple[str, dict[str, Any]]], list[str]]]


@pytest.fixture
def read() -> Read:
    """Read a file as a dataset of one file; return its rows (where, value) and what was refused."""

    def read_file(path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
        refused: list[BadData] = []
        rows = [(row.where, row.value) for row in read_files([path], refused.append)]
        return rows, [str(error) for error in refused]

    return read_file
