"""What only a local directory can do wrong: links, foreign entries, collisions of files and directories."""

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapter_contract.locations import S3Location
from adapter_contract.s3.directories import delete_prefix
from adapter_contract.s3.errors import AccessDenied, Conflict, InvalidLocation, NotFound, StorageError, Unreachable
from adapter_contract.s3.store import ObjectStore, open_store

pytestmark = pytest.mark.unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "root"


@pytest.fixture
def files(root: Path) -> ObjectStore:
    return open_store(S3Location(uri=f"file://{root}"))


def test_reading_makes_nothing(files: ObjectStore, root: Path):
    assert files.head("key") is None
    assert list(files.list_objects()) == []
    files.delete(["key"])
    assert not root.parent.exists()


def test_keys_are_paths(files: ObjectStore, root: Path):
    files.put("a/b/c.json", b"{}")

    assert (root / "a" / "b" / "c.json").read_bytes() == b"{}"
    assert files.uri("a") == f"file://{root}/a"
    assert list((root / ".staging").iterdir()) == []


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/key"])
def test_no_link_is_followed(files: ObjectStore, root: Path, tmp_path: Path, link: str):
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    for path in (outside / "key", outside / "b" / "key"):
        path.write_bytes(b"secret")
    place = root / link
    place.parent.mkdir(parents=True)
    place.symlink_to(outside / "key" if link.endswith("key") else outside)
    key = "a/b/key"

    for operation in (
        lambda: files.get(key),
        lambda: files.stat(key),
        lambda: files.read_range(key, 0, 1),
        lambda: files.download(key, tmp_path / "target"),
    ):
        with pytest.raises(InvalidLocation, match="symbolic link"):
            operation()
    assert list(files.list_objects()) == []
    if link.endswith("key"):
        with pytest.raises(InvalidLocation):
            files.put_if_absent(key, b"x")
        files.put(key, b"replaces the link itself")
    else:
        for change in (lambda: files.put(key, b"x"), lambda: files.delete([key])):
            with pytest.raises(InvalidLocation):
                change()
    assert (outside / "key").read_bytes() == (outside / "b" / "key").read_bytes() == b"secret"


def test_pipes_and_devices_are_no_objects(files: ObjectStore, root: Path):
    root.mkdir(parents=True)
    os.mkfifo(root / "pipe")

    with pytest.raises(InvalidLocation, match="special file"):
        files.get("pipe")
    assert list(files.list_objects()) == []


def test_an_object_cannot_be_a_directory(files: ObjectStore):
    files.put("a/b", b"x")

    for key in ("a", "a/b/c"):
        for write in (files.put, files.put_if_absent):
            with pytest.raises(InvalidLocation, match="a directory can't be an object"):
                write(key, b"y")
        with pytest.raises(NotFound):
            files.get(key)
    assert files.get("a/b") == b"x"


def test_the_place_for_unfinished_objects_is_nobodys_key(files: ObjectStore, root: Path):
    files.put("key", b"x")
    (root / ".staging" / "unfinished").write_bytes(b"x")

    with pytest.raises(InvalidLocation, match="reserved"):
        files.get(".staging/unfinished")
    assert [found.key for found in files.list_objects()] == ["key"]


def test_directories_go_when_they_are_empty(files: ObjectStore, root: Path):
    files.put("a/b/c/one", b"")
    files.put("a/two", b"")

    assert delete_prefix(files, "a/b") == 1
    assert [path.name for path in (root / "a").iterdir()] == ["two"]
    delete_prefix(files, "a")
    assert [path.name for path in root.iterdir()] == [".staging"]


def test_writers_and_deleters_in_one_directory(files: ObjectStore):
    """A directory may vanish, being empty, between its making and the writing into it."""
    barrier = threading.Barrier(2)

    def write(_: int) -> None:
        barrier.wait(10)
        for number in range(100):
            files.put("busy/dir/mine", b"%d" % number)

    def delete(_: int) -> None:
        barrier.wait(10)
        for _ in range(100):
            files.delete(["busy/dir/mine"])

    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(write, 0), pool.submit(delete, 0)]:
            task.result()
    assert files.head("busy/dir/mine") in {None, files.head("busy/dir/mine")}


def test_an_object_that_vanishes_during_a_listing_hides_no_other(
    files: ObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("one", "two", "three"):
        files.put(f"a/{name}", b"x")
    scan = os.scandir

    @contextmanager
    def delete_what_was_found(directory: int) -> Iterator[Iterator["os.DirEntry[str]"]]:
        with scan(directory) as entries:
            found = list(entries)
            (root / "a" / "two").unlink(missing_ok=True)
            yield iter(found)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", delete_what_was_found)
        assert {found.key for found in files.list_objects("a")} == {"a/one", "a/three"}


def test_a_directory_that_vanishes_during_a_listing_hides_no_other(files: ObjectStore, root: Path):
    for key in ("a", "b/key", "c/key"):
        files.put(key, b"x")

    listing = files.list_objects()
    assert next(listing).key == "a"
    shutil.rmtree(root / "b")
    assert [found.key for found in listing] == ["c/key"]


def test_a_prefix_that_is_an_object_has_nothing_inside(files: ObjectStore):
    files.put("a", b"x")

    assert list(files.list_objects("a")) == []


def test_a_file_system_without_hard_links(files: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    assert files.put_if_absent("key", b"first") is True
    assert files.put_if_absent("key", b"first") is False
    with pytest.raises(Conflict):
        files.put_if_absent("key", b"other")


@pytest.mark.parametrize(
    ("number", "expected", "text"),
    [
        (13, AccessDenied, "refuses access"),
        (30, AccessDenied, "refuses access"),
        (28, StorageError, "full"),
        (5, Unreachable, "fails"),
    ],
    ids=["EACCES", "EROFS", "ENOSPC", "EIO"],
)
def test_what_the_file_system_refuses_is_named(
    files: ObjectStore, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception], text: str
):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    files.put("key", b"x")
    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(expected, match=text) as caught:
        files.put("key", b"y")
    assert isinstance(caught.value.__cause__, OSError)
    assert files.get("key") == b"x"


def test_a_name_that_is_no_text(files: ObjectStore, root: Path):
    root.mkdir(parents=True)
    (root / os.fsdecode(b"bad-\xff")).write_bytes(b"x")

    [found] = files.list_objects()
    with pytest.raises(InvalidLocation, match="lone surrogate"):
        files.get(found.key)
