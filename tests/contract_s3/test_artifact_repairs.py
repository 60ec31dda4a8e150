"""Interruptions and damage: deletions that stop half-way, commits that repair, files and weights that change."""

import errno
import itertools
import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapter_contract.artifact_files import list_files
from adapter_contract.canonical import canonical_json
from adapter_contract.digests import sha256_bytes
from adapter_contract.locations import S3Location
from adapter_contract.s3.artifacts import commit_artifact, fetch_artifact
from adapter_contract.s3.base_model import base_digest
from adapter_contract.s3.base_model_files import LocalModel
from adapter_contract.s3.directories import delete_prefix
from adapter_contract.s3.errors import AccessDenied, Corrupted, Unreachable
from adapter_contract.s3.rooted import storage_errors
from adapter_contract.s3.settings import MIB
from adapter_contract.s3.store import ObjectStore, open_store
from adapter_testing.proxies import HTTPProxy, Request, Response, s3_error
from adapter_testing.seaweedfs import SeaweedFS

pytestmark = pytest.mark.integration

Through = Callable[[str], ObjectStore]
CACHE = ".adapter-base-digest.json"
PREFIX = "support/artifacts/sha256-abc"
FILES = {"adapter_config.json": b'{"peft_type":"LORA"}', "adapter_model.safetensors": bytes(range(256)) * 100}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    for name, data in FILES.items():
        (directory / name).write_bytes(data)
    return directory


def _manifest(directory: Path) -> bytes:
    return canonical_json(
        {"files": [entry.model_dump(mode="json", by_alias=True) for entry in list_files(directory)], "kind": "Any"}
    )


def _left(store: ObjectStore) -> set[str]:
    return {found.key for found in store.list_objects()}


def _without_manifests(store: ObjectStore) -> set[str]:
    return {key for key in _left(store) if not key.endswith("/manifest.json")}


def test_a_deletion_that_stops_leaves_no_manifest_without_its_files_on_s3(
    seaweedfs: SeaweedFS, through: Through, source: Path, s3: ObjectStore
):
    for name in ("a", "b"):
        commit_artifact(s3, f"support/{name}", source, _manifest(source))
    files = _without_manifests(s3)
    deletions = 0

    def refuse_the_second(request: Request) -> Response | None:
        nonlocal deletions
        deletions += request.method == "POST"
        return s3_error(403, "AccessDenied") if request.method == "POST" and deletions > 1 else None

    with HTTPProxy(seaweedfs.port, before=refuse_the_second) as proxy, pytest.raises(AccessDenied):
        delete_prefix(through(proxy.endpoint), "support")
    assert _left(s3) == files

    assert delete_prefix(s3, "support") == len(files)
    assert _left(s3) == set()


def test_a_deletion_that_stops_leaves_no_manifest_without_its_files_on_a_disk(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = open_store(S3Location(uri=f"file://{tmp_path}/store"))
    commit_artifact(files, PREFIX, source, _manifest(source))
    unlink, calls = os.unlink, 0

    def fail_the_second(path: str, *, dir_fd: int | None = None) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        unlink(path, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail_the_second)
        with pytest.raises(Unreachable):
            delete_prefix(files, PREFIX)
    assert _left(files) == {f"{PREFIX}/{name}" for name in FILES}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "cut", "missing"])
def test_committing_again_repairs(store: ObjectStore, source: Path, tmp_path: Path, name: str, damage: str):
    digest = commit_artifact(store, PREFIX, source, _manifest(source))
    data = FILES[name]
    if damage == "missing":
        store.delete([f"{PREFIX}/{name}"])
    else:
        store.put(f"{PREFIX}/{name}", data[:-1] + (b"" if damage == "cut" else bytes([data[-1] ^ 1])))
    with pytest.raises(Corrupted, match="publish it again"):
        fetch_artifact(store, PREFIX, digest, tmp_path / "refused")

    assert commit_artifact(store, PREFIX, source, _manifest(source)) == digest
    fetch_artifact(store, PREFIX, digest, tmp_path / "target")
    assert (tmp_path / "target" / name).read_bytes() == data


def test_who_may_not_list_commits_twice(seaweedfs: SeaweedFS, through: Through, source: Path, s3: ObjectStore):
    def hide(request: Request) -> Response | None:
        return s3_error(403, "AccessDenied") if "list-type" in request.target else None

    with HTTPProxy(seaweedfs.port, before=hide) as proxy:
        stores = through(proxy.endpoint)
        first, second = (commit_artifact(stores, PREFIX, source, _manifest(source)) for _ in range(2))
    assert first == second
    assert _left(s3) == {f"{PREFIX}/{name}" for name in (*FILES, "manifest.json")}


def _append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def _overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"other")


def _cut(path: Path) -> None:
    os.truncate(path, 10 * MIB)


@pytest.mark.parametrize("change", [_append, _overwrite, _cut])
def test_a_file_that_changes_during_its_upload_is_not_published(
    store: ObjectStore, tmp_path: Path, change: Callable[[Path], None]
):
    path = tmp_path / "large"
    path.write_bytes(bytes(11 * MIB))
    os.utime(path, ns=(0, 0))  # however coarse the clock of the file system is, a write shows
    changed = False

    def change_once(done: int, total: int) -> None:
        nonlocal changed
        if not changed:
            changed = True
            change(path)

    with pytest.raises(Corrupted, match=r"changed while it was uploaded|became shorter"):
        store.upload(path, "large", progress=change_once)
    assert store.head("large") is None


def test_a_file_that_only_was_read_meanwhile_is_published(store: ObjectStore, tmp_path: Path):
    path = tmp_path / "large"
    path.write_bytes(bytes(11 * MIB))

    assert store.upload(path, "large", progress=lambda *_: path.chmod(0o600)).size_bytes == 11 * MIB


def _shard(fill: int) -> bytes:
    header = b'{"weight":{"dtype":"U8","shape":[64],"data_offsets":[0,64]}}'
    return struct.pack("<Q", len(header)) + header + bytes([fill]) * 64


SHARDS = {f"{number}.safetensors": _shard(number) for number in (1, 2, 3)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    for name, data in {"config.json": b"{}", **SHARDS}.items():
        (directory / name).write_bytes(data)
    return directory


def _rename_another_into_place(path: Path, data: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(data)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def _write_and_set_the_time_back(path: Path, data: bytes) -> None:
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # until the file system's clock has ticked
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _touch(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [_rename_another_into_place, _write_and_set_the_time_back, _touch])
def test_other_weights_with_the_same_header_are_read_anew(model: Path, change: Callable[[Path, bytes], None]):
    before = base_digest(LocalModel(model))
    weights = model / "1.safetensors"
    change(weights, weights.read_bytes()[:-1] + b"?")

    changed = base_digest(LocalModel(model))
    (model / CACHE).unlink()
    assert before != changed == base_digest(LocalModel(model))


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_directory_that_cannot_be_used(
    model: Path, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
):
    expected = base_digest(LocalModel(model))
    (model / CACHE).unlink()
    (model / CACHE).mkdir()
    (tmp_path / "file").write_bytes(b"")

    assert base_digest(LocalModel(model), cache_directory=tmp_path / place) == expected
    assert f"can't be kept in {tmp_path / place}" in caplog.text


class _Disk(LocalModel):
    """A disk on which the first shard never ends, the second is good, and the third fails once that was read."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._second_was_read = threading.Event()

    def chunks(self, path: str) -> Iterator[bytes]:
        if path == "1.safetensors":
            deadline = time.monotonic() + 20
            yield from itertools.takewhile(lambda _: time.monotonic() < deadline, itertools.repeat(bytes(MIB)))
        if path == "3.safetensors":
            assert self._second_was_read.wait(20)
            with storage_errors("read", self.uri + path):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        yield from super().chunks(path)
        if path == "2.safetensors":
            self._second_was_read.set()


def test_a_shard_that_fails_loses_no_finished_one_and_waits_for_no_slow_one(model: Path):
    with pytest.raises(Unreachable, match=r"3\.safetensors"):
        base_digest(_Disk(model))
    [kept] = json.loads((model / CACHE).read_bytes())["files"]
    assert (kept["path"], kept["digest"]) == ("2.safetensors", sha256_bytes(SHARDS["2.safetensors"]))
