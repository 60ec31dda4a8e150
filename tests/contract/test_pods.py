import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import (
    BaseModelConfig,
    MountTable,
    PathSource,
    S3Location,
    S3Source,
    ServerConfig,
    TrainerConfig,
    mount_environment,
    read_document,
)
from adapter_contract.trainer_config import SourceHoldout

pytestmark = pytest.mark.unit

SEGMENT = st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True)
PATHS = st.lists(SEGMENT, min_size=1, max_size=3).map(lambda segments: "/" + "/".join(segments))


def translated(environment, moved):
    """What a node without mounts makes of the environment: each mount path becomes the folder behind it."""
    return {name: ":".join(moved.get(path, path) for path in value.split(":")) for name, value in environment.items()}


def test_on_a_cluster_every_path_stays_as_it_is():
    table = MountTable.from_environment(mount_environment(["/adapter/config", "/adapter/credentials/output"]))
    assert table.resolve("/adapter/credentials/output") == "/adapter/credentials/output"
    assert table.resolve("/elsewhere") == "/elsewhere"


def test_without_the_variables_every_path_stays_as_it_is():
    assert MountTable.from_environment({}).resolve("/adapter/config") == "/adapter/config"


def test_the_innermost_mount_decides():
    environment = translated(mount_environment(["/a", "/a/b"]), {"/a": "/host/1", "/a/b": "/host/2"})
    table = MountTable.from_environment(environment)
    assert table.resolve("/a/b/file") == "/host/2/file"
    assert table.resolve("/a/bc") == "/host/1/bc"
    assert table.resolve("/a") == "/host/1"


@given(st.sets(PATHS, min_size=1, max_size=5))
def test_what_a_node_translates_is_found_again(paths):
    moved = {path: f"/host/{number}" for number, path in enumerate(sorted(paths))}
    table = MountTable.from_environment(translated(mount_environment(paths), moved))
    assert {path: table.resolve(path) for path in paths} == moved


@pytest.mark.parametrize("path", ["relative", "/", "", "/with:colon"])
def test_paths_that_can_be_no_mount_are_refused(path):
    with pytest.raises(ValueError, match="can't be a mount path"):
        mount_environment([path])


def test_lists_that_do_not_belong_together_are_refused():
    environment = mount_environment(["/a", "/b"]) | {"ADAPTER_MOUNTS": "/a"}
    with pytest.raises(ValueError, match="ADAPTER_MOUNTS lists 1 paths, ADAPTER_MOUNT_NAMES 2"):
        MountTable.from_environment(environment)


def moving(*paths):
    return MountTable({path: f"/host{path}" for path in paths})


def test_every_path_of_a_trainer_config_is_resolved(request):
    config = read_document((request.path.parent / "golden" / "trainer_config.full.json").read_bytes())
    assert isinstance(config, TrainerConfig)
    location = S3Location(
        uri="s3://bucket/x", credentials_directory="/adapter/credentials", ca_bundle_file="/adapter/ca"
    )
    config = config.model_copy(
        update={
            "base_model": BaseModelConfig(name="base", source=PathSource(path="/adapter/base-model/smollm2")),
            "dataset": config.dataset.model_copy(update={"source": S3Source(location=location)}),
            "evaluation": config.evaluation.model_copy(
                update={"holdout": SourceHoldout(source=PathSource(path="/adapter/evaluation"))}
            ),
        }
    )
    found = moving("/adapter").resolve_paths(config)
    assert found.base_model.source.path == "/host/adapter/base-model/smollm2"
    assert found.dataset.source.location.credentials_directory == "/host/adapter/credentials"
    assert found.dataset.source.location.ca_bundle_file == "/host/adapter/ca"
    assert found.evaluation.holdout.source.path == "/host/adapter/evaluation"
    assert found.run == config.run
    assert found.training == config.training


def test_every_path_of_a_server_config_is_resolved(request):
    config = read_document((request.path.parent / "golden" / "server_config.full.json").read_bytes())
    assert isinstance(config, ServerConfig)
    found = moving("/adapter").resolve_paths(config)
    assert found.base_model.source.path == "/host/adapter/base-model"
    assert found.api_keys_file == "/host/adapter/keys/keys.yaml"
    assert found.model_copy(update={"base_model": config.base_model, "api_keys_file": config.api_keys_file}) == config


def test_only_paths_are_resolved():
    config = S3Location(uri="file:///adapter/out", credentials_directory=None)
    assert moving("/adapter").resolve_paths(config) is config
