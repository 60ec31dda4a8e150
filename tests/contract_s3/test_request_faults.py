"""Forks, stores that stall or drip, refusals without a reason, listings without an end, redirects."""

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from adapter_contract.exit_codes import ExitCode
from adapter_contract.locations import S3Location
from adapter_contract.s3.client import make_client, mounted_credentials
from adapter_contract.s3.errors import AccessDenied, Conflict, Corrupted, InvalidLocation, Unreachable
from adapter_contract.s3.ranges import ByteRange
from adapter_contract.s3.s3_requests import S3Requests
from adapter_contract.s3.settings import MIB, TransferSettings
from adapter_contract.s3.store import ObjectStore, open_store
from adapter_testing.proxies import HTTPProxy, Request, Response, s3_error
from adapter_testing.seaweedfs import SeaweedFS, mount_secret, mount_values

pytestmark = pytest.mark.integration

Through = Callable[[str], ObjectStore]

SHORT = TransferSettings(
    connect_timeout_seconds=0.5, read_timeout_seconds=0.3, attempts=2, budget_seconds=1, backoff_seconds=0.01
)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


_FORKING = """
import os, sys
from adapter_contract.locations import S3Location
from adapter_contract.s3 import open_store

store = open_store(S3Location.model_validate_json(sys.argv[1]))
store.put("parent", b"parent")
store.put("child", b"child")
child = os.fork()
mine = "parent" if child else "child"
try:
    right = all(store.get(mine) == mine.encode() for _ in range(60))
except BaseException:
    right = False
if not child:
    os._exit(0 if right else 1)
_, status = os.waitpid(child, 0)
print(f"parent {right}, child {os.waitstatus_to_exitcode(status) == 0}")
"""


def test_a_forked_process_makes_connections_of_its_own(location: S3Location):
    result = subprocess.run(
        [sys.executable, "-c", _FORKING, location.model_dump_json(by_alias=True)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert result.stdout.strip() == "parent True, child True", result.stderr


def test_a_pickled_store_is_opened_anew(s3: ObjectStore, location: S3Location, admin_secret: Path):
    s3.put("key", b"data")

    pickled = pickle.dumps(s3)
    with pickle.loads(pickled) as store:  # noqa: S301 - our own
        assert (store.uri("key"), store.settings) == (s3.uri("key"), s3.settings)
        assert store.get("key") == b"data"
    for secret in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert (admin_secret / secret).read_bytes().strip() not in pickled


class _SlowStore:
    """A store that pauses before it reads a body, and sends content in pieces with pauses between them."""

    def __init__(self, *, pause: float = 0.0, piece: int = 1, size: int = 100_000) -> None:
        self.ended = threading.Event()
        self.requests: list[str] = []
        slow = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _head(self, status: int, length: int, **headers: str) -> None:
                slow.requests.append(self.command)
                self.send_response_only(status)
                for name, value in {"ETag": '"etag"', "Content-Length": str(length), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()

            def do_HEAD(self) -> None:
                self._head(200, size)

            def do_GET(self) -> None:
                if self.headers.get("Range"):
                    self._head(206, size, Content_Range=f"bytes 0-{size - 1}/{size}")
                else:
                    self._head(200, size)
                with suppress(OSError):  # the client gave up
                    for start in range(0, size, piece):
                        if slow.ended.wait(pause):
                            return
                        self.wfile.write(bytes(min(piece, size - start)))

            def do_PUT(self) -> None:
                slow.ended.wait(pause)
                with suppress(OSError):
                    self.rfile.read(int(self.headers["Content-Length"]))
                    self._head(200, 0)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "_SlowStore":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _at(location: S3Location, endpoint: str) -> S3Location:
    return location.model_copy(update={"endpoint_url": endpoint})


def test_a_store_that_pauses_reading_gets_the_body_nevertheless(location: S3Location):
    patient = replace(SHORT, connect_timeout_seconds=3, read_timeout_seconds=3, attempts=1)
    with _SlowStore(pause=1) as slow, open_store(_at(location, slow.endpoint), patient) as store:
        store.put("key", bytes(16 * MIB))
    assert slow.requests == ["PUT"]


def test_a_store_that_stops_reading_is_given_up_within_the_bound(location: S3Location):
    with (
        _SlowStore(pause=60) as slow,
        open_store(_at(location, slow.endpoint), SHORT) as store,
        _within(6),
        pytest.raises(Unreachable),
    ):
        store.put("key", bytes(16 * MIB))


def test_by_default_a_store_may_pause_for_longer_than_connections_take():
    assert TransferSettings().connect_timeout_seconds >= 30


@pytest.mark.parametrize(
    "read",
    [lambda store: store.get("key"), lambda store: store.read_range("key", 0, 100_000)],
    ids=["get", "read_range"],
)
def test_a_store_that_drips_is_given_up_within_the_bound(location: S3Location, read: Callable[[ObjectStore], bytes]):
    with (
        _SlowStore(pause=0.05) as slow,
        open_store(_at(location, slow.endpoint), SHORT) as store,
        _within(3),
        pytest.raises(Unreachable, match="did not answer in time"),
    ):
        read(store)
    assert slow.requests.count("GET") == 2


def test_reading_a_whole_object_ends_with_the_budget(location: S3Location):
    """Each 64 KiB comes in time, but all of them would take ten seconds."""
    with (
        _SlowStore(pause=0.1, piece=64 << 10, size=100 << 16) as slow,
        open_store(_at(location, slow.endpoint), SHORT) as store,
        _within(3),
        pytest.raises(Unreachable, match="did not answer in time"),
    ):
        store.get("key")


def test_a_transfer_that_is_given_up_does_not_wait_for_a_store_that_drips(location: S3Location):
    cancelled = threading.Event()
    with _SlowStore(pause=0.05) as slow:
        patient = replace(SHORT, read_timeout_seconds=30, budget_seconds=30, attempts=9)
        requests = S3Requests(_at(location, slow.endpoint), patient)
        canceller = threading.Timer(0.3, cancelled.set)
        with closing(requests), _within(3):
            canceller.start()
            with pytest.raises(Unreachable):
                list(requests.chunks("download", "key", ByteRange(0, 100_000), '"etag"', cancelled))
        canceller.join()
    assert slow.requests == ["GET"]


def _no_directory(secret: Path) -> str:
    secret.write_text("a file")
    return "secret can't be read"


def _a_directory_as_key(secret: Path) -> str:
    (secret / "AWS_ACCESS_KEY_ID").mkdir(parents=True)
    return "AWS_ACCESS_KEY_ID can't be read"


def _links_in_a_circle(secret: Path) -> str:
    mount_values(secret, {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x"})
    (secret / "..data" / "AWS_SESSION_TOKEN").symlink_to("AWS_SESSION_TOKEN")
    return "AWS_SESSION_TOKEN can't be read"


@pytest.mark.parametrize("damage", [_no_directory, _a_directory_as_key, _links_in_a_circle])
def test_credentials_that_cannot_be_read(location: S3Location, tmp_path: Path, damage: Callable[[Path], str]):
    secret = tmp_path / "secret"
    complaint = damage(secret)
    there = location.model_copy(update={"credentials_directory": str(secret)})

    with open_store(there, SHORT) as store, pytest.raises(AccessDenied, match=complaint) as caught:
        store.get("key")
    assert caught.value.uri == str(secret)
    assert caught.value.exit_code is ExitCode.PERMISSION


def test_credentials_that_another_user_owns(location: S3Location, admin_secret: Path, monkeypatch: pytest.MonkeyPatch):
    opened = os.open

    def refuse(path: str, *rest: int, **more: int) -> int:
        if path == "AWS_SECRET_ACCESS_KEY":  # root, who may run this test, is refused nothing
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *rest, **more)

    with open_store(location, SHORT) as store:
        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(AccessDenied, match=r"AWS_SECRET_ACCESS_KEY can't be read \(Permission denied\)"):
            store.get("key")


@pytest.mark.parametrize("status", [400, 403])
def test_a_head_without_a_reason_is_asked_again(seaweedfs: SeaweedFS, through: Through, status: int):
    def refuse(request: Request) -> Response:
        return Response(status) if request.method == "HEAD" else s3_error(400, "ExpiredToken")

    with (
        HTTPProxy(seaweedfs.port, before=refuse) as proxy,
        pytest.raises(AccessDenied, match=r"token has expired.*ExpiredToken") as caught,
    ):
        through(proxy.endpoint).head("key")
    assert caught.value.exit_code is ExitCode.PERMISSION
    assert proxy.requests[-1].headers["Range"] == "bytes=0-0"


def test_a_head_whose_object_can_be_read_stays_refused(s3: ObjectStore, seaweedfs: SeaweedFS, through: Through):
    for content in (b"", b"data"):
        s3.put("key", content)
        with (
            HTTPProxy(seaweedfs.port, before=lambda it: Response(403) if it.method == "HEAD" else None) as proxy,
            pytest.raises(AccessDenied, match="HTTP 403"),
        ):
            through(proxy.endpoint).head("key")


def test_a_head_is_tried_again_when_the_expired_token_was_renewed(
    s3: ObjectStore, seaweedfs: SeaweedFS, location: S3Location, tmp_path: Path
):
    s3.put("key", b"data")
    secret = mount_values(tmp_path / "secret", {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "expired"})
    renewed = threading.Event()

    def expire(request: Request) -> Response | None:
        if renewed.is_set():
            return None
        if request.method == "HEAD":
            return Response(400)
        mount_secret(secret, seaweedfs.admin)
        renewed.set()
        return s3_error(400, "ExpiredToken")

    with HTTPProxy(seaweedfs.port, before=expire) as proxy:
        there = _at(location, proxy.endpoint).model_copy(update={"credentials_directory": str(secret)})
        with open_store(there, SHORT) as store:
            assert store.stat("key").size_bytes == 4


def _page(token: str) -> Response:
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    body = f"<ListBucketResult><IsTruncated>true</IsTruncated>{following}</ListBucketResult>"
    return Response(200, body.encode(), {"Content-Type": "application/xml"})


@pytest.mark.parametrize("tokens", [[""], ["same"], ["one", "two"]], ids=["none", "the same", "a circle"])
def test_a_listing_that_does_not_come_to_its_end(seaweedfs: SeaweedFS, through: Through, tokens: list[str]):
    def answer(_: Request) -> Response:
        return _page(tokens[(len(proxy.requests) - 1) % len(tokens)]) if len(proxy.requests) < 50 else Response(418)

    with HTTPProxy(seaweedfs.port, before=answer) as proxy, pytest.raises(Corrupted, match="next page") as caught:
        list(through(proxy.endpoint).list_objects())
    assert caught.value.exit_code is ExitCode.BAD_DATA


def test_a_page_that_names_no_next_one_is_asked_for_again(s3: ObjectStore, seaweedfs: SeaweedFS, through: Through):
    s3.put("key", b"data")
    answers = [_page(""), None]

    with HTTPProxy(seaweedfs.port, before=lambda _: answers.pop(0)) as proxy:
        assert [found.key for found in through(proxy.endpoint).list_objects()] == ["key"]


def test_a_conflict_that_never_ends_is_not_taken_for_a_missing_object(seaweedfs: SeaweedFS, through: Through):
    def conflict(request: Request) -> Response | None:
        return s3_error(409, "ConditionalRequestConflict") if request.method == "PUT" else None

    with HTTPProxy(seaweedfs.port, before=conflict) as proxy, pytest.raises(Conflict, match="HTTP 409") as caught:
        through(proxy.endpoint).put_if_absent("key", b"data")
    assert caught.value.__cause__ is not None
    assert [request.method for request in proxy.requests].count("PUT") == 4


@pytest.mark.parametrize("named_by", ["location", "environment"])
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "garbage"])
def test_a_ca_bundle_that_cannot_be_loaded(
    location: S3Location, seaweedfs: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    named_by: str, content: str | None,
):  # fmt: skip
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    there = _at(location, seaweedfs.tls_endpoint)
    if named_by == "location":
        there = there.model_copy(update={"ca_bundle_file": str(bundle)})
    else:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))

    with pytest.raises(InvalidLocation, match="CA bundle") as caught:
        open_store(there, SHORT).head("key")
    assert str(bundle) in str(caught.value)


def test_aws_redirects_to_the_region_of_a_bucket(location: S3Location):
    """What makes the default region good enough on AWS; nothing is sent, every answer is given here."""
    sent: list[tuple[str, str]] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append((request.url, str(request.headers["Authorization"])))
        if len(sent) == 1:
            return AWSResponse(request.url, 301, {"x-amz-bucket-region": "eu-central-1"}, _Body())
        return AWSResponse(request.url, 200, {"Content-Length": "4", "ETag": '"etag"'}, _Body())

    there = location.model_copy(update={"endpoint_url": None, "region": None})
    with closing(make_client(there, SHORT, mounted_credentials(there))) as client:
        client.meta.events.register("before-send.s3", answer)
        assert client.head_object(Bucket=there.bucket, Key="key")["ContentLength"] == 4
    (first, signed_first), (second, signed_second) = sent
    assert "eu-central-1" not in first
    assert "/us-east-1/s3/" in signed_first
    assert f"{there.bucket}.s3.eu-central-1.amazonaws.com" in second
    assert "/eu-central-1/s3/" in signed_second


class _Body:
    """An answer's body with nothing in it."""

    def stream(self) -> Iterator[bytes]:
        return iter(())
