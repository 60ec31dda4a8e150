"""How much memory is left to the process."""

from pathlib import Path

import pytest

from adapter_trainer.memory_limit import available_memory

pytestmark = pytest.mark.unit

MEMORY = "MemTotal:       24105000 kB\nMemFree: 1 kB\nMemAvailable:   2000 kB\n"


def written(directory: Path, *, limit: str, used: int, stat: str = "") -> Path:
    (directory / "memory.max").write_text(f"{limit}\n")
    (directory / "memory.current").write_text(f"{used}\n")
    (directory / "memory.stat").write_text(stat)
    return directory


def test_the_smaller_of_container_and_machine_counts(tmp_path: Path) -> None:
    host = tmp_path / "meminfo"
    host.write_text(MEMORY)
    assert available_memory(written(tmp_path, limit="1000", used=400), host) == 600
    assert available_memory(written(tmp_path, limit="9000000", used=400), host) == 2_048_000


@pytest.mark.parametrize(
    ("stat", "left"),
    [
        ("anon 300\ninactive_file 70\nactive_file 30\nfile_mapped 0\n", 700),
        ("inactive_file 70\nactive_file 30\nfile_mapped 60\n", 640),
        ("inactive_file 10\nactive_file 0\nfile_mapped 60\n", 600),
    ],
)
def test_copies_of_files_are_given_back_but_mapped_ones_are_needed(tmp_path: Path, stat: str, left: int) -> None:
    assert available_memory(written(tmp_path, limit="1000", used=400, stat=stat), tmp_path / "gone") == left


def test_a_group_without_limit_leaves_what_the_machine_has(tmp_path: Path) -> None:
    host = tmp_path / "meminfo"
    host.write_text(MEMORY)
    assert available_memory(written(tmp_path, limit="max", used=400), host) == 2_048_000
    assert available_memory(tmp_path / "gone", host) == 2_048_000


def test_a_limit_that_is_used_up_leaves_nothing(tmp_path: Path) -> None:
    assert available_memory(written(tmp_path, limit="1000", used=1400), tmp_path / "gone") == 0


@pytest.mark.parametrize("text", ["", "MemFree: 1 kB\n", "MemAvailable: many kB\n"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str) -> None:
    host = tmp_path / "meminfo"
    host.write_text(text)
    assert available_memory(tmp_path / "gone", host) is None
    assert available_memory(tmp_path / "gone", tmp_path / "gone") is None
