"""What an error says about a version: refused for good, or to be tried again, and the words for the status."""

import logging
from dataclasses import dataclass

from adapter_contract import ArtifactRefused
from adapter_contract.s3.errors import AccessDenied, Corrupted, InvalidLocation, NotFound, StorageError
from adapter_contract.termination import cut
from adapter_contract.verify import BaseModelMismatch
from adapter_server.engines.engine import AdapterRefused, EngineError

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
REPAIR_SECONDS = 300.0
"""How often a store's torn copy is looked at again: publishing the same version once more repairs it."""

_MESSAGE_CHARACTERS = 1000

_log = logging.getLogger(__name__)


class MergeNotSupported(Exception):
    """The set wants a merge of adapters."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an attempt at a version ended with.

    Attributes:
        refused: only other bytes help.
        reason, message: for the status.
        retry_seconds: after which it is tried again; None: never.
    """

    refused: bool
    reason: str
    message: str
    retry_seconds: float | None


def finding_of(error: Exception, attempts: int) -> Finding:
    """Return what an error means.

    Args:
        error: what an attempt raised.
        attempts: failures in a row, this one included.
    """
    message = cut(str(error), _MESSAGE_CHARACTERS)
    match error:
        case MergeNotSupported():
            return Finding(refused=True, reason="InvalidMerge", message=message, retry_seconds=None)
        case ArtifactRefused():
            foreign = any(isinstance(problem, BaseModelMismatch) for problem in error.problems)
            reason = "BaseModelMismatch" if foreign else "AdapterRefused"
            return Finding(refused=True, reason=reason, message=message, retry_seconds=None)
        case AdapterRefused():
            return Finding(refused=True, reason=error.reason, message=message, retry_seconds=None)
        case Corrupted():
            return Finding(refused=True, reason="AdapterRefused", message=message, retry_seconds=REPAIR_SECONDS)
    return Finding(refused=False, reason=_reason(error), message=message, retry_seconds=backoff_seconds(attempts))


def backoff_seconds(attempts: int) -> float:
    """Return the pause after a number of failures in a row: 1, 2, 4, ... 60 s."""
    doublings = min(attempts - 1, 10)
    return min(FIRST_RETRY_SECONDS * 2.0**doublings, LONGEST_RETRY_SECONDS)


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (NotFound, "InputMissing"),
    (AccessDenied, "PermissionDenied"),
    (InvalidLocation, "InvalidLocation"),
    (StorageError, "StorageUnavailable"),
    (OSError, "LocalStorage"),
    (EngineError, "LoadFailed"),
)


def _reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    _log.error("an adapter could not be brought up by a fault of this program", exc_info=error)
    return "InternalError"
