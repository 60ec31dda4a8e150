"""What is reported of an adapter, and when a pod's Required adapters are settled."""

from datetime import UTC, datetime, timedelta

import pytest

from adapter_contract import AdapterEntry, AdapterState, AdapterVersion
from adapter_server.sync.report import required_are_settled, since_kept, status_of
from adapter_server.sync.versions import Holding, Phase, VersionState

pytestmark = pytest.mark.unit

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(digest: str | None = None, fallback: str | None = None, name: str = "bot") -> AdapterEntry:
    return AdapterEntry(
        name=name,
        policy="Required",
        digest=digest,
        uri=None if digest is None else "s3://adapters/x/",
        fallback=None if fallback is None else AdapterVersion(digest=fallback, uri="s3://adapters/y/"),
    )


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (None, AdapterState.PENDING),
        (Phase.STORED, AdapterState.PENDING),
        (Phase.QUEUED, AdapterState.PENDING),
        (Phase.DRAINING, AdapterState.PENDING),
        (Phase.DELETING, AdapterState.PENDING),
        (Phase.DOWNLOADING, AdapterState.DOWNLOADING),
        (Phase.VERIFYING, AdapterState.VERIFYING),
        (Phase.VERIFIED, AdapterState.LOADING),
        (Phase.LOADING, AdapterState.LOADING),
        (Phase.LOADED, AdapterState.LOADING),
        (Phase.REFUSED, AdapterState.REFUSED),
        (Phase.FAILED, AdapterState.FAILED),
    ],
)
def test_each_phase_of_the_desired_version_has_a_state(phase: Phase | None, state: AdapterState) -> None:
    versions = {} if phase is None else {A: VersionState(phase, reason="StorageUnavailable", message="words")}
    status = status_of("bot", entry(A), Holding(None, versions), NOW)
    told = state in {AdapterState.REFUSED, AdapterState.FAILED}
    assert (status.state, status.desired_digest, status.served_digest) == (state, A, None)
    assert (status.reason, status.message) == (("StorageUnavailable", "words") if told else (None, None))


def test_served_waiting_and_unloading() -> None:
    loaded = {A: VersionState(Phase.LOADED)}
    assert status_of("bot", entry(A), Holding(A, loaded), NOW).state is AdapterState.SERVED
    waiting = status_of("bot", entry(None, A), Holding(A, loaded), NOW)
    assert (waiting.state, waiting.served_digest) == (AdapterState.WAITING, A)
    assert status_of("bot", None, Holding(None, loaded), NOW).state is AdapterState.UNLOADING


def test_since_is_the_time_of_the_last_difference() -> None:
    before = status_of("bot", entry(A), Holding(), NOW)
    later = status_of("bot", entry(A), Holding(), NOW + timedelta(minutes=1))
    other = status_of("bot", entry(B), Holding(), NOW + timedelta(minutes=1))
    assert since_kept(later, before) == before
    assert since_kept(other, before) == other
    assert since_kept(before, None) == before


@pytest.mark.parametrize(
    ("wanted", "holding", "settled"),
    [
        (entry(A), Holding(), False),
        (entry(A), Holding(A, {A: VersionState(Phase.LOADED)}), True),
        (entry(A, B), Holding(B, {B: VersionState(Phase.LOADED)}), True),
        (entry(A), Holding(None, {A: VersionState(Phase.REFUSED)}), True),
        (entry(A, B), Holding(None, {A: VersionState(Phase.REFUSED)}), False),
        (entry(A, B), Holding(None, {A: VersionState(Phase.REFUSED), B: VersionState(Phase.REFUSED)}), True),
        (entry(A), Holding(None, {A: VersionState(Phase.FAILED)}), False),
        (entry(), Holding(), False),
    ],
)
def test_required_adapters_settle_by_being_served_or_refused(
    wanted: AdapterEntry, holding: Holding, settled: bool
) -> None:
    optional = AdapterEntry(name="optional", policy="Optional")
    assert required_are_settled([optional, wanted], {"bot": holding}) is settled


def test_a_required_adapter_that_nothing_is_held_of_is_not_settled() -> None:
    assert required_are_settled([entry(A)], {}) is False
    assert required_are_settled([], {}) is True
