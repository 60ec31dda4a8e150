"""Where inputs lie: on the Hub as on a volume; and an output that takes objects, but lets none be deleted."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from adapter_contract import ExitCode
from adapter_contract.s3 import AccessDenied
from adapter_contract.s3.file_store import FileStore
from adapter_testing.hub_server import HubServer
from adapter_testing.preflight_lab import PreflightWorld, codes

pytestmark = pytest.mark.integration


def test_base_model_and_dataset_of_the_hub_have_the_digests_of_a_volume(
    world: PreflightWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_volume = world.check()
    files = {path.name: path.read_bytes() for path in world.base.iterdir()}
    with HubServer() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        commit = hub.model("org/base", files)
        hub.dataset("org/chats", {"train.jsonl": world.data.read_bytes()})
        world.change(
            baseModel={"source": {"type": "HuggingFace", "repository": "org/base", "revision": commit}},
            dataset={"source": {"type": "HuggingFace", "repository": "org/chats"}},
        )
        report = world.check()
    assert codes(report) == (set(), set())
    assert report.examples == on_volume.examples
    assert report.base_digest == on_volume.base_digest
    assert report.evaluation_digest == on_volume.evaluation_digest
    downloaded = {path.name for path in (world.directory / "work" / "preflight" / "base-model").iterdir()}
    assert "tokenizer.json" in downloaded
    assert "model.safetensors" not in downloaded


def test_a_repository_that_is_not_there_may_be_a_private_one(
    world: PreflightWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubServer() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        world.change(baseModel={"source": {"type": "HuggingFace", "repository": "org/base"}})
        report = world.check()
    assert codes(report)[0] == {"BaseModelAccessDenied"}
    assert report.exit_code == ExitCode.PERMISSION
    assert report.dataset_digest is not None


def test_an_output_that_lets_nothing_be_deleted_is_a_warning(
    world: PreflightWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(store: FileStore, keys: Iterable[str]) -> None:
        raise AccessDenied("delete", store.uri(next(iter(keys))), "it is refused", "allow it")

    monkeypatch.setattr(FileStore, "delete", denied)
    report = world.check()
    assert codes(report) == (set(), {"ProbeNotDeleted"})
    assert report.exit_code == ExitCode.DONE
    assert "write-probe" in report.warnings[0].message
    assert (Path(world.output) / "support-bot" / "write-probe").is_file()


def test_an_output_that_takes_nothing_is_an_error(world: PreflightWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(store: FileStore, key: str, data: bytes) -> None:
        raise AccessDenied("write", store.uri(key), "it is refused", "allow it")

    monkeypatch.setattr(FileStore, "put", denied)
    report = world.check()
    assert codes(report)[0] == {"OutputAccessDenied"}
    assert report.exit_code == ExitCode.PERMISSION
    assert report.input_digest is not None
