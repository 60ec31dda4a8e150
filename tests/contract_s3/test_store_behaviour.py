"""What every store does, in a local directory and on a real S3 server."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from adapter_contract.digests import sha256_bytes, sha256_file
from adapter_contract.s3.directories import delete_prefix, download_directory, upload_directory
from adapter_contract.s3.errors import Conflict, Corrupted, InvalidLocation, NotFound
from adapter_contract.s3.objects import ObjectInfo
from adapter_contract.s3.settings import MIB
from adapter_contract.s3.store import ObjectStore

pytestmark = pytest.mark.integration

ODD_KEYS = [
    "plain.txt",
    "with space/and more.txt",
    "plus+plus.txt",
    "ünïcödé/日本語/🙂.txt",
    "percent%20encoded%2F.txt",
    "query?x=1&y=2#fragment.txt",
    "quote'\"<>&;.txt",
    "dots/..hidden/...txt",
    "a" * 255,
]


def _keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return sorted(found.key for found in store.list_objects(prefix))


def _write(path: Path, size: int) -> bytes:
    data = os.urandom(size)
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_good_key_keeps_its_name_and_bytes(store: ObjectStore, tmp_path: Path, key: str):
    data = key.encode()

    store.put(key, data)

    assert store.get(key) == data
    assert store.stat(key).size_bytes == len(data)
    assert _keys(store) == [key]
    store.download(key, tmp_path / "got", expected_digest=sha256_bytes(data))
    assert (tmp_path / "got").read_bytes() == data
    store.delete([key])
    assert store.head(key) is None


@pytest.mark.parametrize(
    "key", ["", "/", "a/", "/a", "a//b", "..", "../a", "a/../b", "a/.", "a\\b", "a\x00b", "a\nb", "\ud800", "k" * 1025]
)
def test_a_key_that_could_lead_elsewhere_is_refused(store: ObjectStore, tmp_path: Path, key: str):
    (tmp_path / "source").write_bytes(b"x")

    for operation in (
        lambda: store.put(key, b"x"),
        lambda: store.put_if_absent(key, b"x"),
        lambda: store.get(key),
        lambda: store.stat(key),
        lambda: store.upload(tmp_path / "source", key),
        lambda: store.download(key, tmp_path / "target"),
        lambda: store.read_range(key, 0, 1),
    ):
        with pytest.raises(InvalidLocation):
            operation()
    assert _keys(store) == []


def test_a_later_write_replaces_and_is_seen_at_once(store: ObjectStore):
    store.put("key", b"first")
    first = store.stat("key")
    store.put("key", b"other")

    assert store.get("key") == b"other"
    assert store.stat("key").etag != first.etag


def test_what_is_not_there(store: ObjectStore, tmp_path: Path):
    assert store.head("nothing") is None
    assert _keys(store, "nothing") == []
    for operation in (
        lambda: store.stat("nothing"),
        lambda: store.get("nothing"),
        lambda: store.read_range("nothing", 0, 1),
        lambda: store.download("nothing", tmp_path / "target"),
    ):
        with pytest.raises(NotFound) as caught:
            operation()
        assert store.uri("nothing") in str(caught.value)
    store.delete(["nothing", "nor/this"])
    assert not (tmp_path / "target").exists()


def test_an_object_of_no_bytes(store: ObjectStore, tmp_path: Path):
    (tmp_path / "empty").touch()

    uploaded = store.upload(tmp_path / "empty", "empty")

    assert (uploaded.size_bytes, uploaded.digest) == (0, sha256_bytes(b""))
    assert store.get("empty") == b""
    assert list(store.stream("empty")) == []
    assert store.stat("empty").size_bytes == 0
    assert store.download("empty", tmp_path / "back", expected_size=0) == uploaded
    assert (tmp_path / "back").read_bytes() == b""


def test_get_takes_no_more_than_its_limit(store: ObjectStore):
    store.put("key", b"x" * 100)

    assert len(store.get("key", limit=100)) == 100
    with pytest.raises(Corrupted, match="100 bytes, more than 99"):
        store.get("key", limit=99)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 60), length=st.integers(0, 60))
def test_ranges_are_slices(store: ObjectStore, start: int, length: int):
    data = bytes(range(50))
    if store.head("key") is None:
        store.put("key", data)

    if start + length <= len(data):
        assert store.read_range("key", start, length) == data[start : start + length]
    else:
        with pytest.raises(Corrupted):
            store.read_range("key", start, length)
    if start <= len(data):
        assert b"".join(store.stream("key", start)) == data[start:]


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (51, 0)])
def test_ranges_outside_are_refused(store: ObjectStore, start: int, length: int):
    store.put("key", bytes(50))

    with pytest.raises(Corrupted):
        store.read_range("key", start, length)


@pytest.mark.parametrize("size", [1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 11 * MIB + 7])
def test_files_around_the_size_of_a_part_come_back_equal(store: ObjectStore, tmp_path: Path, size: int):
    data = _write(tmp_path / "source", size)
    up: list[tuple[int, int]] = []
    down: list[tuple[int, int]] = []

    uploaded = store.upload(tmp_path / "source", "dir/object", progress=lambda done, total: up.append((done, total)))
    downloaded = store.download(
        "dir/object",
        tmp_path / "target",
        expected_digest=sha256_bytes(data),
        expected_size=size,
        progress=lambda done, total: down.append((done, total)),
    )

    assert uploaded == downloaded
    assert uploaded.digest == sha256_file(tmp_path / "target")
    for seen in (up, down):
        assert seen[-1] == (size, size)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_upload_of_other_bytes_than_expected_leaves_no_object(store: ObjectStore, tmp_path: Path):
    for size in (10, 6 * MIB):
        _write(tmp_path / "source", size)
        with pytest.raises(Corrupted, match="expected sha256:"):
            store.upload(tmp_path / "source", "key", expected_digest=sha256_bytes(b"other"))
        assert store.head("key") is None
    assert _keys(store) == []


def test_a_download_of_other_bytes_than_expected_leaves_no_file(store: ObjectStore, tmp_path: Path):
    target = tmp_path / "target"
    target.mkdir()
    store.put("key", b"something")

    with pytest.raises(Corrupted, match="its digest is"):
        store.download("key", target / "file", expected_digest=sha256_bytes(b"other"))
    with pytest.raises(Corrupted, match="has 9 bytes, expected 10"):
        store.download("key", target / "file", expected_size=10)
    assert list(target.iterdir()) == []


def test_a_failed_download_leaves_the_file_that_was_there(store: ObjectStore, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"before")
    store.put("key", b"something")

    with pytest.raises(Corrupted):
        store.download("key", tmp_path / "file", expected_digest=sha256_bytes(b"other"))
    assert (tmp_path / "file").read_bytes() == b"before"

    store.download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"something"


class _StoppedByUserError(Exception):
    pass


def test_an_exception_of_the_progress_callback_cancels_and_cleans_up(store: ObjectStore, tmp_path: Path):
    target = tmp_path / "target"
    target.mkdir()
    _write(tmp_path / "source", 12 * MIB)
    store.upload(tmp_path / "source", "there")

    def stop(done: int, total: int) -> None:
        raise _StoppedByUserError

    with pytest.raises(_StoppedByUserError):
        store.upload(tmp_path / "source", "key", progress=stop)
    with pytest.raises(_StoppedByUserError):
        store.download("there", target / "file", progress=stop)

    assert store.head("key") is None
    assert list(target.iterdir()) == []


def test_a_local_file_that_is_missing_is_no_fault_of_the_store(store: ObjectStore, tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        store.upload(tmp_path / "nothing", "key")


def test_put_if_absent(store: ObjectStore):
    assert store.put_if_absent("dir/key", b"first") is True
    assert store.put_if_absent("dir/key", b"first") is False
    for other in (b"other", b"longer than the first", b""):
        with pytest.raises(Conflict, match="other bytes"):
            store.put_if_absent("dir/key", other)
    assert store.get("dir/key") == b"first"


def test_a_prefix_is_a_directory_and_not_the_beginning_of_a_name(store: ObjectStore):
    for key in ("a/1/x", "a/1/y/z", "a/10/x", "a/1x", "ab/1/x"):
        store.put(key, b"")

    assert _keys(store, "a/1") == _keys(store, "a/1/") == ["a/1/x", "a/1/y/z"]
    assert _keys(store, "a") == ["a/1/x", "a/1/y/z", "a/10/x", "a/1x"]
    assert _keys(store) == ["a/1/x", "a/1/y/z", "a/10/x", "a/1x", "ab/1/x"]
    assert delete_prefix(store, "a/1") == 2
    assert _keys(store) == ["a/10/x", "a/1x", "ab/1/x"]


def test_a_listing_shows_what_stat_shows(store: ObjectStore):
    store.put("dir/one", b"1")
    store.put("dir/two", b"22")

    assert sorted(store.list_objects("dir"), key=lambda found: found.key) == [
        store.stat("dir/one"),
        store.stat("dir/two"),
    ]
    assert isinstance(store.stat("dir/one"), ObjectInfo)


@pytest.mark.parametrize("prefix", ["", "/", "//"])
def test_nobody_deletes_everything_by_an_empty_prefix(store: ObjectStore, prefix: str):
    store.put("key", b"")

    with pytest.raises(InvalidLocation, match="no prefix"):
        delete_prefix(store, prefix)
    with pytest.raises(InvalidLocation):
        store.delete([prefix])
    assert _keys(store) == ["key"]


def test_deleting_a_directory_by_its_name_deletes_nothing(store: ObjectStore):
    store.put("dir/key", b"")

    store.delete(["dir"])

    assert _keys(store) == ["dir/key"]


def _tree(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_directories_go_up_and_come_down(store: ObjectStore, tmp_path: Path):
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    for name in ("config.json", "deep/er/日本 語.txt", "empty", *(f"many-{number}" for number in range(12))):
        _write(source / name, 0 if name == "empty" else 1000)
    _write(source / "weights.safetensors", 6 * MIB)
    total = sum(len(data) for data in _tree(source).values())
    up: list[tuple[int, int]] = []
    down: list[tuple[int, int]] = []

    sent = upload_directory(store, source, "tree/1", progress=lambda *now: up.append(now))
    store.put("tree/10/foreign", b"")
    received = download_directory(store, "tree/1", tmp_path / "new" / "target", progress=lambda *now: down.append(now))

    assert _tree(tmp_path / "new" / "target") == _tree(source)
    assert sent == received
    assert {path: found.digest for path, found in sent.items()} == {
        path: sha256_bytes(data) for path, data in _tree(source).items()
    }
    assert up[-1] == down[-1] == (total, total)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["target"]


def test_a_directory_is_never_changed_in_place(store: ObjectStore, tmp_path: Path):
    store.put("tree/key", b"x")
    (tmp_path / "target").mkdir()

    with pytest.raises(FileExistsError):
        download_directory(store, "tree", tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_an_empty_prefix_is_no_directory(store: ObjectStore, tmp_path: Path):
    with pytest.raises(NotFound, match="nothing is there"):
        download_directory(store, "nothing", tmp_path / "target")
    assert list(tmp_path.glob("*target*")) == []


def test_links_are_not_published(store: ObjectStore, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "passwords").symlink_to("/etc/passwd")
    (source / "a").write_bytes(b"x")

    with pytest.raises(InvalidLocation, match="symbolic link"):
        upload_directory(store, source, "tree")
    assert _keys(store) == []
