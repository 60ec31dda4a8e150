"""Every error that botocore can raise, and every refusal that stores are known to give."""

import pickle
import string

import botocore.exceptions
import pytest
import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract.exit_codes import ExitCode
from adapter_contract.s3.errors import (
    AccessDenied,
    Conflict,
    Corrupted,
    InvalidLocation,
    NotFound,
    StorageError,
    Unreachable,
)
from adapter_contract.s3.faults import TRANSPORT_ERRORS, fault_of

pytestmark = pytest.mark.unit

SECRET = "hunter2-is-the-secret"


def _all_botocore_errors() -> list[type[BotoCoreError]]:
    classes = [item for item in vars(botocore.exceptions).values() if isinstance(item, type)]
    return [item for item in classes if issubclass(item, BotoCoreError)]


def _made(kind: type[BotoCoreError]) -> BotoCoreError:
    fields = {name for _, name, _, _ in string.Formatter().parse(kind.fmt) if name}
    if kind is botocore.exceptions.WaiterError:
        fields |= {"last_response"}
    return kind(**dict.fromkeys(fields, SECRET))


@pytest.mark.parametrize("kind", _all_botocore_errors(), ids=lambda kind: kind.__name__)
def test_every_botocore_error_is_mapped_and_its_text_is_not_repeated(kind: type[BotoCoreError]):
    error = _made(kind)
    assert isinstance(error, TRANSPORT_ERRORS)

    raised = fault_of(error).as_error("read", "s3://bucket/key")

    assert type(raised) in {AccessDenied, Corrupted, InvalidLocation, Unreachable}
    assert SECRET not in str(raised)


@pytest.mark.parametrize(
    ("name", "expected", "retry"),
    [
        ("EndpointConnectionError", Unreachable, True),
        ("ConnectTimeoutError", Unreachable, True),
        ("ReadTimeoutError", Unreachable, True),
        ("ConnectionClosedError", Unreachable, True),
        ("ResponseStreamingError", Unreachable, True),
        ("IncompleteReadError", Unreachable, True),
        ("ProxyConnectionError", Unreachable, True),
        ("SSLError", Unreachable, True),
        ("HTTPClientError", Unreachable, True),
        ("NoCredentialsError", AccessDenied, False),
        ("PartialCredentialsError", AccessDenied, False),
        ("CredentialRetrievalError", AccessDenied, False),
        ("TokenRetrievalError", AccessDenied, False),
        ("UnauthorizedSSOTokenError", AccessDenied, False),
        ("LoginRefreshRequired", AccessDenied, False),
        ("FlexibleChecksumError", Corrupted, True),
        ("ParamValidationError", InvalidLocation, False),
        ("NoRegionError", InvalidLocation, False),
        ("UnknownEndpointError", InvalidLocation, False),
        ("InvalidProxiesConfigError", InvalidLocation, False),
        ("ProfileNotFound", InvalidLocation, False),
    ],
)
def test_families_of_botocore_errors(name: str, expected: type[StorageError], retry: bool):
    fault = fault_of(_made(getattr(botocore.exceptions, name)))

    assert (fault.error, fault.retry) == (expected, retry)


def test_an_untrusted_certificate_is_not_tried_again():
    error = botocore.exceptions.SSLError(endpoint_url="https://store", error="[SSL: CERTIFICATE_VERIFY_FAILED] x")
    fault = fault_of(error)

    assert (fault.error, fault.retry) == (Unreachable, False)
    assert "CA bundle" in fault.fix


@pytest.mark.parametrize(
    "error",
    [
        urllib3.exceptions.ProtocolError("x"),
        urllib3.exceptions.ReadTimeoutError(None, "/", "x"),
        ConnectionResetError(),
    ],
)
def test_broken_transfers_are_tried_again(error: Exception):
    fault = fault_of(error)

    assert (fault.error, fault.retry) == (Unreachable, True)


def _refusal(code: str, status: int, headers: dict[str, str] | None = None, request_id: str = "") -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": SECRET},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "HTTPHeaders": headers or {},
                "RequestId": request_id,
                "HostId": "",
                "RetryAttempts": 0,
            },
        },
        "GetObject",
    )


@pytest.mark.parametrize(
    ("code", "status", "expected", "retry"),
    [
        ("NoSuchKey", 404, NotFound, False),
        ("NoSuchBucket", 404, NotFound, False),
        ("404", 404, NotFound, False),
        ("AccessDenied", 403, AccessDenied, False),
        ("403", 403, AccessDenied, False),
        ("401", 401, AccessDenied, False),
        ("InvalidAccessKeyId", 403, AccessDenied, False),
        ("SignatureDoesNotMatch", 403, AccessDenied, False),
        ("ExpiredToken", 400, AccessDenied, False),
        ("RequestTimeTooSkewed", 403, AccessDenied, False),
        ("InvalidObjectState", 403, AccessDenied, False),
        ("PreconditionFailed", 412, Conflict, False),
        ("412", 412, Conflict, False),
        ("ConditionalRequestConflict", 409, Conflict, True),
        ("SlowDown", 503, Unreachable, True),
        ("InternalError", 500, Unreachable, True),
        ("502", 502, Unreachable, True),
        ("504", 504, Unreachable, True),
        ("429", 429, Unreachable, True),
        ("RequestTimeout", 400, Unreachable, True),
        ("NoSuchUpload", 404, Unreachable, False),
        ("BadDigest", 400, Corrupted, True),
        ("XAmzContentSHA256Mismatch", 400, Corrupted, True),
        ("InvalidRange", 416, Corrupted, False),
        ("PermanentRedirect", 301, InvalidLocation, False),
        ("AuthorizationHeaderMalformed", 400, InvalidLocation, False),
        ("InvalidBucketName", 400, InvalidLocation, False),
        ("NotImplemented", 501, StorageError, False),
        ("QuotaExceeded", 400, StorageError, False),
        ("NeverHeardOf", 418, StorageError, False),
    ],
)
def test_refusals_of_stores(code: str, status: int, expected: type[StorageError], retry: bool):
    fault = fault_of(_refusal(code, status))

    assert (fault.error, fault.retry) == (expected, retry)
    assert f"HTTP {status}" in fault.reason
    assert SECRET not in str(fault.as_error("read", "s3://bucket/key"))


def test_retry_after_is_read():
    assert fault_of(_refusal("SlowDown", 503, {"retry-after": "7"})).wait_seconds == 7.0
    assert fault_of(_refusal("SlowDown", 503, {"retry-after": "Fri, 01 Jan 2027 00:00:00 GMT"})).wait_seconds == 0.0


@given(code=st.text(), request_id=st.text(), status=st.integers(0, 999))
def test_a_message_takes_nothing_but_plain_words_from_an_answer(code: str, request_id: str, status: int):
    message = str(fault_of(_refusal(code, status, request_id=request_id)).as_error("read", "s3://bucket/key"))

    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (NotFound, 66),
        (AccessDenied, 77),
        (Unreachable, 69),
        (Conflict, 70),
        (Corrupted, 65),
        (InvalidLocation, 64),
        (StorageError, 70),
    ],
)
def test_each_class_has_the_trainers_exit_code(kind: type[StorageError], code: int):
    assert kind.exit_code == ExitCode(code)


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(NotFound("read", "s3://b/k", "it does not exist", "write it")))  # noqa: S301 - our own

    assert str(error) == "cannot read s3://b/k: it does not exist; write it"
    assert (error.operation, error.uri, error.fix) == ("read", "s3://b/k", "write it")


def test_a_message_stays_one_line():
    assert "\n" not in str(NotFound("read", "s3://b/a\nINFO forged", "it does not exist", "write it"))
