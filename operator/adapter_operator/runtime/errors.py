"""What can go wrong with a call to the API server, as classes. The reason in the answer decides, then the code.

See https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

_LONGEST_BODY: Final = 500


class ApiError(Exception):
    """The API server refused or failed a call.

    Attributes:
        code: of the answer, 0 where there was none.
        reason: word of the answer for programs.
        causes: reasons of the causes in the answer.
        retry_after: seconds after which the server wants to be asked again.

    """

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        reason: str = "",
        causes: tuple[str, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after


class NotFound(ApiError):
    """The object, its namespace or its kind is not there."""


class AlreadyExists(ApiError):
    """An object of the name is there."""


class Conflict(ApiError):
    """The object is not the one that the call was made for: another resource version or UID."""


class Gone(ApiError):
    """What the call refers to, such as the next page of a list, is no longer kept."""


class Invalid(ApiError):
    """The object does not satisfy its schema, or an admission rule."""


class Unauthorized(ApiError):
    """The server does not know who calls."""


class Forbidden(ApiError):
    """The caller has no right, or admission (a quota, a policy) refuses the call."""


class NamespaceTerminating(Forbidden):
    """Nothing can be created in the namespace any more."""


class TooManyRequests(ApiError):
    """The server asks for patience."""


class Unavailable(ApiError):
    """No usable answer: a write may have been carried out or not."""


_BY_REASON: Final[Mapping[str, type[ApiError]]] = {
    "NotFound": NotFound,
    "AlreadyExists": AlreadyExists,
    "Conflict": Conflict,
    "Gone": Gone,
    "Expired": Gone,
    "Invalid": Invalid,
    "Unauthorized": Unauthorized,
    "Forbidden": Forbidden,
    "TooManyRequests": TooManyRequests,
}
_BY_CODE: Final[Mapping[int, type[ApiError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}
_SERVER_ERROR: Final = 500


def error_of_answer(call: str, code: int, body: bytes, retry_after_header: str | None = None) -> ApiError:
    """Make the error that an answer stands for.

    Args:
        call: what was asked, for the message.
        code: of the answer.
        body: a Status of Kubernetes, or whatever a proxy on the way says.
        retry_after_header: the header Retry-After.

    """
    status = _status(body)
    details = status.get("details") or {}
    causes = tuple(str(cause.get("reason", "")) for cause in details.get("causes") or ())
    reason = str(status.get("reason") or "")
    message = status.get("message") or body[:_LONGEST_BODY].decode(errors="replace") or "no explanation"
    return _class_of(code, reason, causes)(
        f"{call}: {code} {reason}: {message}" if reason else f"{call}: {code}: {message}",
        code=code,
        reason=reason,
        causes=causes,
        retry_after=_seconds(retry_after_header) or _seconds(details.get("retryAfterSeconds")),
    )


def _class_of(code: int, reason: str, causes: tuple[str, ...]) -> type[ApiError]:
    if "NamespaceTerminating" in causes:
        return NamespaceTerminating
    if code >= _SERVER_ERROR:
        return Unavailable
    return _BY_REASON.get(reason) or _BY_CODE.get(code) or ApiError


def _status(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("kind") == "Status" else {}


def _seconds(value: object) -> float | None:
    """Seconds of a Retry-After; a date, which Kubernetes never sends, counts as none."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if 0 < found < float("inf") else None
