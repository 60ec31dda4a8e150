"""What the pod's environment must say, and what is refused how."""

import json
from pathlib import Path

import pytest

from adapter_contract import mount_environment
from adapter_testing.trainer_lab import trainer_config
from adapter_trainer.environment import ConfigurationFile, Environment
from adapter_trainer.errors import BadConfiguration

pytestmark = pytest.mark.unit

VARIABLES = {
    "ADAPTER_TRAINER_CONFIG_FILE": "/adapter/config/trainer-config.json",
    "ADAPTER_WORK_DIRECTORY": "/adapter/work",
    "ADAPTER_ATTEMPT": "3",
}


def test_what_is_not_said_has_a_default() -> None:
    found = Environment.read(VARIABLES)
    assert (found.config_file, found.work_directory) == (
        Path("/adapter/config/trainer-config.json"),
        Path("/adapter/work"),
    )
    assert (found.attempt, found.bind_address, found.management_port) == (3, "", 8081)


def test_everything_can_be_said() -> None:
    more = {"ADAPTER_BIND_ADDRESS": "127.9.8.7", "ADAPTER_MANAGEMENT_PORT": "18081"}
    found = Environment.read(VARIABLES | more | mount_environment(["/adapter/work"]))
    assert (found.bind_address, found.management_port) == ("127.9.8.7", 18081)
    assert found.mounts.resolve("/adapter/work/x") == "/adapter/work/x"


@pytest.mark.parametrize(
    ("name", "value", "finding"),
    [
        ("ADAPTER_TRAINER_CONFIG_FILE", "", "ADAPTER_TRAINER_CONFIG_FILE is not set"),
        ("ADAPTER_WORK_DIRECTORY", "", "ADAPTER_WORK_DIRECTORY is not set"),
        ("ADAPTER_ATTEMPT", "", "ADAPTER_ATTEMPT must be a number from 1"),
        ("ADAPTER_ATTEMPT", "0", "ADAPTER_ATTEMPT must be a number from 1"),
        ("ADAPTER_ATTEMPT", "\N{ARABIC-INDIC DIGIT FIVE}", "ADAPTER_ATTEMPT must be a number"),
        ("ADAPTER_MANAGEMENT_PORT", "65536", "ADAPTER_MANAGEMENT_PORT must be a number from 0 to 65535, not '65536'"),
        ("ADAPTER_MANAGEMENT_PORT", "-1", "ADAPTER_MANAGEMENT_PORT must be"),
        ("ADAPTER_MOUNT_NAMES", "adapter/work", "the environment is inconsistent: ADAPTER_MOUNTS lists 0 paths"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, finding: str) -> None:
    with pytest.raises(BadConfiguration, match=finding):
        Environment.read(VARIABLES | {name: value})


def test_mounted_paths_are_resolved_and_the_declared_ones_kept(tmp_path: Path) -> None:
    config = trainer_config(
        dataset={"type": "Path", "path": "/adapter/dataset/train.jsonl"}, base_model="/base", output="file:///tmp/out"
    )
    path = tmp_path / "config.json"
    path.write_bytes(config.to_json())
    where = {"ADAPTER_MOUNTS": str(tmp_path / "volume"), "ADAPTER_MOUNT_NAMES": "adapter/dataset"}
    configuration = ConfigurationFile.read(path).parse(Environment.read(VARIABLES | where).mounts)
    assert configuration.declared == config
    assert configuration.resolved.dataset.source.model_dump() == {
        "type": "Path",
        "path": f"{tmp_path}/volume/train.jsonl",
    }


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"gone\.json can't be read \(No such file"):
        ConfigurationFile.read(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("content", "run", "finding"),
    [
        ("no json", None, "is not JSON"),
        ("[]", None, "an object is required"),
        ('{"run": 3}', None, "expected a document of kind TrainerConfig"),
        ('{"run": {"number": 0}}', None, "kind TrainerConfig"),
        ('{"run": {"number": true}}', None, "kind TrainerConfig"),
        ('{"run": {"number": 3}, "kind": "TrainerConfig", "schemaVersion": 99}', 3, "upgrade the trainer image"),
    ],
)
def test_a_wrong_document_still_tells_its_run(tmp_path: Path, content: str, run: int | None, finding: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    file = ConfigurationFile.read(path)
    assert file.run == run
    with pytest.raises(BadConfiguration, match=finding):
        file.parse(Environment.read(VARIABLES).mounts)


def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    config = trainer_config(dataset={"type": "Path", "path": "/d"}, base_model="/base", output="file:///tmp/out")
    document = json.loads(config.to_json())
    document["hyperparameters"]["batchSize"] = 0
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    with pytest.raises(BadConfiguration, match=r"hyperparameters\.batchSize: Input should be greater than"):
        ConfigurationFile.read(path).parse(Environment.read(VARIABLES).mounts)
