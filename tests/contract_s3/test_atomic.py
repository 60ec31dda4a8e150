"""Files and directories appear whole, after they are on disk, or not at all."""

import os
import stat
from pathlib import Path

import pytest

from adapter_contract.s3.atomic import new_directory, new_file, reserve, write_all

pytestmark = pytest.mark.unit


@pytest.fixture
def synchronized(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, bool]]:
    """What was brought to disk, in order: a file or a directory, and whether the target had its name by then."""
    seen: list[tuple[str, bool]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, (tmp_path / "target").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return seen


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path: Path, synchronized: list[tuple[str, bool]]):
    with new_file(tmp_path / "target") as descriptor:
        reserve(descriptor, 4)
        write_all(descriptor, b"data", 0)
        assert not (tmp_path / "target").exists()

    assert (tmp_path / "target").read_bytes() == b"data"
    assert synchronized == [("file", False), ("directory", True)]


def test_a_directory_is_on_disk_before_it_has_its_name(tmp_path: Path, synchronized: list[tuple[str, bool]]):
    with new_directory(tmp_path / "target") as temporary:
        (temporary / "below").mkdir()
        (temporary / "below" / "file").write_bytes(b"data")

    assert (tmp_path / "target" / "below" / "file").read_bytes() == b"data"
    assert synchronized == [("directory", False), ("directory", False), ("directory", True)]


class _FailedError(Exception):
    pass


def test_after_a_failure_nothing_is_left(tmp_path: Path):
    def fail_in_a_file() -> None:
        with new_file(tmp_path / "target") as descriptor:
            write_all(descriptor, b"data", 0)
            raise _FailedError

    def fail_in_a_directory() -> None:
        with new_directory(tmp_path / "target") as temporary:
            (temporary / "below").mkdir()
            raise _FailedError

    for fail in (fail_in_a_file, fail_in_a_directory):
        with pytest.raises(_FailedError):
            fail()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_appears_meanwhile_is_not_replaced(tmp_path: Path):
    target = tmp_path / "target"

    def be_overtaken() -> None:
        with new_directory(target):
            target.mkdir()
            (target / "file").touch()

    with pytest.raises(FileExistsError, match="appeared meanwhile"):
        be_overtaken()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in target.iterdir()] == ["file"]


def test_long_names_get_temporary_names_too(tmp_path: Path):
    name = "ü" * 127
    with new_file(tmp_path / name) as descriptor:
        write_all(descriptor, b"x", 0)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_room_is_reserved_before_anything_is_written(tmp_path: Path):
    with new_file(tmp_path / "target") as descriptor:
        reserve(descriptor, 12345)
        assert os.fstat(descriptor).st_size == 12345
        reserve(descriptor, 0)
