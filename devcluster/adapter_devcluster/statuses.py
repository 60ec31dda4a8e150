"""Errors as a Kubernetes API server answers them: a ``Status`` with code, reason and details.

The reasons, codes and texts are those of ``k8s.io/apimachinery/pkg/api/errors`` (v0.36). ``resource`` is
written ``plural`` or ``plural.group``, as in ``deployments.apps``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapter_devcluster.apiextensions.errors import FieldError, failure, invalid_status
from adapter_devcluster.objects import Object


class StatusError(Exception):
    """A refusal. ``status`` is the whole answer."""

    def __init__(self, status: Object) -> None:
        self.status = status
        super().__init__(str(status.get("message", "")))

    @property
    def code(self) -> int:
        """The HTTP code."""
        return int(self.status["code"])

    @property
    def reason(self) -> str:
        """The machine-readable reason, such as ``NotFound``."""
        return str(self.status.get("reason", ""))


def status_error(
    code: int,
    reason: str,
    message: str,
    *,
    resource: str = "",
    name: str = "",
    causes: Sequence[Object] = (),
    retry_after: int = 0,
    **details: Any,  # noqa: ANN401 - further fields of details, such as uid
) -> StatusError:
    """Build any error. ``causes`` have ``reason``, ``message`` and ``field``."""
    plural, _, group = resource.partition(".")
    found = {
        "name": name,
        "group": group,
        "kind": plural,
        **details,
        "causes": list(causes),
        "retryAfterSeconds": retry_after,
    }
    found = {field: value for field, value in found.items() if value}
    status: Object = dict(failure(code, reason, message))
    if found:
        status["details"] = found
    return StatusError(status)


def not_found(resource: str, name: str) -> StatusError:
    """404 for an object."""
    return status_error(404, "NotFound", f'{resource} "{name}" not found', resource=resource, name=name)


class UnknownPathError(StatusError):
    """404 for a path whose group or version nobody serves. Its answer over HTTP is a text, not a ``Status``."""

    def __init__(self) -> None:
        super().__init__(no_such_path().status)


def no_such_path() -> StatusError:
    """404 for a path below a group and a version that are served."""
    message = "the server could not find the requested resource"
    causes = [{"reason": "UnexpectedServerResponse", "message": "404: Page Not Found"}]
    return status_error(404, "NotFound", message, causes=causes)


def already_exists(resource: str, name: str) -> StatusError:
    """409 for a creation."""
    return status_error(409, "AlreadyExists", f'{resource} "{name}" already exists', resource=resource, name=name)


def conflict(resource: str, name: str, problem: str = "") -> StatusError:
    """409 for an update of something that has changed meanwhile, or another ``problem``."""
    problem = problem or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {resource} "{name}": {problem}'
    return status_error(409, "Conflict", message, resource=resource, name=name)


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> StatusError:
    """422 with every field error."""
    return StatusError(dict(invalid_status(group, kind, name, errors)))


def forbidden(resource: str, name: str, problem: str, **more: Any) -> StatusError:  # noqa: ANN401 - see status_error
    """403 for an action on a resource, and on an object of it where ``name`` is given."""
    what = f'{resource} "{name}"' if name else resource
    return status_error(403, "Forbidden", f"{what} is forbidden: {problem}", resource=resource, name=name, **more)


def unauthorized() -> StatusError:
    """401: no credentials, or wrong ones."""
    return status_error(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> StatusError:
    """400."""
    return status_error(400, "BadRequest", message)


def name_mismatch(sent: object, name: str) -> StatusError:
    """400 for an object of another name than the path's."""
    return bad_request(f"the name of the object ({sent}) does not match the name on the URL ({name})")


def namespace_mismatch() -> StatusError:
    """400 for an object of another namespace than the path's."""
    return bad_request("the namespace of the provided object does not match the namespace sent on the request")


def uid_mismatch(resource: str, name: str, sent: object, found: object) -> StatusError:
    """409 for an update of an object that its sender knows by another UID."""
    return conflict(resource, name, f"Precondition failed: UID in precondition: {sent}, UID in object meta: {found}")


def method_not_allowed(resource: str = "") -> StatusError:
    """405. ``resource`` is named for custom resources alone."""
    message = "the server does not allow this method on the requested resource"
    causes = [] if resource else [{"reason": "UnexpectedServerResponse", "message": "405: Method Not Allowed"}]
    return status_error(405, "MethodNotAllowed", message, resource=resource, causes=causes)


def unsupported_media_type(message: str) -> StatusError:
    """415."""
    return status_error(415, "UnsupportedMediaType", message)


def expired(message: str) -> StatusError:
    """410: a resource version or a continue token that is too old."""
    return status_error(410, "Expired", message)


def too_many_requests(message: str, retry_after: int) -> StatusError:
    """429, with the seconds after which to try again."""
    return status_error(429, "TooManyRequests", message, retry_after=retry_after)


def internal_error(message: str) -> StatusError:
    """500."""
    text = f"Internal error occurred: {message}"
    return status_error(500, "InternalError", text, causes=[{"message": message}])
