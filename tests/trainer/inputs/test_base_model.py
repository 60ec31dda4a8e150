"""The base model: mounted or downloaded, the same digest; damaged, missing, another one: refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapter_contract import BaseModelConfig, HubModelSource, PathSource, S3Location, S3Source, StoreIdentity
from adapter_contract.s3 import LocalModel, NotFound, base_digest, open_store, upload_directory
from adapter_testing.hub_server import HubServer
from adapter_trainer.errors import BadConfiguration, BadData, InputMissing, PermissionDenied
from adapter_trainer.inputs.base_model import fetch_base_model
from adapter_trainer.inputs.hub import HubRepository
from adapter_trainer.inputs.hub_model import HubModel

pytestmark = pytest.mark.integration

COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """What a base model looks like from outside."""
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (directory / "tokenizer.json").write_text("{}")
    (directory / "pytorch_model.bin").write_bytes(b"never loaded")
    save_file({"weight": np.arange(12, dtype=np.float32)}, directory / "model.safetensors")
    return directory


def test_a_mounted_model_stays_where_it_is(model: Path, tmp_path: Path) -> None:
    config = BaseModelConfig(name="base", source=PathSource(path=str(model)))
    fetched = fetch_base_model(config, tmp_path / "to", tmp_path / "cache")
    assert fetched.directory == model
    assert fetched.digest == base_digest(LocalModel(model))
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_stored_model_is_downloaded_without_what_is_never_loaded(
    kind: str, model: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = S3Location(uri=f"file://{tmp_path}/store") if kind == "file" else request.getfixturevalue("location")
    with open_store(where) as store:
        upload_directory(store, model, "models/base")
    config = BaseModelConfig(name="base", source=S3Source(location=where.below("models/base/")))
    fetched = fetch_base_model(config, tmp_path / "to", tmp_path / "cache")
    found = {path.name for path in fetched.directory.iterdir() if not path.name.startswith(".")}
    assert found == {"config.json", "model.safetensors", "tokenizer.json"}
    assert fetched.digest == base_digest(LocalModel(model))


def test_an_immutable_identity_takes_the_place_of_reading_the_weights(model: Path, tmp_path: Path) -> None:
    identity = StoreIdentity(type="HubCommit", value=COMMIT)
    config = BaseModelConfig(name="base", source=PathSource(path=str(model)), identity=identity)
    fetched = fetch_base_model(config, tmp_path / "to", tmp_path / "cache")
    assert fetched.digest == base_digest(LocalModel(model), identity=COMMIT) != base_digest(LocalModel(model))


def test_another_model_than_the_pinned_one_is_refused(model: Path, tmp_path: Path) -> None:
    pinned = base_digest(LocalModel(model))
    config = BaseModelConfig(name="base", source=PathSource(path=str(model)), digest=pinned)
    assert fetch_base_model(config, tmp_path / "to", tmp_path / "cache").digest == pinned
    (model / "config.json").write_text("{}")
    with pytest.raises(BadData, match=rf"^baseModel\.digest: the base model base has .* but {pinned} is wanted"):
        fetch_base_model(config, tmp_path / "to", tmp_path / "cache")


def test_a_directory_that_is_no_model_is_missing(tmp_path: Path) -> None:
    for path, finding in ((tmp_path / "gone", "does not exist"), (tmp_path, "has no config.json")):
        with pytest.raises(InputMissing, match=rf"^baseModel\.source: .*{finding}"):
            fetch_base_model(
                BaseModelConfig(name="base", source=PathSource(path=str(path))), tmp_path / "to", tmp_path / "cache"
            )


def test_cut_weights_are_bad_data(model: Path, tmp_path: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BadData, match=r"^baseModel\.source: cannot use the base model .*model\.safetensors"):
        fetch_base_model(
            BaseModelConfig(name="base", source=PathSource(path=str(model))), tmp_path / "to", tmp_path / "cache"
        )


@pytest.fixture
def files(model: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in model.iterdir()}


@pytest.mark.parametrize("large", [8, 10**9])
def test_a_model_of_the_hub_has_the_digest_of_the_same_files_elsewhere(
    hub: HubServer, model: Path, files: dict[str, bytes], tmp_path: Path, large: int
) -> None:
    hub.large = large
    commit = hub.model("org/base", files)
    config = BaseModelConfig(name="base", source=HubModelSource(repository="org/base", revision="main"))
    fetched = fetch_base_model(config, tmp_path / "to", tmp_path / "cache")
    assert {path.name for path in fetched.directory.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (fetched.commit, fetched.digest) == (commit, base_digest(LocalModel(model)))
    with HubRepository(config.source, "model") as repository:
        looked_at = HubModel(repository)
        before = len(hub.targets(".safetensors"))
        known = looked_at.content_digests(["model.safetensors"])
        assert base_digest(looked_at, content_digests=known) == fetched.digest
        assert base_digest(looked_at, identity=commit) == base_digest(LocalModel(model), identity=commit)
        with pytest.raises(ValueError, match="neither local nor stored"):
            base_digest(looked_at)
    if large == 8:  # then only headers were read of the weights
        assert all(one.range != "bytes=0-" and one.range is not None for one in hub.targets(".safetensors")[before:])
    with pytest.raises(NotFound, match="the file is not there"):
        looked_at.stat("gone.json")


def test_what_is_no_model_on_the_hub_is_told_before_a_download(
    hub: HubServer, files: dict[str, bytes], tmp_path: Path
) -> None:
    del files["model.safetensors"]
    hub.model("org/base", files)
    config = BaseModelConfig(name="base", source=HubModelSource(repository="org/base"))
    with pytest.raises(BadConfiguration, match=r"^baseModel\.source: .*pytorch_model\.bin is no safetensors file"):
        fetch_base_model(config, tmp_path / "to", tmp_path / "cache")
    assert not (tmp_path / "to").exists()


def test_a_gated_model_says_what_to_do(hub: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.model("org/base", files, token="hf_x", gated=True)
    config = BaseModelConfig(name="base", source=HubModelSource(repository="org/base"))
    with pytest.raises(
        PermissionDenied, match=r"^baseModel\.source: .* is gated; accept its terms .* set tokenSecretRef"
    ):
        fetch_base_model(config, tmp_path / "to", tmp_path / "cache")
