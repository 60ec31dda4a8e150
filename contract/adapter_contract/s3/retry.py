"""One bounded retry loop for every request; botocore's own retries are off."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from adapter_contract.s3.errors import AccessDenied
from adapter_contract.s3.faults import TRANSPORT_ERRORS, Fault, fault_of
from adapter_contract.s3.settings import TransferSettings

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_random = random.SystemRandom()


class Attempts:
    """What is left of a request's attempts and of its time budget.

    Args:
        settings: the bounds.
        cancelled: once set, no further attempt follows.

    """

    def __init__(self, settings: TransferSettings, cancelled: threading.Event | None = None) -> None:
        self._settings = settings
        self._cancelled = cancelled or threading.Event()
        self._failed = 0
        self._deadline = time.monotonic() + settings.budget_seconds

    @property
    def deadline(self) -> float:
        """When the budget ends, on the clock `time.monotonic`."""
        return self._deadline

    def pause(self, operation: str, uri: str, fault: Fault, error: Exception) -> None:
        """Wait before the next attempt, for a random time below a bound that doubles ("full jitter").

        Raises:
            StorageError: by the fault, because it can't pass by itself or the bounds are reached.

        """
        self._failed += 1
        settings = self._settings
        bound = min(settings.longest_backoff_seconds, settings.backoff_seconds * 2 ** (self._failed - 1))
        wait = max(_random.uniform(0, bound), min(fault.wait_seconds, settings.longest_backoff_seconds))
        if not fault.retry or self._failed >= settings.attempts or time.monotonic() + wait > self._deadline:
            raise fault.as_error(operation, uri) from error
        _log.info("%s %s: %s; attempt %d follows in %.1f s", operation, uri, fault.reason, self._failed + 1, wait)
        if self._cancelled.wait(wait):
            raise fault.as_error(operation, uri) from error

    def refresh(self) -> None:
        """Start over: the request got further than before."""
        self._failed = 0
        self._deadline = time.monotonic() + self._settings.budget_seconds


class Retrier:
    """Runs requests until they succeed, fail for good, or reach their bounds. Thread-safe.

    Args:
        settings: the bounds.
        credentials: returns what requests are signed with; where it is other after a denial than before, the
            credentials were rotated meanwhile, and the request is tried once more.

    """

    def __init__(self, settings: TransferSettings, credentials: Callable[[], object] = lambda: None) -> None:
        self._settings = settings
        self._credentials = credentials

    def attempts(self, cancelled: threading.Event | None = None) -> Attempts:
        """Return the bounds of a new request."""
        return Attempts(self._settings, cancelled)

    def call(self, operation: str, uri: str, request: Callable[[], _T]) -> _T:
        """Return what the request returns.

        Raises:
            StorageError: what became of it.

        """
        return self.attempt(operation, uri, request, self.attempts())

    def attempt(self, operation: str, uri: str, request: Callable[[], _T], attempts: Attempts) -> _T:
        """Return what the request returns, within bounds that it shares with others; errors as in `call`."""
        while True:
            signed_with = self._credentials()
            try:
                return request()
            except TRANSPORT_ERRORS as error:
                fault = fault_of(error)
                if fault.error is AccessDenied and self._credentials() != signed_with:
                    _log.info("%s %s: the credentials were rotated, trying again", operation, uri)
                    continue
                attempts.pause(operation, uri, fault, error)
