"""How many threads the libraries may start."""

import os
from pathlib import Path

import pytest

from adapter_trainer.processors import limit_threads, usable_processors

pytestmark = pytest.mark.unit

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000\n", ALLOWED),
        ("100000 100000\n", 1),
        ("150000 100000\n", min(ALLOWED, 2)),
        ("1000 100000\n", 1),
        ("6400000 100000\n", min(ALLOWED, 64)),
        ("", ALLOWED),
    ],
)
def test_the_limit_of_the_container_counts(tmp_path: Path, limit: str, expected: int) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(limit)
    assert usable_processors(path) == expected


def test_without_a_control_group_all_that_are_allowed_count(tmp_path: Path) -> None:
    assert usable_processors(tmp_path / "gone") == ALLOWED


def test_who_sets_the_number_knows_better(tmp_path: Path) -> None:
    path = tmp_path / "cpu.max"
    path.write_text("100000 100000")
    variables = {"OMP_NUM_THREADS": "7"}
    limit_threads(variables, path)
    assert variables == {"OMP_NUM_THREADS": "7"}
    variables.clear()
    limit_threads(variables, path)
    assert variables == {"OMP_NUM_THREADS": "1"}
