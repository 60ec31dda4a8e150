"""The adapter to go on from: by digest, verified, of the same base."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from adapter_contract import (
    AdapterFacts,
    AdapterManifest,
    BaseModelConfig,
    BaseModelRecord,
    InitialAdapter,
    PathSource,
    S3Location,
    StoredManifest,
    list_files,
    sha256_bytes,
)
from adapter_contract.layout import ArtifactKey
from adapter_contract.s3 import commit_artifact, open_store
from adapter_trainer.errors import BadConfiguration, BadData, InputMissing
from adapter_trainer.inputs.parent import fetch_parent

pytestmark = pytest.mark.integration

BASE = BaseModelConfig(name="org/base", source=PathSource(path="/mnt/base"))
BASE_DIGEST = sha256_bytes(b"base")


@pytest.fixture
def output(tmp_path: Path) -> S3Location:
    return S3Location(uri=f"file://{tmp_path}/store")


@pytest.fixture
def published(tmp_path: Path, output: S3Location) -> Callable[..., InitialAdapter]:
    """Publish an adapter, and return the reference to it."""

    def publish(config_base: str = "org/base") -> InitialAdapter:
        directory = tmp_path / "adapter"
        directory.mkdir()
        (directory / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": config_base}))
        save_file({"a": np.zeros(4, dtype=np.float32)}, directory / "adapter_model.safetensors")
        manifest = AdapterManifest(
            files=list_files(directory),
            origin="Imported",
            base_model=BaseModelRecord(name="org/base", digest=BASE_DIGEST),
            adapter=AdapterFacts(method="LoRA", rank=4, trainable_parameters=4, size_bytes=16, dtype="Float32"),
            created_time=datetime.now(UTC),
        )
        stored = StoredManifest.seal(manifest)
        key = ArtifactKey("earlier", stored.digest).key
        with open_store(output) as store:
            commit_artifact(store, key, directory, stored.data)
        return InitialAdapter(name="earlier", digest=stored.digest, location=output.below(key))

    return publish


def test_it_is_fetched_and_verified(published: Callable[..., InitialAdapter], tmp_path: Path) -> None:
    reference = published()
    fetched = fetch_parent(reference, BASE, BASE_DIGEST, tmp_path / "to")
    assert fetched.directory == tmp_path / "to"
    assert fetched.stored.digest == reference.digest
    assert (fetched.directory / "adapter_model.safetensors").is_file()


def test_what_was_never_published_is_missing(published, output: S3Location, tmp_path: Path) -> None:
    elsewhere = published().model_copy(update={"location": output.below("earlier/artifacts/none/")})
    with pytest.raises(InputMissing, match=r"^initializeFrom: .*manifest\.json"):
        fetch_parent(elsewhere, BASE, BASE_DIGEST, tmp_path / "to")


def test_other_bytes_are_refused(published, tmp_path: Path) -> None:
    reference = published()
    weights = Path(reference.location.directory) / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BadData, match=r"^initializeFrom: .*adapter_model\.safetensors"):
        fetch_parent(reference, BASE, BASE_DIGEST, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_an_artifact_that_contradicts_itself_is_refused(published, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"^initializeFrom: earlier, sha256:.*BaseModelMismatch"):
        fetch_parent(published("org/other"), BASE, BASE_DIGEST, tmp_path / "to")


def test_an_adapter_of_another_base_is_refused(published, tmp_path: Path) -> None:
    other = BASE.model_copy(update={"name": "org/third"})
    with pytest.raises(BadConfiguration, match=r"belongs to the base model org/base, but baseModel\.name is org/third"):
        fetch_parent(published(), other, BASE_DIGEST, tmp_path / "to")


def test_an_adapter_of_another_revision_is_refused(published, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="use the same revision of the base"):
        fetch_parent(published(), BASE, sha256_bytes(b"revised"), tmp_path / "to")
