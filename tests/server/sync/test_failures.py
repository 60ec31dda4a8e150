"""What an error says about a version."""

import logging

import pytest

from adapter_contract import ArtifactRefused
from adapter_contract.s3 import AccessDenied, Conflict, Corrupted, InvalidLocation, NotFound, StorageError, Unreachable
from adapter_contract.verify import BaseModelMismatch, WrongDigest
from adapter_server.engines.engine import AdapterRefused, EngineUnavailable
from adapter_server.sync.failures import MergeNotSupported, backoff_seconds, finding_of

pytestmark = pytest.mark.unit


def storage(kind: type[StorageError]) -> StorageError:
    return kind("fetch", "s3://adapters/x/", "it is so", "do that")


@pytest.mark.parametrize(
    ("error", "reason", "retry_seconds"),
    [
        (ArtifactRefused([WrongDigest("a.safetensors", "other bytes")]), "AdapterRefused", None),
        (ArtifactRefused([BaseModelMismatch("adapter_config.json", "another")]), "BaseModelMismatch", None),
        (AdapterRefused("RankExceedsEngine", "rank 64"), "RankExceedsEngine", None),
        (MergeNotSupported("a merge"), "InvalidMerge", None),
        (storage(Corrupted), "AdapterRefused", 300.0),
    ],
)
def test_wrong_bytes_are_refused(error: Exception, reason: str, retry_seconds: float | None) -> None:
    found = finding_of(error, 3)
    assert (found.refused, found.reason, found.retry_seconds) == (True, reason, retry_seconds)
    assert found.message == str(error)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (storage(NotFound), "InputMissing"),
        (storage(AccessDenied), "PermissionDenied"),
        (storage(InvalidLocation), "InvalidLocation"),
        (storage(Unreachable), "StorageUnavailable"),
        (storage(Conflict), "StorageUnavailable"),
        (OSError(28, "No space left on device"), "LocalStorage"),
        (EngineUnavailable("closed"), "LoadFailed"),
    ],
)
def test_everything_else_is_tried_again(error: Exception, reason: str) -> None:
    found = finding_of(error, 3)
    assert (found.refused, found.reason, found.retry_seconds) == (False, reason, 4.0)


def test_a_fault_of_the_program_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = finding_of(KeyError("x"), 1)
    assert (found.refused, found.reason) == (False, "InternalError")
    assert caplog.records[0].exc_info is not None


def test_pauses_double_up_to_a_minute() -> None:
    assert [backoff_seconds(attempts) for attempts in (1, 2, 3, 6, 7, 8, 1000)] == [1, 2, 4, 32, 60, 60, 60]


def test_long_words_are_cut() -> None:
    assert len(finding_of(EngineUnavailable("x" * 5000), 1).message) < 1100
