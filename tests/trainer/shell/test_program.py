"""The program as a process: what ends it before anything is trained, with which exit code and which words."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from adapter_contract import (
    ExitCode,
    Owner,
    RunRecord,
    S3Location,
    TrainerConfig,
    TrainerResult,
    sha256_bytes,
)
from adapter_contract.layout import OwnerKey, RunKey
from adapter_contract.s3 import open_store
from adapter_testing.trainer_lab import TrainerProcess, trainer_config, write_chats

pytestmark = pytest.mark.integration


@pytest.fixture
def dataset(tmp_path: Path) -> dict[str, Any]:
    return {"type": "Path", "path": str(write_chats(tmp_path / "data/train.jsonl", 8))}


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


@pytest.fixture
def config(dataset: dict[str, Any], store: str) -> TrainerConfig:
    return trainer_config(dataset=dataset, base_model="/no/such/base", output=store)


def changed(config: TrainerConfig, **members: object) -> bytes:
    return json.dumps(json.loads(config.to_json()) | members).encode()


def test_a_wrong_field_is_named(tmp_path: Path, config: TrainerConfig) -> None:
    ended = TrainerProcess(tmp_path / "pod", changed(config, reuse="Perhaps"), attempt=2).end()
    assert ended.exit_code == ended.result.exit_code == ExitCode.BAD_CONFIGURATION
    assert (ended.result.run, ended.result.attempt) == (1, 2)
    assert "reuse: Input should be 'Allowed' or 'Forbidden'" in str(ended.result.message)
    assert ended.stderr == ""


def test_a_configuration_without_a_run_ends_with_plain_words(tmp_path: Path) -> None:
    ended = TrainerProcess(tmp_path / "pod", b"no json").end()
    assert ended.exit_code == ExitCode.BAD_CONFIGURATION
    assert ended.termination_message.startswith("the configuration ")
    assert "is not JSON" in ended.termination_message
    (line,) = ended.documents
    assert (line["level"], line["exitCode"], line["class"]) == ("ERROR", 64, "Configuration")


def test_an_environment_without_an_attempt_is_refused(tmp_path: Path, config: TrainerConfig) -> None:
    pod = TrainerProcess(tmp_path / "pod", config)
    del pod.environment["ADAPTER_ATTEMPT"]
    ended = pod.end()
    assert ended.exit_code == ExitCode.BAD_CONFIGURATION
    assert "ADAPTER_ATTEMPT must be a number" in ended.termination_message


def test_an_output_of_another_training_is_refused(tmp_path: Path, config: TrainerConfig, store: str) -> None:
    owner = Owner(cluster="other", namespace="team-b", name="support-bot")
    with open_store(S3Location(uri=store)) as opened:
        opened.put(OwnerKey("support-bot").key, owner.to_json())
    ended = TrainerProcess(tmp_path / "pod", config).end()
    assert ended.exit_code == ExitCode.BAD_CONFIGURATION
    assert str(ended.result.message).startswith("OutputInUse: ")
    assert ended.result.resumed_from_step is None


def test_a_store_that_does_not_answer_is_unavailable(tmp_path: Path, config: TrainerConfig) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        location = S3Location(
            uri="s3://adapters/out", endpoint_url=f"http://127.0.0.1:{closed.getsockname()[1]}", region="us-east-1"
        )
        output = {"location": location.model_dump(mode="json", by_alias=True, exclude_none=True)}
        pod = TrainerProcess(tmp_path / "pod", changed(config, output=output))
        pod.environment |= {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-the-environment"}
        ended = pod.end()
    assert ended.exit_code == ended.result.exit_code == ExitCode.STORAGE_UNAVAILABLE
    assert str(ended.result.message).startswith("output: cannot ")
    assert "s3cr3t" not in ended.stdout + ended.stderr + ended.termination_message


def test_data_that_changed_are_refused_and_their_digest_is_told(tmp_path: Path, config: TrainerConfig) -> None:
    pinned = config.dataset.model_dump(mode="json", by_alias=True, exclude_none=True)
    pinned["digest"] = sha256_bytes(b"as they were")
    ended = TrainerProcess(tmp_path / "pod", changed(config, dataset=pinned)).end()
    assert ended.exit_code == ended.result.exit_code == ExitCode.BAD_DATA
    found = sha256_bytes((tmp_path / "data/train.jsonl").read_bytes())
    assert ended.result.dataset_digest == found
    assert f"dataset.digest: the dataset has the digest {found}" in str(ended.result.message)


def test_a_base_model_that_is_not_there_is_missing(tmp_path: Path, config: TrainerConfig) -> None:
    ended = TrainerProcess(tmp_path / "pod", config).end()
    assert ended.exit_code == ended.result.exit_code == ExitCode.INPUT_MISSING
    assert "baseModel.source: cannot use the base model at /no/such/base" in str(ended.result.message)
    assert ended.result.dataset_digest is not None


def test_a_work_directory_that_can_not_be_made_is_told(tmp_path: Path, config: TrainerConfig) -> None:
    (tmp_path / "file").touch()
    pod = TrainerProcess(tmp_path / "pod", config)
    pod.environment["ADAPTER_WORK_DIRECTORY"] = str(tmp_path / "file/work")
    ended = pod.end()
    assert ended.exit_code == ended.result.exit_code == ExitCode.INTERNAL
    assert "the operating system fails" in str(ended.result.message)
    assert "Traceback" in next(line["traceback"] for line in ended.documents if "traceback" in line)


def test_a_run_that_is_done_is_reported_again(tmp_path: Path, config: TrainerConfig, store: str) -> None:
    done = TrainerResult(
        run=1, attempt=1, exit_code=ExitCode.DONE, digest=sha256_bytes(b"adapter"), metrics={"Loss": "1.5"}
    )
    record = RunRecord(training=config.training, run=config.run, result=done)
    with open_store(S3Location(uri=store)) as opened:
        opened.put(RunKey("support-bot", config.training.uid, 1).key, record.to_json())
    ended = TrainerProcess(tmp_path / "pod", config, attempt=7).end()
    assert ended.exit_code == ExitCode.DONE
    told = ended.result
    assert (told.digest, told.metrics, told.reused, told.attempt) == (done.digest, {"Loss": "1.5"}, True, 7)
    assert TrainerResult.from_object(ended.documents[-1]) == told
    assert [one.phase for one in ended.progress] == ["Loading"]


def test_a_port_that_is_taken_is_no_reason_not_to_train(tmp_path: Path, config: TrainerConfig) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = TrainerProcess(tmp_path / "pod", config, port=taken.getsockname()[1]).end()
    assert ended.exit_code == ExitCode.INPUT_MISSING
    assert any("can't be listened on" in message for message in ended.messages)


def test_sigterm_ends_it_at_once_while_it_waits_for_its_input(tmp_path: Path, config: TrainerConfig) -> None:
    pipe = tmp_path / "slow.jsonl"
    os.mkfifo(pipe)
    data = config.dataset.model_dump(mode="json", by_alias=True, exclude_none=True)
    pod = TrainerProcess(
        tmp_path / "pod", changed(config, dataset=data | {"source": {"type": "Path", "path": str(pipe)}})
    )
    process = pod.start()
    with pipe.open("wb"):  # opens as soon as the trainer reads
        process.send_signal(signal.SIGTERM)
        ended = pod.end()
    assert ended.exit_code == ended.result.exit_code == ExitCode.INTERRUPTED
    assert ended.result.message == "stopped by SIGTERM; nothing was saved, and the next attempt begins from the start"
    assert (ended.result.resumed_from_step, ended.result.last_saved_step) == (0, None)
    assert {path.name for path in (tmp_path / "store").rglob("*") if path.is_file()} == {"owner.json"}
