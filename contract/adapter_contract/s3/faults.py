"""The one place where what botocore, urllib3 and S3-compatible stores say becomes a `StorageError`."""

import re
from dataclasses import dataclass, replace

import botocore.exceptions as b
import urllib3.exceptions as u
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from adapter_contract.s3.errors import (
    AccessDenied,
    Conflict,
    Corrupted,
    InvalidLocation,
    NotFound,
    StorageError,
    Unreachable,
)

TRANSPORT_ERRORS: tuple[type[Exception], ...] = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    u.HTTPError,
    OSError,
    ValueError,
)
"""What a request through boto3 can raise. ValueError: an endpoint that is no URL."""


class BrokenListing(ValueError):
    """A page of a listing says that more follows, but not where, or where the listing has already been."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What an exception means.

    Attributes:
        error: the class to raise.
        reason: what was found, in this module's words.
        fix: what a person can do.
        retry: whether the same request may succeed a moment later.
        wait_seconds: how long the store asked to wait.

    """

    error: type[StorageError]
    reason: str
    fix: str
    retry: bool = False
    wait_seconds: float = 0.0

    def as_error(self, operation: str, uri: str) -> StorageError:
        """Return the exception for an operation on a URI."""
        return self.error(operation, uri, self.reason, self.fix)


_CHECK_CREDENTIALS = "check the credentials' secret and what its identity may do there"
_CHECK_NETWORK = "check the endpoint URL, the network policy and whether the store runs"
_CHECK_LOCATION = "correct the location's uri, endpointURL or region"

_MISSING_BUCKET = Fault(NotFound, "the bucket does not exist", "create it or correct the URI")
_MISSING_KEY = Fault(NotFound, "it does not exist", "check the URI and whether it was written")
_BUSY = Fault(Unreachable, "the store is busy or failing", "try again later or look at the store", retry=True)
_DENIED = Fault(AccessDenied, "the store refuses access", _CHECK_CREDENTIALS)
_LOST = Fault(Conflict, "another writer was first", "read what is there before writing again")
_GARBLED = Fault(
    Corrupted, "the bytes changed between here and the store", "look for a faulty proxy on the way", retry=True
)
_MISDIRECTED = Fault(InvalidLocation, "the store does not serve this location", _CHECK_LOCATION)
_UNSUPPORTED = Fault(StorageError, "the store does not support the request", "see the docs for what stores must offer")

_BY_CODE: dict[str, Fault] = {
    **dict.fromkeys(("NoSuchBucket", "NoSuchAccessPoint"), _MISSING_BUCKET),
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion"), _MISSING_KEY),
    "NoSuchUpload": Fault(Unreachable, "the store forgot the upload", "upload it again"),
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "TokenRefreshRequired"),
        Fault(AccessDenied, "the store does not know these credentials", "put valid keys into the secret")),
    **dict.fromkeys(("AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem", "NotSignedUp"), _DENIED),
    "ExpiredToken": Fault(AccessDenied, "the session token has expired", "renew it in the secret"),
    "RequestTimeTooSkewed": Fault(AccessDenied, "this machine's clock is wrong", "set the node's clock"),
    "InvalidObjectState": Fault(
        AccessDenied, "the object is archived", "restore it to a storage class that can be read"),
    "ConditionalRequestConflict": Fault(
        Conflict, "another writer is at the same object", "write it from one place at a time", retry=True),
    **dict.fromkeys(("PreconditionFailed", "ObjectAlreadyExists"), _LOST),
    **dict.fromkeys(
        ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException",
         "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded", "OperationAborted"),
        _BUSY),
    **dict.fromkeys(
        ("BadDigest", "InvalidDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "ChecksumMismatch"), _GARBLED),
    **dict.fromkeys(
        ("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
         "InvalidBucketName", "InvalidURI", "KeyTooLongError", "InvalidRegion"),
        _MISDIRECTED),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull", "EntityTooLarge"),
        Fault(StorageError, "the store has no room for the object", "raise the quota or make room")),
    "InvalidRange": Fault(Corrupted, "it is shorter than expected", "write it again"),
    "NotImplemented": _UNSUPPORTED,
}  # fmt: skip

_BY_STATUS: dict[int, Fault] = {
    **dict.fromkeys((301, 302, 307, 308), _MISDIRECTED),
    **dict.fromkeys((401, 403), _DENIED),
    404: _MISSING_KEY,
    408: _BUSY,
    409: _LOST,
    412: _LOST,
    416: _BY_CODE["InvalidRange"],
    429: _BUSY,
    501: _UNSUPPORTED,
}

_NO_CREDENTIALS = Fault(
    AccessDenied, "there are no usable credentials", "name a credentials secret or give the pod an identity"
)
_MISCONFIGURED = Fault(InvalidLocation, "the client's configuration is not usable", _CHECK_LOCATION)
_DEAD = Fault(Unreachable, "no connection to the endpoint", _CHECK_NETWORK, retry=True)
_SILENT = Fault(Unreachable, "the store did not answer in time", _CHECK_NETWORK, retry=True)
_CUT = Fault(Unreachable, "the connection broke", _CHECK_NETWORK, retry=True)
_ENDLESS = Fault(
    Corrupted, "the listing names no way to its next page", "use a store that lists in pages as S3 does", retry=True
)
_UNTRUSTED = Fault(
    Unreachable,
    "the endpoint's TLS certificate is not trusted",
    "give the CA bundle that signed it, or fix the host name",
)

# In this order: the first class that fits decides, and subclasses stand before their bases.
_BY_TYPE: tuple[tuple[type[Exception], Fault], ...] = (
    (b.ConnectTimeoutError, _SILENT),
    (b.ReadTimeoutError, _SILENT),
    (u.TimeoutError, _SILENT),
    (b.SSLError, _CUT),
    (
        b.ProxyConnectionError,
        Fault(Unreachable, "no connection to the HTTP proxy", "check HTTPS_PROXY and NO_PROXY", retry=True),
    ),
    (b.EndpointConnectionError, _DEAD),
    (b.ConnectionError, _DEAD),
    (b.InvalidProxiesConfigError, _MISCONFIGURED),
    (b.HTTPClientError, _CUT),
    (b.IncompleteReadError, _CUT),
    (ResponseParserError, _CUT),
    (u.HTTPError, _CUT),
    (b.NoCredentialsError, _NO_CREDENTIALS),
    (b.PartialCredentialsError, _NO_CREDENTIALS),
    (b.CredentialRetrievalError, _NO_CREDENTIALS),
    (b.NoAuthTokenError, _NO_CREDENTIALS),
    (b.TokenRetrievalError, _NO_CREDENTIALS),
    (b.UnknownTokenProviderError, _NO_CREDENTIALS),
    (b.UnknownCredentialError, _NO_CREDENTIALS),
    (b.MetadataRetrievalError, _NO_CREDENTIALS),
    (b.SSOError, _NO_CREDENTIALS),
    (b.LoginError, _NO_CREDENTIALS),
    (b.RefreshWithMFAUnsupportedError, _NO_CREDENTIALS),
    (b.ChecksumError, _GARBLED),
    (b.FlexibleChecksumError, _GARBLED),
    (b.CapacityNotAvailableError, _BUSY),
    (BotoCoreError, _MISCONFIGURED),
    (OSError, _CUT),
    (BrokenListing, _ENDLESS),
    (ValueError, _MISCONFIGURED),
)

# What of a store's answer may stand in a message: a code such as NoSuchKey, a request's ID.
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9.-]{0,63}|[0-9A-Fa-f-]{4,64}")
_SECONDS = re.compile(r"[0-9]{1,6}")


def fault_of(error: Exception) -> Fault:
    """Say what an exception of `TRANSPORT_ERRORS` means."""
    if isinstance(error, ClientError):
        return _of_answer(error)
    if isinstance(error, b.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _UNTRUSTED
    return next(
        (fault for kind, fault in _BY_TYPE if isinstance(error, kind)),
        Fault(StorageError, f"an unexpected {type(error).__name__}", "report this as a bug"),
    )


def _of_answer(error: ClientError) -> Fault:
    """Judge by the code, which is precise, else by the status: an answer to HEAD has no body, hence no code."""
    code, status = error_code(error), http_status(error)
    fault = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if fault is None:
        fault = _BUSY if status >= 500 else Fault(StorageError, "the store refuses the request", _CHECK_LOCATION)
    metadata = error.response.get("ResponseMetadata", {})
    details = [f"HTTP {status}"] if status else []
    details += [word for word in (code, str(metadata.get("RequestId", ""))) if _WORD.fullmatch(word)]
    wait = str(metadata.get("HTTPHeaders", {}).get("retry-after", ""))
    return replace(
        fault,
        reason=f"{fault.reason} ({', '.join(details)})" if details else fault.reason,
        wait_seconds=float(wait) if _SECONDS.fullmatch(wait) else 0.0,
    )


def error_code(error: Exception) -> str:
    """Return the code of a store's refusal, such as `NoSuchKey`; empty if the error is none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def http_status(error: Exception) -> int:
    """Return the HTTP status of a store's refusal; 0 if the error is none."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
