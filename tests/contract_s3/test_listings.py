"""Listings and deletions: more objects than one answer may name, and names that others chose."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from adapter_contract.locations import S3Location
from adapter_contract.s3.directories import delete_prefix, download_directory
from adapter_contract.s3.errors import AccessDenied, Corrupted, InvalidLocation, Unreachable
from adapter_contract.s3.store import ObjectStore
from adapter_testing.proxies import HTTPProxy, Request, Response, s3_error
from adapter_testing.seaweedfs import SeaweedFS

pytestmark = pytest.mark.integration

Through = Callable[[str], ObjectStore]
COUNT = 2500  # three pages of a listing, three requests to delete


def test_a_directory_of_more_objects_than_a_page(
    s3: ObjectStore, seaweedfs: SeaweedFS, location: S3Location, through: Through
):
    names = [f"{number:05}" for number in range(COUNT)]
    with closing(seaweedfs.client()) as client, ThreadPoolExecutor(8) as pool:

        def put(name: str) -> None:
            client.put_object(Bucket=seaweedfs.bucket, Key=f"{location.prefix}/many/{name}", Body=b"")

        list(pool.map(put, names))
    s3.put("many-others/key", b"")

    assert sorted(found.key for found in s3.list_objects("many")) == [f"many/{name}" for name in names]
    with HTTPProxy(seaweedfs.port) as proxy:
        assert delete_prefix(through(proxy.endpoint), "many") == COUNT
    assert [request.method for request in proxy.requests].count("POST") == 3
    assert [found.key for found in s3.list_objects()] == ["many-others/key"]


def test_stores_that_cannot_delete_many_at_once_are_asked_one_by_one(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through
):
    for number in range(5):
        s3.put(f"some/{number}", b"")

    def refuse(request: Request) -> Response | None:
        return s3_error(501, "NotImplemented") if request.method == "POST" else None

    with HTTPProxy(seaweedfs.port, before=refuse) as proxy:
        assert delete_prefix(through(proxy.endpoint), "some") == 5
    assert [request.method for request in proxy.requests].count("DELETE") == 5
    assert list(s3.list_objects()) == []


def _deleted(*errors: str) -> Response:
    entries = "".join(f"<Error><Key>some/0</Key><Code>{code}</Code></Error>" for code in errors)
    return Response(200, f"<DeleteResult>{entries}</DeleteResult>".encode(), {"Content-Type": "application/xml"})


@pytest.mark.parametrize(
    ("answer", "expected", "attempts"),
    [
        (_deleted("AccessDenied"), AccessDenied, 1),
        (_deleted("InternalError"), Unreachable, 4),
        (_deleted(), Unreachable, 4),
    ],
    ids=["denied", "busy", "no answer"],
)
def test_a_deletion_that_failed_in_part_is_not_reported_as_done(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, answer: Response, expected: type[Exception], attempts: int
):
    s3.put("some/0", b"")

    def answer_instead(request: Request) -> Response | None:
        return answer if request.method == "POST" else None

    with HTTPProxy(seaweedfs.port, before=answer_instead) as proxy, pytest.raises(expected):
        delete_prefix(through(proxy.endpoint), "some")
    assert [request.method for request in proxy.requests].count("POST") == attempts
    assert s3.head("some/0") is not None


def test_markers_of_directories_are_no_files_but_are_deleted(
    s3: ObjectStore, seaweedfs: SeaweedFS, location: S3Location
):
    with closing(seaweedfs.client()) as client:
        for key in ("", "dir/", "dir/sub/"):
            client.put_object(Bucket=seaweedfs.bucket, Key=f"{location.prefix}/{key}", Body=b"")
        s3.put("dir/file", b"x")

        assert [found.key for found in s3.list_objects("dir") if found.size_bytes] == ["dir/file"]
        delete_prefix(s3, "dir")
        left = client.list_objects_v2(Bucket=seaweedfs.bucket, Prefix=f"{location.prefix}/").get("Contents", [])
    assert [found["Key"] for found in left] in (
        [f"{location.prefix}/"],
        [f"{location.prefix}/", f"{location.prefix}/dir/"],
    )


def test_an_object_that_is_also_a_directory_of_others(s3: ObjectStore, tmp_path: Path):
    s3.put("tree/a", b"x")
    s3.put("tree/a/b", b"x")

    with pytest.raises(Corrupted, match="both a file and a directory"):
        download_directory(s3, "tree", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("evil", ["../evil", "a/../../evil", "/etc/evil", "a//b", "back\\slash"])
def test_a_listing_cannot_lead_out_of_the_destination(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path, evil: str
):
    s3.put("tree/good", b"x")

    def forge(request: Request, answer: Response) -> Response:
        answer.body = answer.body.replace(b"tree/good", f"tree/{evil}".encode())
        return answer

    with HTTPProxy(seaweedfs.port, after=forge) as proxy, pytest.raises(InvalidLocation, match="can't be a path"):
        download_directory(through(proxy.endpoint), "tree", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []
