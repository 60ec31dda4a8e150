"""What a failing request to the Hub means: which error, which fix, and whether it is worth another try."""

import json
import re
from dataclasses import replace
from http import HTTPStatus

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from adapter_contract.s3.errors import AccessDenied, InvalidLocation, NotFound, StorageError, Unreachable
from adapter_contract.s3.faults import Fault


class BadAnswer(ValueError):
    """The answer of an API is not what the Hub answers."""


HUB_ERRORS = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    json.JSONDecodeError,
    UnicodeDecodeError,
    BadAnswer,
)
"""What a request raises. The refusals of huggingface_hub are among them: they are HTTP errors."""

_CHECK_NETWORK = "check the network policy, proxies, and HF_ENDPOINT where a mirror is used"
_BUSY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_SECONDS = re.compile(r"[0-9]{1,6}")

NOT_A_HUB = Fault(Unreachable, "the answer is not what the Hub answers", _CHECK_NETWORK)

_DENIED = Fault(
    AccessDenied, "the Hub refuses access", "set tokenSecretRef to a token that may read the repository, or renew it"
)
_GATED = Fault(
    AccessDenied,
    "the repository is gated",
    "accept its terms on its page, and set tokenSecretRef to a token of the account that did",
)
_NO_REPOSITORY = Fault(
    NotFound,
    "there is no such repository, or it is private",
    "correct the repository's name, or set tokenSecretRef to a token that may read it",
)
_NO_REVISION = Fault(
    NotFound, "the repository has no such revision", "correct the revision: a branch, a tag or a whole commit"
)
_NO_FILE = Fault(NotFound, "the file is not there", "correct the revision")
_DENYING = frozenset({401, 403})
_BY_REFUSAL: tuple[tuple[type[Exception], Fault], ...] = (
    (GatedRepoError, _GATED),
    (RepositoryNotFoundError, _NO_REPOSITORY),
    (RevisionNotFoundError, _NO_REVISION),
    (RemoteEntryNotFoundError, _NO_FILE),
)
_ENDPOINT = Fault(InvalidLocation, "the endpoint is no HTTP address", "correct HF_ENDPOINT")

_BY_TYPE: tuple[tuple[type[Exception], Fault], ...] = (
    (BadAnswer, NOT_A_HUB),
    (json.JSONDecodeError, NOT_A_HUB),
    (UnicodeDecodeError, NOT_A_HUB),
    (httpx2.InvalidURL, _ENDPOINT),
    (httpx2.UnsupportedProtocol, _ENDPOINT),
    (httpx2.TooManyRedirects, NOT_A_HUB),
    (httpx2.TimeoutException, Fault(Unreachable, "the Hub did not answer in time", _CHECK_NETWORK, retry=True)),
    (httpx2.ProxyError, Fault(Unreachable, "the HTTP proxy refuses", "check HTTPS_PROXY and NO_PROXY", retry=True)),
    (httpx2.ConnectError, Fault(Unreachable, "no connection to the Hub", _CHECK_NETWORK, retry=True)),
)
_CUT = Fault(Unreachable, "the connection broke", _CHECK_NETWORK, retry=True)
_UNTRUSTED = Fault(
    Unreachable, "the Hub's TLS certificate is not trusted", "give the authority that signed it by SSL_CERT_FILE"
)


def fault_of(error: Exception) -> Fault:
    """Say what an exception of `HUB_ERRORS` means. Nothing that a server wrote goes into the words."""
    if isinstance(error, HfHubHTTPError):
        return _of_refusal(error)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return _UNTRUSTED
    return next((fault for kind, fault in _BY_TYPE if isinstance(error, kind)), _CUT)


def _of_refusal(error: HfHubHTTPError) -> Fault:
    status = error.response.status_code
    if status in _BUSY_STATUSES:
        wait = str(error.response.headers.get("Retry-After", ""))
        seconds = float(wait) if _SECONDS.fullmatch(wait) else 0.0
        reason = f"the Hub is busy or fails (HTTP {status})"
        return Fault(Unreachable, reason, _CHECK_NETWORK, retry=True, wait_seconds=seconds)
    for kind, fault in _BY_REFUSAL:
        if isinstance(error, kind):
            # To somebody unknown the Hub does not say whether a repository is private or not there.
            return replace(fault, error=AccessDenied) if status in _DENYING else fault
    refused = Fault(StorageError, f"the Hub refuses the request (HTTP {status})", _CHECK_NETWORK)
    return _DENIED if status in _DENYING else _NO_REPOSITORY if status == HTTPStatus.NOT_FOUND else refused
