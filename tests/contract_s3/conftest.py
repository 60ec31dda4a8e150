import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapter_contract.locations import S3Location
from adapter_contract.s3.settings import MIB, TransferSettings
from adapter_contract.s3.store import ObjectStore, open_store
from adapter_testing.seaweedfs import SeaweedFS, mount_secret

# Bounds that let a test fail within seconds, and parts as small as S3 allows.
QUICK = TransferSettings(
    connect_timeout_seconds=2,
    read_timeout_seconds=5,
    attempts=4,
    budget_seconds=10,
    backoff_seconds=0.01,
    longest_backoff_seconds=0.05,
    part_bytes=5 * MIB,
)

_numbers = itertools.count()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    with SeaweedFS.running() as server:
        yield server


@pytest.fixture(scope="session")
def admin_secret(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mount_secret(tmp_path_factory.mktemp("secrets") / "admin", seaweedfs.admin)


@pytest.fixture(scope="session")
def reader_secret(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mount_secret(tmp_path_factory.mktemp("secrets") / "reader", seaweedfs.reader)


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No profile, proxy or metadata service of the machine that runs the tests has a say in them."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.upper() in {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def location(seaweedfs: SeaweedFS, admin_secret: Path) -> S3Location:
    """A prefix of its own in the bucket."""
    return seaweedfs.location(f"test-{next(_numbers)}", secret=admin_secret)


@pytest.fixture
def s3(location: S3Location) -> Iterator[ObjectStore]:
    with open_store(location, QUICK) as store:
        yield store


@pytest.fixture
def through(location: S3Location) -> Iterator[Callable[[str], ObjectStore]]:
    """Open the same prefix through another endpoint: a proxy."""
    stores: list[ObjectStore] = []

    def open_through(endpoint: str) -> ObjectStore:
        stores.append(open_store(location.model_copy(update={"endpoint_url": endpoint}), QUICK))
        return stores[-1]

    yield open_through
    for store in stores:
        store.close()


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store of either kind: whatever a test with it says holds for both."""
    if request.param == "s3":
        yield request.getfixturevalue("s3")
        return
    with open_store(S3Location(uri=f"file://{tmp_path}/store"), QUICK) as opened:
        yield opened
