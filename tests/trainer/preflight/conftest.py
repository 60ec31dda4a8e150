from pathlib import Path

import pytest

from adapter_testing.preflight_lab import PreflightWorld


@pytest.fixture
def world(tmp_path: Path, tiny_base: Path) -> PreflightWorld:
    """A run that preflight finds nothing wrong with."""
    return PreflightWorld(tmp_path / "world", tiny_base)
