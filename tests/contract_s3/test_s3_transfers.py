"""Large objects and broken connections, against a real S3 server behind proxies that break them."""

import base64
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapter_contract.digests import sha256_bytes, sha256_file
from adapter_contract.locations import S3Location
from adapter_contract.s3.directories import upload_directory
from adapter_contract.s3.errors import AccessDenied, Conflict, Corrupted, Unreachable
from adapter_contract.s3.settings import MIB, TransferSettings
from adapter_contract.s3.store import ObjectStore, open_store
from adapter_testing.proxies import DROP, CuttingProxy, HTTPProxy, Request, Response, s3_error
from adapter_testing.seaweedfs import SeaweedFS

pytestmark = pytest.mark.integration

Through = Callable[[str], ObjectStore]


def _large_file(path: Path, size: int) -> str:
    """Write a file in which no two blocks are equal, so that swapped parts show."""
    block = os.urandom(MIB - 8)
    with path.open("wb") as stream:
        for number in range(size // MIB):
            stream.write(number.to_bytes(8, "big") + block)
        stream.write(os.urandom(size % MIB))
    return sha256_file(path)


def _open_uploads(server: SeaweedFS, location: S3Location) -> list[object]:
    with closing(server.client()) as client:
        found = client.list_multipart_uploads(Bucket=server.bucket, Prefix=location.prefix)
    return list(found.get("Uploads", []))


def test_200_mb_in_parts_with_progress_and_digest(
    s3: ObjectStore, seaweedfs: SeaweedFS, location: S3Location, tmp_path: Path
):
    size = 200 * MIB + 12345
    digest = _large_file(tmp_path / "source", size)
    up: list[int] = []
    down: list[int] = []

    uploaded = s3.upload(tmp_path / "source", "large", expected_digest=digest, progress=lambda done, _: up.append(done))
    s3.download("large", tmp_path / "target", expected_digest=digest, progress=lambda done, _: down.append(done))

    assert (uploaded.size_bytes, uploaded.digest) == (size, digest)
    assert sha256_file(tmp_path / "target") == digest
    assert len(up) == 41
    assert up[-1] == down[-1] == size
    assert sorted(up) == up
    assert _open_uploads(seaweedfs, location) == []


def test_the_store_keeps_sha256_sums_of_what_was_sent(
    s3: ObjectStore, seaweedfs: SeaweedFS, location: S3Location, tmp_path: Path
):
    _large_file(tmp_path / "large", 6 * MIB)
    s3.put("small", b"hello")
    s3.upload(tmp_path / "large", "large")

    with closing(seaweedfs.client()) as client:
        small = client.head_object(Bucket=seaweedfs.bucket, Key=f"{location.prefix}/small", ChecksumMode="ENABLED")
        large = client.head_object(Bucket=seaweedfs.bucket, Key=f"{location.prefix}/large", ChecksumMode="ENABLED")
    data = (tmp_path / "large").read_bytes()
    parts = b"".join(hashlib.sha256(part).digest() for part in (data[: 5 * MIB], data[5 * MIB :]))
    assert base64.b64decode(small["ChecksumSHA256"]) == hashlib.sha256(b"hello").digest()
    assert large["ChecksumSHA256"] == f"{base64.b64encode(hashlib.sha256(parts).digest()).decode()}-2"


def test_a_connection_that_is_cut_in_the_middle_is_resumed(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    digest = _large_file(tmp_path / "source", 24 * MIB + 3)
    s3.upload(tmp_path / "source", "key")

    with CuttingProxy(seaweedfs.port, cut_after=3 * MIB) as proxy:
        through(proxy.endpoint).download("key", tmp_path / "target", expected_digest=digest)
        streamed = b"".join(through(proxy.endpoint).stream("key"))

    assert sha256_file(tmp_path / "target") == digest == sha256_bytes(streamed)
    assert proxy.cut >= 8


def test_a_connection_that_is_always_cut_ends_as_unreachable_and_leaves_nothing(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    s3.put("key", os.urandom(4 * MIB))
    target = tmp_path / "target"
    target.mkdir()

    # Enough for every answer to HEAD, too little for the first chunk of any range.
    with CuttingProxy(seaweedfs.port, cut_after=100_000) as proxy, pytest.raises(Unreachable) as caught:
        through(proxy.endpoint).download("key", target / "file")

    assert "download" in str(caught.value)
    assert caught.value.__cause__ is not None
    assert proxy.cut == 4, "one per attempt"
    assert list(target.iterdir()) == []


def test_an_upload_over_a_cut_connection_is_repeated(seaweedfs: SeaweedFS, through: Through, tmp_path: Path):
    digest = _large_file(tmp_path / "source", 16 * MIB)

    # An answer to a part is a few hundred bytes: after 50 each first connection breaks within one.
    with CuttingProxy(seaweedfs.port, cut_after=50, cuts=3) as proxy:
        store = through(proxy.endpoint)
        store.upload(tmp_path / "source", "key", expected_digest=digest)
        store.download("key", tmp_path / "target", expected_digest=digest)

    assert proxy.cut == 3


def test_a_failed_upload_is_aborted(seaweedfs: SeaweedFS, through: Through, location: S3Location, tmp_path: Path):
    _large_file(tmp_path / "source", 16 * MIB)

    def refuse_second_part(request: Request) -> Response | None:
        return s3_error(403, "AccessDenied") if re.search(r"\bpartNumber=2\b", request.target) else None

    with HTTPProxy(seaweedfs.port, before=refuse_second_part) as proxy, pytest.raises(AccessDenied):
        through(proxy.endpoint).upload(tmp_path / "source", "key")

    assert [request.method for request in proxy.requests].count("DELETE") == 1
    assert _open_uploads(seaweedfs, location) == []


def test_a_failed_part_ends_the_upload_and_not_only_at_its_end(seaweedfs: SeaweedFS, through: Through, tmp_path: Path):
    _large_file(tmp_path / "source", 120 * MIB)

    def refuse(request: Request) -> Response | None:
        return s3_error(403, "AccessDenied") if "partNumber=" in request.target else None

    with HTTPProxy(seaweedfs.port, before=refuse) as proxy, pytest.raises(AccessDenied):
        through(proxy.endpoint).upload(tmp_path / "source", "key")
    assert sum("partNumber=" in request.target for request in proxy.requests) <= 8, (
        "two rounds of four at a time, of 24"
    )


def test_a_failed_file_ends_the_transfer_of_its_directory(seaweedfs: SeaweedFS, through: Through, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        _large_file(source / f"{number}", 60 * MIB)
    (source / "0").write_bytes(b"small")

    others = threading.Barrier(4)  # the three large files have begun when the small one is refused

    def refuse(request: Request) -> Response | None:
        if request.target.endswith("?uploads"):
            others.wait(10)
        if request.target.endswith("/tree/0"):
            others.wait(10)
            return s3_error(403, "AccessDenied")
        return None

    with HTTPProxy(seaweedfs.port, before=refuse) as proxy, pytest.raises(AccessDenied):
        upload_directory(through(proxy.endpoint), source, "tree")
    sent = [request.method for request in proxy.requests]
    assert sent.count("DELETE") == 3, "the uploads of the others were aborted"
    assert sum("partNumber=" in request.target for request in proxy.requests) < 36


def test_retries_end_when_the_transfer_is_given_up(seaweedfs: SeaweedFS, location: S3Location, tmp_path: Path):
    """One part fails for good while another one waits for its next attempt: nobody waits for that."""
    _large_file(tmp_path / "source", 11 * MIB)
    patient = TransferSettings(attempts=100, budget_seconds=60, longest_backoff_seconds=60, part_bytes=5 * MIB)
    waiting = threading.Event()

    def answer(request: Request) -> Response | None:
        if "partNumber=2" in request.target:
            waiting.set()
            return Response(503, headers={"Retry-After": "50"})
        if "partNumber=1" in request.target:
            waiting.wait(10)
            return s3_error(403, "AccessDenied")
        return None

    start = time.monotonic()
    with HTTPProxy(seaweedfs.port, before=answer) as proxy:
        there = location.model_copy(update={"endpoint_url": proxy.endpoint})
        with open_store(there, patient) as store, pytest.raises(AccessDenied):
            store.upload(tmp_path / "source", "key")
    assert time.monotonic() - start < 20


def test_an_upload_that_cannot_even_be_aborted_says_so(seaweedfs: SeaweedFS, through: Through, tmp_path: Path):
    _large_file(tmp_path / "source", 6 * MIB)

    def refuse(request: Request) -> Response | None:
        denied = request.method == "DELETE" or "partNumber=" in request.target
        return s3_error(403, "AccessDenied") if denied else None

    with HTTPProxy(seaweedfs.port, before=refuse) as proxy, pytest.raises(AccessDenied, match="upload") as caught:
        through(proxy.endpoint).upload(tmp_path / "source", "key")
    assert "cannot abort the upload of" in caught.value.__notes__[0]


def test_an_upload_that_the_store_forgot(s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path):
    _large_file(tmp_path / "source", 6 * MIB)

    def forget(request: Request) -> Response | None:
        completes = request.method == "POST" and "uploadId=" in request.target
        return s3_error(404, "NoSuchUpload") if completes else None

    s3.put("key", b"another object")
    with HTTPProxy(seaweedfs.port, before=forget) as proxy, pytest.raises(Unreachable, match="forgot the upload"):
        through(proxy.endpoint).upload(tmp_path / "source", "key")
    assert s3.get("key") == b"another object"


def test_an_upload_whose_last_answer_is_lost_is_recognized(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    digest = _large_file(tmp_path / "source", 11 * MIB)
    lost: list[Request] = []

    def lose_once(request: Request, answer: Response) -> Response:
        if request.method == "POST" and "uploadId=" in request.target and not lost:
            lost.append(request)
            return DROP
        return answer

    with HTTPProxy(seaweedfs.port, after=lose_once) as proxy:
        through(proxy.endpoint).upload(tmp_path / "source", "key", expected_digest=digest)

    assert len(lost) == 1
    s3.download("key", tmp_path / "target", expected_digest=digest)


def test_busy_stores_are_asked_again(seaweedfs: SeaweedFS, through: Through):
    answers = [s3_error(503, "SlowDown"), Response(429), s3_error(500, "InternalError"), None]

    with HTTPProxy(seaweedfs.port, before=lambda _: answers.pop(0)) as proxy:
        through(proxy.endpoint).put("key", b"data")

    assert answers == []


def test_a_store_that_stays_busy_is_unreachable(seaweedfs: SeaweedFS, through: Through):
    with (
        HTTPProxy(seaweedfs.port, before=lambda _: s3_error(503, "SlowDown")) as proxy,
        pytest.raises(Unreachable, match=r"busy or failing \(HTTP 503, SlowDown\)"),
    ):
        through(proxy.endpoint).get("key")
    assert len(proxy.requests) == 4


def test_the_time_budget_ends_retries_before_the_attempts_do(seaweedfs: SeaweedFS, location: S3Location):
    bounds = TransferSettings(attempts=1000, budget_seconds=0.5, backoff_seconds=0.05, longest_backoff_seconds=0.1)
    with HTTPProxy(seaweedfs.port, before=lambda _: s3_error(503, "SlowDown")) as proxy:
        there = location.model_copy(update={"endpoint_url": proxy.endpoint})
        with open_store(there, bounds) as store, pytest.raises(Unreachable):
            store.get("key")
    assert 2 <= len(proxy.requests) < 200


class _ReplaceOnce:
    """Replaces the object between two ranges of a download, so that the first has old bytes."""

    def __init__(self, replace: Callable[[], None], times: int) -> None:
        self._replace = replace
        self._left = times
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Response | None:
        with self._lock:
            if request.method == "GET" and "bytes=5242880-" in request.headers.get("Range", "") and self._left:
                self._left -= 1
                self._replace()
        return None


def test_an_object_replaced_during_the_download_is_never_mixed(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    before, after = (os.urandom(12 * MIB) for _ in range(2))
    s3.put("key", before)

    with HTTPProxy(seaweedfs.port, before=_ReplaceOnce(lambda: s3.put("key", after), times=1)) as proxy:
        received = through(proxy.endpoint).download("key", tmp_path / "target")

    assert (tmp_path / "target").read_bytes() == after
    assert received.digest == sha256_bytes(after)


def test_an_object_replaced_again_and_again_is_a_conflict(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    target = tmp_path / "target"
    target.mkdir()
    s3.put("key", os.urandom(12 * MIB))

    with (
        HTTPProxy(seaweedfs.port, before=_ReplaceOnce(lambda: s3.put("key", os.urandom(12 * MIB)), times=99)) as proxy,
        pytest.raises(Conflict, match="replaced while it was read"),
    ):
        through(proxy.endpoint).download("key", target / "file")
    assert list(target.iterdir()) == []


def test_a_stream_breaks_off_rather_than_mix(s3: ObjectStore, seaweedfs: SeaweedFS, through: Through):
    s3.put("key", os.urandom(4 * MIB))

    with CuttingProxy(seaweedfs.port, cut_after=MIB) as proxy:
        stream = through(proxy.endpoint).stream("key")
        next(stream)
        s3.put("key", os.urandom(4 * MIB))
        with pytest.raises(Conflict):
            list(stream)


def test_bytes_that_change_on_the_way_are_read_again_once(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    data = os.urandom(100_000)
    s3.put("key", data)
    faults = 1

    def flip(request: Request, answer: Response) -> Response:
        nonlocal faults
        if request.method == "GET" and faults:
            faults -= 1
            answer.body = b"?" + answer.body[1:]
        return answer

    with HTTPProxy(seaweedfs.port, after=flip) as proxy:
        store = through(proxy.endpoint)
        store.download("key", tmp_path / "target", expected_digest=sha256_bytes(data))
        assert (tmp_path / "target").read_bytes() == data
        faults = 99
        with pytest.raises(Corrupted):
            store.download("key", tmp_path / "again", expected_digest=sha256_bytes(data))
    assert not (tmp_path / "again").exists()


def test_a_store_that_ignores_ranges_is_refused(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    s3.put("key", os.urandom(1000))

    def whole(request: Request, answer: Response) -> Response:
        if request.method == "GET":
            answer.headers.pop("Content-Range", None)
            return Response(200, answer.body, answer.headers)
        return answer

    with HTTPProxy(seaweedfs.port, after=whole) as proxy, pytest.raises(Corrupted, match="Range requests"):
        through(proxy.endpoint).read_range("key", 10, 20)


def test_stores_that_know_no_checksums_get_none(
    s3: ObjectStore, seaweedfs: SeaweedFS, through: Through, tmp_path: Path
):
    digest = _large_file(tmp_path / "source", 6 * MIB)

    def refuse(request: Request) -> Response | None:
        sent = {name.lower() for name in request.headers}
        return s3_error(501, "NotImplemented") if sent & {"x-amz-checksum-sha256", "x-amz-checksum-algorithm"} else None

    with HTTPProxy(seaweedfs.port, before=refuse) as proxy:
        store = through(proxy.endpoint)
        store.upload(tmp_path / "source", "large", expected_digest=digest)
        store.put("small", b"hello")
    assert s3.get("small") == b"hello"
    s3.download("large", tmp_path / "target", expected_digest=digest)


def test_a_file_that_grows_shorter_while_it_is_uploaded_is_no_object(s3: ObjectStore, tmp_path: Path):
    source = tmp_path / "source"
    _large_file(source, 40 * MIB)

    def cut(done: int, total: int) -> None:
        os.truncate(source, 0)

    with pytest.raises(Corrupted, match="became shorter"):
        s3.upload(source, "key", progress=cut)
    assert s3.head("key") is None
