"""Two attempts on one mounted base model: the second finds what the first kept beside it."""

import shutil
from pathlib import Path

import pytest

from adapter_contract import ExitCode, mount_environment
from adapter_testing.trainer_lab import Ended, TrainerProcess, trainer_config, write_chats

pytestmark = pytest.mark.integration


def attempt(directory: Path, model: Path, data: Path) -> tuple[Ended, bytes]:
    """Train; return how it ended, and the adapter's weights."""
    config = trainer_config(
        dataset={"type": "Path", "path": str(data)}, base_model=model, output=f"file://{directory / 'output'}"
    )
    pod = TrainerProcess(directory, config)
    pod.environment |= mount_environment([str(directory), str(model), str(data.parent)])
    ended = pod.end()
    assert ended.exit_code == ExitCode.DONE, ended.stdout
    (weights,) = (directory / "output").rglob("adapter_model.safetensors")
    return ended, weights.read_bytes()


def test_the_second_run_quantizes_nothing_and_learns_the_same(tiny_base: Path, tmp_path: Path) -> None:
    # Other tests have trained on this base, too.
    model = Path(shutil.copytree(tiny_base, tmp_path / "model", ignore=shutil.ignore_patterns(".adapter-*")))
    data = write_chats(tmp_path / "data" / "train.jsonl", 12)
    first, expected = attempt(tmp_path / "first", model, data)
    assert any("quantized base model is kept in" in message for message in first.messages)
    kept = sorted((path, path.stat().st_mtime_ns) for path in model.rglob("*") if ".adapter-quantized" in str(path))
    assert kept
    second, found = attempt(tmp_path / "second", model, data)
    assert not any("quantized base model" in message for message in second.messages)
    assert kept == sorted((path, path.stat().st_mtime_ns) for path in model.rglob("*") if ".adapter-q" in str(path))
    assert found == expected
