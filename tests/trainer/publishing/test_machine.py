"""What a training ran on."""

import platform
import sys
from pathlib import Path

import pytest

from adapter_trainer.publishing import machine

pytestmark = pytest.mark.unit


def test_versions_name_what_decides_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = machine.library_versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"].startswith("2.")
    assert {"peft", "transformers", "bitsandbytes", "adapter-operator"} <= set(versions)


def test_a_package_that_is_not_there_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_PACKAGES", ("torch", "no-such-package"))
    assert set(machine.library_versions()) == {"python", "torch"}


def test_gpus_are_counted_by_their_devices(tmp_path: Path) -> None:
    assert machine.gpu_count(tmp_path) == 0
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia0.lock"):
        (tmp_path / name).touch()
    assert machine.gpu_count(tmp_path) == 3


def test_the_cpu_has_a_name(tmp_path: Path) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text("processor\t: 0\nmodel name\t: Example CPU @ 3 GHz\nmodel name\t: other\n")
    assert machine.cpu_name(information) == "Example CPU @ 3 GHz"
    assert machine.cpu_name(tmp_path / "gone") == platform.machine()


def test_memory_is_counted_in_bytes() -> None:
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert 64 << 20 < machine.peak_memory_bytes() < sys.maxsize
