"""Credentials, permissions, trust, dead endpoints; and that no secret stands in anything that people read."""

import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapter_contract.exit_codes import ExitCode
from adapter_contract.locations import S3Location
from adapter_contract.s3.directories import delete_prefix
from adapter_contract.s3.errors import AccessDenied, InvalidLocation, NotFound, StorageError, Unreachable
from adapter_contract.s3.settings import MIB, TransferSettings
from adapter_contract.s3.store import ObjectStore, open_object, open_store
from adapter_testing.proxies import HTTPProxy, Request, s3_error
from adapter_testing.seaweedfs import Identity, SeaweedFS, mount_secret, mount_values

pytestmark = pytest.mark.integration

BOUND = TransferSettings(
    connect_timeout_seconds=0.5, read_timeout_seconds=0.5, attempts=3, budget_seconds=2, backoff_seconds=0.01
)


@pytest.fixture
def reading(location: S3Location, reader_secret: Path) -> Iterator[ObjectStore]:
    with open_store(location.model_copy(update={"credentials_directory": str(reader_secret)}), BOUND) as store:
        yield store


def test_who_may_only_read_can_read_and_nothing_else(s3: ObjectStore, reading: ObjectStore, tmp_path: Path):
    s3.put("dir/key", b"data")
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "large").write_bytes(bytes(9 * MIB))

    assert reading.get("dir/key") == b"data"
    assert [found.key for found in reading.list_objects()] == ["dir/key"]
    for operation in (
        lambda: reading.put("other", b""),
        lambda: reading.put_if_absent("other", b""),
        lambda: reading.upload(tmp_path / "small", "other"),
        lambda: reading.upload(tmp_path / "large", "other"),
        lambda: reading.delete(["dir/key"]),
        lambda: delete_prefix(reading, "dir"),
    ):
        with pytest.raises(AccessDenied) as caught:
            operation()
        assert caught.value.exit_code is ExitCode.PERMISSION
        assert caught.value.uri.startswith(reading.uri())
        assert "HTTP 403" in str(caught.value) or "AccessDenied" in str(caught.value)
    assert s3.get("dir/key") == b"data"


@pytest.mark.parametrize("wrong", ["access", "secret"])
def test_wrong_keys(location: S3Location, seaweedfs: SeaweedFS, tmp_path: Path, wrong: str):
    identity = Identity(
        "wrong",
        (),
        access_key="AKIANOBODY" if wrong == "access" else seaweedfs.admin.access_key,
        secret_key="a-secret-that-nobody-gave" if wrong == "secret" else seaweedfs.admin.secret_key,
    )
    there = location.model_copy(update={"credentials_directory": str(mount_secret(tmp_path / "secret", identity))})

    with open_store(there, BOUND) as store:
        for operation in (lambda: store.get("key"), lambda: store.stat("key"), lambda: store.put("key", b"")):
            with pytest.raises(AccessDenied):
                operation()


def test_rotated_credentials_are_used_at_once(
    location: S3Location, seaweedfs: SeaweedFS, admin_secret: Path, tmp_path: Path
):
    secret = mount_secret(tmp_path / "secret", seaweedfs.reader)
    with open_store(location.model_copy(update={"credentials_directory": str(secret)}), BOUND) as store:
        with pytest.raises(AccessDenied):
            store.put("key", b"data")
        mount_secret(secret, seaweedfs.admin)
        store.put("key", b"data")
        mount_secret(secret, seaweedfs.reader)
        with pytest.raises(AccessDenied):
            store.put("key", b"other")


def test_credentials_rotated_while_a_request_is_on_its_way(location: S3Location, seaweedfs: SeaweedFS, tmp_path: Path):
    secret = mount_secret(tmp_path / "secret", Identity("retired", ()))

    def rotate(_: Request) -> None:
        mount_secret(secret, seaweedfs.admin)

    with HTTPProxy(seaweedfs.port, before=rotate) as proxy:
        there = location.model_copy(update={"credentials_directory": str(secret), "endpoint_url": proxy.endpoint})
        with open_store(there, BOUND) as store:
            store.put("key", b"data")
    assert len(proxy.requests) == 2, "the first was signed with the retired keys"


def test_a_session_token_is_sent_while_there_is_one(location: S3Location, seaweedfs: SeaweedFS, tmp_path: Path):
    who = seaweedfs.admin
    keys = {"AWS_ACCESS_KEY_ID": who.access_key, "AWS_SECRET_ACCESS_KEY": f"{who.secret_key}\n"}
    with HTTPProxy(seaweedfs.port, before=lambda _: s3_error(404, "NoSuchKey")) as proxy:
        secret = mount_values(tmp_path / "secret", {**keys, "AWS_SESSION_TOKEN": "the-session-token"})
        there = location.model_copy(update={"credentials_directory": str(secret), "endpoint_url": proxy.endpoint})
        with open_store(there, BOUND) as store:
            assert store.head("key") is None
            mount_values(secret, keys)
            (secret / "AWS_SESSION_TOKEN").unlink()
            assert store.head("key") is None
    tokens = [request.headers.get("X-Amz-Security-Token") for request in proxy.requests]
    assert tokens == ["the-session-token", None]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "x"}, "AWS_ACCESS_KEY_ID is empty"),
        ({"AWS_ACCESS_KEY_ID": "AK IA", "AWS_SECRET_ACCESS_KEY": "x"}, "more than one printable word"),
        ({"AWS_ACCESS_KEY_ID": "AKIA\r\nX-Evil: 1", "AWS_SECRET_ACCESS_KEY": "x"}, "more than one printable word"),
        ({"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "gehéim"}, "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_mount_that_holds_no_credentials(
    location: S3Location, tmp_path: Path, values: dict[str, str], complaint: str
):
    secret = mount_values(tmp_path / "secret", values)

    there = location.model_copy(update={"credentials_directory": str(secret)})
    with open_store(there, BOUND) as store, pytest.raises(AccessDenied, match=complaint) as caught:
        store.get("key")
    assert "Evil" not in str(caught.value)
    assert "gehéim" not in str(caught.value)


def test_a_mount_that_is_not_there(location: S3Location, tmp_path: Path):
    there = location.model_copy(update={"credentials_directory": str(tmp_path / "nothing")})
    with open_store(there, BOUND) as store, pytest.raises(AccessDenied, match="mount a secret with the keys"):
        store.get("key")


def test_with_no_mount_botos_own_chain_applies(
    location: S3Location, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
):
    there = location.model_copy(update={"credentials_directory": None})

    with open_store(there, BOUND) as store, pytest.raises(AccessDenied, match="no usable credentials"):
        store.get("key")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweedfs.admin.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweedfs.admin.secret_key)
    with open_store(there, BOUND) as store:
        assert store.head("key") is None


def test_a_bucket_that_is_not_there(location: S3Location):
    with open_store(location.at("s3://no-such-bucket/prefix"), BOUND) as store:
        for operation in (lambda: store.get("key"), lambda: list(store.list_objects())):
            with pytest.raises(NotFound, match="bucket does not exist") as caught:
                operation()
            assert caught.value.exit_code is ExitCode.INPUT_MISSING


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def _closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def _silent_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_dead_endpoint_fails_within_its_bound(location: S3Location):
    with (
        open_store(location.model_copy(update={"endpoint_url": _closed_port()}), BOUND) as store,
        _within(3),
        pytest.raises(Unreachable, match="no connection to the endpoint") as caught,
    ):
        store.get("key")
    assert caught.value.exit_code is ExitCode.STORAGE_UNAVAILABLE
    assert "network policy" in caught.value.fix


def test_a_silent_endpoint_fails_within_its_bound(location: S3Location):
    with (
        _silent_port() as endpoint,
        open_store(location.model_copy(update={"endpoint_url": endpoint}), BOUND) as store,
        _within(8),
        pytest.raises(Unreachable, match="did not answer in time"),
    ):
        store.put("key", b"data")


def test_a_name_that_does_not_resolve(location: S3Location, monkeypatch: pytest.MonkeyPatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # no test asks a name server
    there = location.model_copy(update={"endpoint_url": "http://store.invalid:9000"})
    with open_store(there, BOUND) as store, pytest.raises(Unreachable):
        store.get("key")


def test_tls_with_a_private_authority(location: S3Location, seaweedfs: SeaweedFS, tmp_path: Path):
    data = os.urandom(6 * MIB)
    (tmp_path / "source").write_bytes(data)
    trusting = location.model_copy(
        update={"endpoint_url": seaweedfs.tls_endpoint, "ca_bundle_file": str(seaweedfs.ca_bundle)}
    )

    with open_store(trusting, BOUND) as store:
        store.upload(tmp_path / "source", "key")
        store.put("small", b"x")
        assert b"".join(store.stream("key")) == data


def test_tls_with_an_authority_that_is_not_trusted(location: S3Location, seaweedfs: SeaweedFS):
    distrusting = location.model_copy(update={"endpoint_url": seaweedfs.tls_endpoint})

    with open_store(distrusting, BOUND) as store, pytest.raises(Unreachable, match="not trusted") as caught:
        store.get("key")
    assert "CA bundle" in caught.value.fix


def test_a_ca_bundle_that_is_not_mounted(location: S3Location, tmp_path: Path):
    with pytest.raises(InvalidLocation, match="CA bundle"):
        open_store(location.model_copy(update={"ca_bundle_file": str(tmp_path / "ca.pem")}), BOUND)


@pytest.mark.parametrize(
    ("style", "host", "target"),
    [
        ("Auto", "store.test", "/adapters/"),
        ("Path", "store.test", "/adapters/"),
        ("VirtualHosted", "adapters.store.test", "/test-"),
    ],
)
def test_addressing_styles(
    location: S3Location, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch, style: str, host: str, target: str
):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *rest, **more: resolve("127.0.0.1", *rest, **more))

    with HTTPProxy(seaweedfs.port, before=lambda _: s3_error(404, "NoSuchKey")) as proxy:
        port = proxy.endpoint.rpartition(":")[2]
        there = location.model_copy(update={"endpoint_url": f"http://store.test:{port}", "addressing_style": style})
        with open_store(there, BOUND) as store:
            assert store.head("key") is None
    [request] = proxy.requests
    assert request.headers["Host"] == f"{host}:{port}"
    assert request.target.startswith(target)


def test_a_configuration_of_this_machine_that_cannot_be_used(location: S3Location, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(InvalidLocation, match="configuration is not usable"):
        open_store(location.model_copy(update={"credentials_directory": None}), BOUND)


def test_one_object_of_a_location(location: S3Location, s3: ObjectStore):
    s3.put("data/train.jsonl", b"{}")

    store, key = open_object(location.below("data/train.jsonl"))
    with store:
        assert (store.uri(), key) == (f"{location.uri}/data/", "train.jsonl")
        assert store.get(key) == b"{}"
    for uri in ("s3://bucket-only", "s3://bucket/dir/", "file:///file"):
        with pytest.raises(InvalidLocation, match="names no object"):
            open_object(location.at(uri))


def test_no_secret_in_any_message_traceback_log_or_repr(
    location: S3Location,
    seaweedfs: SeaweedFS,
    reading: ObjectStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    through: Callable[[str], ObjectStore],
):
    caplog.set_level(logging.DEBUG, logger="adapter_contract")
    wrong = Identity("wrong", ())
    token = "the-session-token-of-nobody"
    secret = mount_values(
        tmp_path / "secret",
        {
            "AWS_ACCESS_KEY_ID": wrong.access_key,
            "AWS_SECRET_ACCESS_KEY": wrong.secret_key,
            "AWS_SESSION_TOKEN": token,
        },
    )
    texts: list[str] = []

    def note(operation: Callable[[], object]) -> None:
        with pytest.raises(StorageError) as caught:
            operation()
        texts.extend((str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))))

    denied = location.model_copy(update={"credentials_directory": str(secret)})
    dead = location.model_copy(update={"endpoint_url": _closed_port()})
    untrusted = location.model_copy(update={"endpoint_url": seaweedfs.tls_endpoint})
    for there in (denied, dead, untrusted):
        with open_store(there, BOUND) as store:
            texts.extend((repr(store), repr(vars(store))))
            note(lambda: store.get("key"))
            note(lambda: store.put_if_absent("key", b"x"))
            note(lambda: list(store.list_objects()))
            note(lambda: store.upload(_file(tmp_path, 6 * MIB), "key"))
            note(lambda: store.delete(["key"]))
    note(lambda: reading.put("key", b"x"))
    with HTTPProxy(seaweedfs.port, before=_repeat_everything) as proxy:
        store = through(proxy.endpoint)
        note(lambda: store.get("key"))
        note(lambda: store.put("key", b"x"))
    texts.extend(record.getMessage() for record in caplog.records if record.name.startswith("adapter_contract"))

    everything = "\n".join(texts)
    for identity in (wrong, seaweedfs.admin, seaweedfs.reader):
        assert identity.access_key not in everything
        assert identity.secret_key not in everything
    assert token not in everything
    assert "Signature=" not in everything


def _repeat_everything(request: Request):
    """Answer as an indiscreet store: with the signed request in the message."""
    answer = s3_error(403, "SignatureDoesNotMatch")
    told = request.headers["Authorization"]
    answer.body = answer.body.replace(
        b"</Error>", f"<StringToSign>{told}</StringToSign><AWSAccessKeyId>{told}</AWSAccessKeyId></Error>".encode()
    )
    return answer


def _file(directory: Path, size: int) -> Path:
    path = directory / "source"
    path.write_bytes(bytes(size))
    return path
