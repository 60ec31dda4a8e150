"""A store with nothing in it, and a pod that mounts nothing yet."""

from pathlib import Path

import pytest

from adapter_testing.server_lab import Pod, Shelf, Things


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")


@pytest.fixture
def pod(tmp_path: Path, things: Things) -> Pod:
    return Pod(tmp_path / "pod", things.base)
