"""Commit by manifest: published whole or not at all, fetched whole and verified or not at all."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapter_contract.artifact_files import list_files
from adapter_contract.canonical import canonical_json
from adapter_contract.digests import sha256_bytes
from adapter_contract.locations import S3Location
from adapter_contract.s3.artifacts import commit_artifact, fetch_artifact
from adapter_contract.s3.errors import AccessDenied, Conflict, Corrupted, InvalidLocation, NotFound
from adapter_contract.s3.settings import MIB
from adapter_contract.s3.store import ObjectStore, open_store
from adapter_testing.proxies import HTTPProxy, Request, Response, s3_error
from adapter_testing.seaweedfs import SeaweedFS, mount_secret

pytestmark = pytest.mark.integration

Through = Callable[[str], ObjectStore]
PREFIX = "support/artifacts/sha256-abc/"
FILES = {
    "adapter_config.json": b'{"peft_type":"LORA"}',
    "adapter_model.safetensors": bytes(range(256)) * 100,
    "tokenizer/chat template.jinja": b"{{ messages }}",
    "curves.jsonl": b"",
}


def _directory(path: Path, files: dict[str, bytes] | None = None) -> Path:
    for name, data in (FILES if files is None else files).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def _manifest(directory: Path, **more: object) -> bytes:
    """A document that lists a directory's files, of no particular kind."""
    files = [entry.model_dump(mode="json", by_alias=True) for entry in list_files(directory)]
    return canonical_json({"files": files, "kind": "Checkpoint", "schemaVersion": 1, **more})


def _tree(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return _directory(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "target"


def test_what_is_committed_is_fetched(store: ObjectStore, source: Path, target: Path):
    manifest = _manifest(source)
    up: list[tuple[int, int]] = []
    down: list[tuple[int, int]] = []

    digest = commit_artifact(store, PREFIX, source, manifest, progress=lambda *now: up.append(now))
    store.put(f"{PREFIX}left-over.bin", b"not listed")
    returned = fetch_artifact(store, PREFIX, digest, target, progress=lambda *now: down.append(now))

    total = sum(map(len, FILES.values()))
    assert digest == sha256_bytes(manifest)
    assert returned == manifest
    assert _tree(target) == {**FILES, "manifest.json": manifest}
    assert list(target.parent.iterdir()) == [target]
    assert up[-1] == down[-1] == (total, total)


def test_the_manifest_is_written_last(seaweedfs: SeaweedFS, through: Through, source: Path):
    with HTTPProxy(seaweedfs.port) as proxy:
        commit_artifact(through(proxy.endpoint), PREFIX, source, _manifest(source))

    written = [request.target for request in proxy.requests if request.method == "PUT"]
    assert len(written) == len(FILES) + 1
    assert written[-1].endswith("/manifest.json")


def test_a_failed_upload_commits_nothing(seaweedfs: SeaweedFS, through: Through, source: Path, s3: ObjectStore):
    def refuse(request: Request) -> Response | None:
        return s3_error(403, "AccessDenied") if request.method == "PUT" and "safetensors" in request.target else None

    with HTTPProxy(seaweedfs.port, before=refuse) as proxy, pytest.raises(AccessDenied):
        commit_artifact(through(proxy.endpoint), PREFIX, source, _manifest(source))
    assert s3.head(f"{PREFIX}manifest.json") is None


def test_committing_again_writes_the_files_but_not_the_manifest(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, source: Path
):
    manifest = _manifest(source)
    digest = commit_artifact(s3, PREFIX, source, manifest)

    with HTTPProxy(seaweedfs.port) as proxy:
        assert commit_artifact(through(proxy.endpoint), PREFIX, source, manifest) == digest
    written = [request.target for request in proxy.requests if request.method == "PUT"]
    assert len(written) == len(FILES)
    assert not any(target.endswith("/manifest.json") for target in written)


def test_another_manifest_is_a_conflict_and_nothing_is_touched(store: ObjectStore, source: Path, tmp_path: Path):
    digest = commit_artifact(store, PREFIX, source, _manifest(source))
    other = _directory(tmp_path / "other", {**FILES, "adapter_config.json": b'{"peft_type":"IA3"}'})

    with pytest.raises(Conflict, match=digest):
        commit_artifact(store, PREFIX, other, _manifest(other))

    fetch_artifact(store, PREFIX, digest, tmp_path / "target")
    assert _tree(tmp_path / "target")["adapter_config.json"] == FILES["adapter_config.json"]


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "different"])
def test_writers_that_race(store: ObjectStore, source: Path, equal: bool):
    barrier = threading.Barrier(3)

    def commit(number: int) -> str:
        manifest = _manifest(source, writer=0 if equal else number)
        barrier.wait(10)
        try:
            return commit_artifact(store, PREFIX, source, manifest)
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(commit, range(3)))

    winner = sha256_bytes(store.get(f"{PREFIX}manifest.json"))
    assert sorted(results) == sorted([winner] * 3 if equal else [winner, "conflict", "conflict"])


def test_who_may_only_write_can_commit(seaweedfs: SeaweedFS, through: Through, source: Path, s3: ObjectStore):
    def hide(request: Request) -> Response | None:
        return Response(403) if request.method in {"GET", "HEAD"} else None

    with HTTPProxy(seaweedfs.port, before=hide) as proxy:
        commit_artifact(through(proxy.endpoint), PREFIX, source, _manifest(source))
    assert s3.get(f"{PREFIX}manifest.json") == _manifest(source)


def test_a_file_that_changed_after_it_was_listed_is_not_published(store: ObjectStore, source: Path):
    manifest = _manifest(source)
    (source / "adapter_config.json").write_bytes(b'{"peft_type":"EVIL"}')

    with pytest.raises(Corrupted, match=r"adapter_config\.json"):
        commit_artifact(store, PREFIX, source, manifest)
    assert store.head(f"{PREFIX}manifest.json") is None


def test_a_listed_file_that_is_not_there(store: ObjectStore, source: Path):
    manifest = _manifest(source)
    (source / "curves.jsonl").unlink()

    with pytest.raises(FileNotFoundError):
        commit_artifact(store, PREFIX, source, manifest)
    assert store.head(f"{PREFIX}manifest.json") is None


def test_files_that_are_not_listed_stay_at_home(store: ObjectStore, source: Path):
    manifest = _manifest(source)
    (source / "notes.txt").write_text("private")

    commit_artifact(store, PREFIX, source, manifest)
    assert store.head(f"{PREFIX}notes.txt") is None


def test_links_are_not_followed(store: ObjectStore, source: Path):
    manifest = _manifest(source)
    (source / "curves.jsonl").unlink()
    (source / "curves.jsonl").symlink_to("/dev/null")

    with pytest.raises(InvalidLocation, match="symbolic link"):
        commit_artifact(store, PREFIX, source, manifest)


def _damage(store: ObjectStore, name: str, data: bytes | None) -> None:
    if data is None:
        store.delete([PREFIX + name])
    else:
        store.put(PREFIX + name, data)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "flipped", "empty"])
def test_a_damaged_artifact_is_refused_and_leaves_nothing(
    store: ObjectStore, source: Path, target: Path, name: str, damage: str
):
    digest = commit_artifact(store, PREFIX, source, _manifest(source))
    data = FILES[name]
    if not data and damage in {"cut", "flipped", "empty"}:
        damage = "longer"
    _damage(
        store,
        name,
        {
            "missing": None,
            "cut": data[:-1],
            "longer": data + b"\0",
            "flipped": bytes([data[0] ^ 1]) + data[1:] if data else b"",
            "empty": b"",
        }[damage],
    )

    with pytest.raises(Corrupted, match=name.rpartition("/")[2]):
        fetch_artifact(store, PREFIX, digest, target)
    assert list(target.parent.iterdir()) == []


def test_a_forged_manifest_is_refused(store: ObjectStore, source: Path, target: Path):
    manifest = _manifest(source)
    digest = commit_artifact(store, PREFIX, source, manifest)
    store.put(f"{PREFIX}manifest.json", manifest.replace(b"Checkpoint", b"CheckpoinT"))

    with pytest.raises(Corrupted, match=digest):
        fetch_artifact(store, PREFIX, digest, target)
    assert list(target.parent.iterdir()) == []


def test_nothing_was_published(store: ObjectStore, target: Path):
    with pytest.raises(NotFound, match=r"manifest\.json"):
        fetch_artifact(store, PREFIX, sha256_bytes(b""), target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"files":{}}',
        b'{"files":[{"path":"a","sizeBytes":1}]}',
        b'{"files":[],"files":[]}',
        b'{"files":[{"path":"a","sizeBytes":-1,"digest":"sha256:%s"}]}' % (b"0" * 64),
        *(
            json.dumps({"files": [{"path": path, "sizeBytes": 1, "digest": f"sha256:{'0' * 64}"}]}).encode()
            for path in ("../evil", "/etc/passwd", "a/../../evil", "manifest.json", "", "a//b", "a\\..\\b")
        ),
        json.dumps(
            {"files": [{"path": path, "sizeBytes": 1, "digest": f"sha256:{'0' * 64}"} for path in ("a", "a")]}
        ).encode(),
        json.dumps(
            {"files": [{"path": path, "sizeBytes": 1, "digest": f"sha256:{'0' * 64}"} for path in ("a", "a/b")]}
        ).encode(),
    ],
)
def test_a_manifest_that_lists_no_files_as_it_should_is_refused_both_ways(
    store: ObjectStore, source: Path, target: Path, manifest: bytes
):
    with pytest.raises(Corrupted, match="no manifest"):
        commit_artifact(store, PREFIX, source, manifest)
    assert list(store.list_objects()) == []

    store.put(f"{PREFIX}manifest.json", manifest)
    with pytest.raises(Corrupted, match="no manifest"):
        fetch_artifact(store, PREFIX, sha256_bytes(manifest), target)
    assert list(target.parent.iterdir()) == []


def test_a_manifest_beyond_its_limit_is_not_read(store: ObjectStore, target: Path):
    store.put(f"{PREFIX}manifest.json", bytes(MIB + 1))

    with pytest.raises(Corrupted, match="more than 1048576"):
        fetch_artifact(store, PREFIX, sha256_bytes(bytes(MIB + 1)), target)


def test_a_destination_that_is_there_is_not_touched(store: ObjectStore, source: Path, target: Path):
    digest = commit_artifact(store, PREFIX, source, _manifest(source))
    target.mkdir()

    with pytest.raises(FileExistsError):
        fetch_artifact(store, PREFIX, digest, target)
    assert list(target.iterdir()) == []


def test_two_readers_of_one_destination(store: ObjectStore, source: Path, target: Path):
    digest = commit_artifact(store, PREFIX, source, _manifest(source))
    barrier = threading.Barrier(3)

    def fetch(_: int) -> str:
        barrier.wait(10)
        try:
            fetch_artifact(store, PREFIX, digest, target)
        except OSError as error:
            return type(error).__name__
        return "fetched"

    with ThreadPoolExecutor(3) as pool:
        results = sorted(pool.map(fetch, range(3)))
    assert results == ["FileExistsError", "FileExistsError", "fetched"]
    assert list(target.parent.iterdir()) == [target]
    assert set(_tree(target)) == {*FILES, "manifest.json"}


def test_a_reader_needs_no_right_to_write(
    s3: ObjectStore, location: S3Location, seaweedfs: SeaweedFS, source: Path, target: Path, tmp_path: Path
):
    digest = commit_artifact(s3, PREFIX, source, _manifest(source))
    secret = mount_secret(tmp_path / "secret", seaweedfs.reader)

    with open_store(location.model_copy(update={"credentials_directory": str(secret)})) as reading:
        fetch_artifact(reading, PREFIX, digest, target)
    assert set(_tree(target)) == {*FILES, "manifest.json"}
