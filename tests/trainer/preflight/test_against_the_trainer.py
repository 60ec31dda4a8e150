"""Preflight and the trainer on the same inputs: the same digests, an adapter that is found again, one to go on from."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapter_contract import ExitCode, PreflightReport, S3Location, TrainerConfig, TrainerResult, sha256_bytes
from adapter_contract.layout import ArtifactKey, ByInputKey
from adapter_contract.s3 import ObjectStore, open_store, upload_directory
from adapter_testing.preflight_lab import PreflightWorld, codes, edit_json
from adapter_testing.trainer_lab import TrainerProcess, chats, s3_source

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Trained:
    """A run that preflight passed and the trainer then did, on inputs in S3."""

    world: PreflightWorld
    report: PreflightReport
    result: TrainerResult
    config: TrainerConfig
    output: S3Location


@pytest.fixture(scope="module")
def trained(seaweedfs, secret: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    world = PreflightWorld(tmp_path_factory.mktemp("world") / "world", tiny_base)
    world.data.write_bytes(chats(24))
    world.change(dataset={"source": {"type": "Path", "path": str(world.data)}})
    location = seaweedfs.location("against-the-trainer", secret=secret)
    with open_store(location) as store:
        upload_directory(store, world.base, "base")
        store.put("data/train.jsonl", world.data.read_bytes())
        store.put("data/evaluation.jsonl", chats(6, seed=3))
    output = location.below("out")
    evaluated = {"type": "Source", "source": s3_source(location.below("data/evaluation.jsonl"))}
    world.change(
        baseModel={"source": s3_source(location.below("base"))},
        dataset={"source": s3_source(location.below("data/train.jsonl"))},
        evaluation={"holdout": {**evaluated, "percent": None}},
        output={"location": output.model_dump(mode="json", by_alias=True, exclude_none=True)},
    )
    report = world.check()
    assert report.exit_code == ExitCode.DONE, report
    config = expecting(world.config, report)
    ended = TrainerProcess(world.directory / "trainer", config).end()
    assert ended.exit_code == ExitCode.DONE, ended.termination_message
    return Trained(world, report, ended.result, config, output)


def expecting(config: TrainerConfig, report: PreflightReport) -> TrainerConfig:
    """Return the configuration as the operator makes it of what preflight found."""
    found = json.loads(report.to_json())
    names = ("datasetDigest", "evaluationDigest", "baseDigest", "parentDigest", "inputDigest")
    expected = {name: found[name] for name in names if name in found}
    document = json.loads(config.to_json())
    return TrainerConfig.from_object(document | {"preflight": {"mode": "Enforce", "expected": expected}})


@pytest.fixture
def store(trained: Trained) -> Iterator[ObjectStore]:
    with open_store(trained.output) as opened:
        yield opened


def test_the_trainer_finds_the_same_digests(trained: Trained) -> None:
    report, result = trained.report, trained.result
    for name in ("dataset_digest", "evaluation_digest", "base_digest", "input_digest"):
        assert getattr(report, name) is not None
        assert getattr(report, name) == getattr(result, name), name


def test_inputs_on_a_volume_and_in_a_store_have_the_same_digests(trained: Trained, tmp_path: Path) -> None:
    world = PreflightWorld(tmp_path / "world", trained.world.base)
    world.data.write_bytes(chats(24))
    (world.directory / "evaluation.jsonl").write_bytes(chats(6, seed=3))
    source = {"type": "Path", "path": str(world.directory / "evaluation.jsonl")}
    world.change(evaluation={"holdout": {"type": "Source", "source": source, "percent": None}})
    assert world.check().input_digest == trained.report.input_digest


def test_weights_in_a_store_are_never_written_to_disk(trained: Trained) -> None:
    downloaded = {path.name for path in (trained.world.directory / "work" / "preflight" / "base-model").iterdir()}
    assert {"config.json", "tokenizer.json"} <= downloaded
    assert not [name for name in downloaded if name.endswith(".safetensors")]


def test_the_trainer_refuses_what_changed_since(trained: Trained, tmp_path: Path) -> None:
    document = json.loads(trained.config.to_json())
    document["run"]["number"] = 2
    document["preflight"]["expected"]["datasetDigest"] = sha256_bytes(b"before")
    ended = TrainerProcess(tmp_path / "trainer", json.dumps(document).encode()).end()
    assert ended.exit_code == ExitCode.BAD_DATA
    assert "preflight.expected" in str(ended.result.message)


def test_equal_inputs_find_the_adapter_that_they_gave(trained: Trained) -> None:
    report = trained.world.check()
    assert report.exit_code == ExitCode.DONE
    assert report.reused is not None
    assert report.reused.digest == trained.result.digest
    assert report.reused.uri == trained.result.uri
    assert report.reused.metrics == trained.result.metrics
    assert report.reused.summary == trained.result.summary
    assert report.reused.evaluation_digest == trained.result.evaluation_digest


def test_reuse_may_be_forbidden(trained: Trained) -> None:
    before = trained.world.changes
    trained.world.changes = {**before, "reuse": "Forbidden"}
    try:
        assert trained.world.check().reused is None
    finally:
        trained.world.changes = before


@pytest.mark.parametrize("damage", ["pointer", "manifest", "file"])
def test_an_adapter_that_is_damaged_is_not_reused(damage: str, trained: Trained, store: ObjectStore) -> None:
    digest = str(trained.result.digest)
    key = {
        "pointer": ByInputKey("support-bot", str(trained.report.input_digest)).key,
        "manifest": ArtifactKey("support-bot", digest, "manifest.json").key,
        "file": ArtifactKey("support-bot", digest, "adapter_model.safetensors").key,
    }[damage]
    whole = store.get(key)
    store.put(key, whole[:-1])
    try:
        report = trained.world.check()
    finally:
        store.put(key, whole)
    assert report.reused is None
    assert report.exit_code == ExitCode.DONE
    assert "ReuseImpossible" in codes(report)[1]
    assert trained.world.check().reused is not None


@pytest.fixture
def child(trained: Trained, tmp_path: Path) -> PreflightWorld:
    """A run that goes on from the adapter."""
    world = PreflightWorld(tmp_path / "child", trained.world.base)
    digest = str(trained.result.digest)
    location = trained.output.below(ArtifactKey("support-bot", digest).key)
    world.change(
        initializeFrom={
            "name": "support-bot",
            "digest": digest,
            "location": location.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
    )
    return world


def test_the_trainer_goes_on_from_the_parent_that_preflight_found_fit(
    child: PreflightWorld, trained: Trained, tmp_path: Path
) -> None:
    child.data.write_bytes(chats(24, seed=5))
    report = child.check()
    assert codes(report)[0] == set()
    assert report.parent_digest == trained.result.digest
    ended = TrainerProcess(tmp_path / "trainer", expecting(child.config, report)).end()
    assert ended.exit_code == ExitCode.DONE, ended.termination_message
    assert ended.result.parent_digest == report.parent_digest
    assert ended.result.input_digest == report.input_digest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"rank": 8}}, "method.lora.rank asks for 8"),
        ({"method": {"alpha": 16}}, "method.lora.alpha"),
        ({"method": {"weightDecomposition": "Enabled"}}, "method.lora.weightDecomposition"),
        ({"method": {"targetModules": ["q_proj"]}}, "other target modules"),
        ({"baseModel": {"name": "another/name"}}, "belongs to the base model tests/tiny-llama"),
    ],
)
def test_a_parent_that_does_not_fit_is_refused(child: PreflightWorld, changes: dict[str, Any], words: str) -> None:
    child.change(**changes)
    report = child.check()
    assert codes(report)[0] == {"ParentUnfit"}
    assert report.exit_code == ExitCode.BAD_CONFIGURATION
    assert words in report.errors[0].message
    assert "initializeFrom" in report.errors[0].message


def test_a_parent_of_another_base_is_refused(child: PreflightWorld) -> None:
    edit_json(child.base / "generation_config.json", {"temperature": 0.5})
    report = child.check()
    assert codes(report)[0] == {"ParentUnfit"}
    assert "use the same revision of the base" in report.errors[0].message


def test_a_parent_whose_base_is_broken_is_verified_all_the_same(child: PreflightWorld) -> None:
    (child.base / "model.safetensors").unlink()
    report = child.check()
    assert codes(report)[0] == {"BaseModelNotFound"}
    assert report.parent_digest is not None
    assert report.input_digest is None


def test_a_parent_with_other_bytes_is_refused(child: PreflightWorld, trained: Trained, store: ObjectStore) -> None:
    key = ArtifactKey("support-bot", str(trained.result.digest), "adapter_model.safetensors").key
    whole = store.get(key)
    store.put(key, whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        report = child.check()
    finally:
        store.put(key, whole)
    assert codes(report)[0] == {"ParentDamaged"}
    assert report.exit_code == ExitCode.BAD_DATA
