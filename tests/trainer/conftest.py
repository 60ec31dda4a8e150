import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_contract import S3Location
from adapter_testing.seaweedfs import SeaweedFS, mount_secret
from adapter_testing.trainer_lab import build_base_model

_numbers = itertools.count()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    with SeaweedFS.running() as server:
        yield server


@pytest.fixture(scope="session")
def secret(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mount_secret(tmp_path_factory.mktemp("secrets") / "admin", seaweedfs.admin)


@pytest.fixture
def location(seaweedfs: SeaweedFS, secret: Path) -> S3Location:
    """A prefix of its own in the bucket."""
    return seaweedfs.location(f"test-{next(_numbers)}", secret=secret)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model that can be trained within a second."""
    return build_base_model(tmp_path_factory.mktemp("base") / "tiny-llama")


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No profile, proxy, metadata service or Hub has a say in the tests."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.upper() in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens, for tests that have no Hub
