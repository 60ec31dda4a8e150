"""Whatever is wrong with an input, the trainer ends with the right code, says what to do, and publishes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_contract import ExitCode
from adapter_contract.s3 import LocalModel, base_digest
from adapter_contract.verify import verify_artifact
from adapter_testing.bad_input_lab import BadInputLab, put_repositories
from adapter_testing.bad_inputs import TABLE, BadInput
from adapter_testing.hub_server import HubServer
from adapter_testing.seaweedfs import SeaweedFS
from adapter_testing.trainer_lab import Ended
from adapter_testing.trainer_zygote import TrainerZygote

pytestmark = pytest.mark.integration

SECRETS = ("wr0ng-k3y", "s3cr3t", "hf_x")


@pytest.fixture(scope="module")
def zygote() -> Iterator[TrainerZygote]:
    with TrainerZygote() as process:
        yield process


@pytest.fixture(scope="module")
def repositories(tiny_base: Path) -> Iterator[HubServer]:
    with HubServer() as hub:
        put_repositories(hub, tiny_base)
        yield hub


@pytest.fixture
def lab(tmp_path: Path, tiny_base: Path, seaweedfs: SeaweedFS, repositories: HubServer) -> Iterator[BadInputLab]:
    with BadInputLab(tmp_path, tiny_base, seaweedfs, repositories) as made:
        yield made


def told(ended: Ended, row: BadInput) -> str:
    """Return the message of the termination document, which is plain text while no run is known."""
    if not row.reads_configuration:
        return ended.termination_message
    assert ended.result.exit_code == row.code
    assert ended.result.digest is None
    return str(ended.result.message)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_bad_input_is_told_and_publishes_nothing(zygote: TrainerZygote, lab: BadInputLab, row: BadInput) -> None:
    row.spoil(lab)
    ended = zygote.run(lab.pod(), lab.directory / "pod", longest_file_bytes=row.longest_file_bytes)
    assert ended.exit_code == row.code, ended.termination_message or ended.stdout
    message = told(ended, row)
    missing = [word for word in row.words if word not in message]
    assert not missing, message
    assert "Traceback" not in message
    assert "\n" not in message
    assert len(ended.termination_message.encode()) <= 4096
    assert not any(secret in ended.stdout + ended.termination_message for secret in SECRETS)
    if row.code != ExitCode.INTERNAL:
        assert "traceback" not in ended.stdout
    assert lab.committed() == []


def test_unspoiled_it_is_trained(zygote: TrainerZygote, lab: BadInputLab) -> None:
    """What the table shows would be worth nothing if the same training failed anyway."""
    ended = zygote.run(lab.pod(), lab.directory / "pod")
    assert ended.exit_code == ExitCode.DONE, ended.stdout
    assert {key.split("/")[1] for key in lab.committed()} == {"artifacts", "by-input"}


def test_unspoiled_it_is_trained_from_the_hub(
    zygote: TrainerZygote, lab: BadInputLab, repositories: HubServer, tiny_base: Path
) -> None:
    lab.hub_dataset("org/chats", split="train")
    lab.hub_base("org/base")
    ended = zygote.run(lab.pod(), lab.directory / "pod")
    assert ended.exit_code == ExitCode.DONE, ended.stdout
    manifest = verify_artifact(Path((ended.result.uri or "").removeprefix("file://"))).manifest
    data, base = (repositories.repositories[name] for name in ("datasets/org/chats", "models/org/base"))
    assert manifest.record is not None
    assert manifest.record.dataset.uri == f"hf://datasets/org/chats@{data.commit}"
    assert (manifest.base_model.revision, manifest.base_model.digest) == (
        base.commit,
        base_digest(LocalModel(tiny_base)),
    )


def test_the_table_has_every_final_class_and_says_what_to_do() -> None:
    assert len(TABLE) >= 40
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert {row.code for row in TABLE} >= {64, 65, 66, 69, 70, 77, 78}
    assert all(row.words for row in TABLE)
