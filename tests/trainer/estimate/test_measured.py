"""The estimate against the peak of real trainings on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[3]


def test_it_is_within_15_percent_of_what_trainings_take() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/trainer/estimate.py", "--case", "0", "--case", "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert abs(json.loads(done.stdout.splitlines()[-1])["worst_percent"]) < 15, done.stdout
