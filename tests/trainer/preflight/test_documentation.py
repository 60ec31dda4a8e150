"""The documentation lists every code that preflight can give, with its meaning."""

import re
from pathlib import Path

import pytest

from adapter_trainer.preflight.codes import Code

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[3] / "docs" / "training.md"


def table() -> str:
    rows = [
        f"| `{code.name}` | {code.value.severity.value.lower()}"
        f"{'' if code.value.exit_code is None else f', {int(code.value.exit_code)}'} | {code.value.text} |"
        for code in Code
    ]
    return "\n".join(["| code | severity, exit code | meaning |", "|---|---|---|", *rows])


def test_the_table_of_codes_is_that_of_the_program() -> None:
    found = re.search(r"<!-- codes:[^>]*-->\n(.*?)<!-- /codes -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert found[1].strip() == table(), "put the table of this test between the marks in docs/training.md"
