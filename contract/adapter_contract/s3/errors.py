"""What can go wrong between a program and its storage, each with the trainer's exit code.

A message names the operation, the URI, what was found and the fix. It never carries what a store or a
library answered in its own words, since some of them repeat credentials or signed requests.
"""

import unicodedata
from typing import ClassVar

from adapter_contract.exit_codes import ExitCode


class StorageError(Exception):
    """An operation on an object store failed.

    Attributes:
        operation: what was tried, as a verb: `download`, `list`.
        uri: the object, prefix or location.
        reason: what was found.
        fix: what a person can do.
        exit_code: with which code the trainer ends when nothing handles the error.

    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, operation: str, uri: str, reason: str, fix: str) -> None:
        # All four are the exception's args, so that it survives pickling on its way between processes.
        super().__init__(operation, uri, reason, fix)
        self.operation = operation
        self.uri = uri
        self.reason = reason
        self.fix = fix

    def __str__(self) -> str:
        return _one_line(f"cannot {self.operation} {self.uri}: {self.reason}; {self.fix}")


class NotFound(StorageError):
    """The object or the bucket does not exist."""

    exit_code = ExitCode.INPUT_MISSING


class AccessDenied(StorageError):
    """There are no credentials, or the store refuses those it got."""

    exit_code = ExitCode.PERMISSION


class Unreachable(StorageError):
    """No answer within the bounds: name resolution, connection, TLS, timeouts, or 429 and 5xx to the last try."""

    exit_code = ExitCode.STORAGE_UNAVAILABLE


class Conflict(StorageError):
    """Somebody else wrote the object: a conditional write lost, or an object was replaced while it was read."""

    exit_code = ExitCode.INTERNAL


class Corrupted(StorageError):
    """The bytes are not those that were promised: other size, other digest, cut, or not of the expected form."""

    exit_code = ExitCode.BAD_DATA


class InvalidLocation(StorageError):
    """The location, the key or the client's configuration can't be used as it stands."""

    exit_code = ExitCode.BAD_CONFIGURATION


def _one_line(text: str) -> str:
    """Replace control characters, which a foreign key may hold, so that a message stays one line of a log."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) == "Cc" else char for char in text)
