"""The rules of the decision, one by one."""

import pytest

from adapter_contract import AdapterEntry, AdapterVersion
from adapter_server.sync.decide import Decision, Delete, Load, Prepare, Retire, Serve, Withdraw, decide
from adapter_server.sync.versions import Holding, Phase, VersionState

pytestmark = pytest.mark.unit

A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")


def version(digest: str) -> AdapterVersion:
    return AdapterVersion(digest=digest, uri=f"s3://adapters/{digest[-1]}/")


def entry(desired: str | None = None, fallback: str | None = None) -> AdapterEntry:
    return AdapterEntry(
        name="support-bot",
        policy="Optional",
        digest=desired,
        uri=None if desired is None else version(desired).uri,
        fallback=None if fallback is None else version(fallback),
    )


def holding(serving: str | None = None, **phases: Phase | VersionState) -> Holding:
    names = {"a": A, "b": B, "c": C, "d": D}
    versions = {
        names[name]: found if isinstance(found, VersionState) else VersionState(found) for name, found in phases.items()
    }
    return Holding(serving, versions)


def actions(wanted: AdapterEntry | None, held: Holding, now: float = 0.0) -> tuple[object, ...]:
    return decide(wanted, held, now).actions


def test_a_new_adapter_is_prepared_then_loaded_then_served() -> None:
    assert actions(entry(A), holding()) == (Prepare(version(A)),)
    assert actions(entry(A), holding(a=Phase.VERIFIED)) == (Load(A),)
    assert actions(entry(A), holding(a=Phase.LOADED)) == (Serve(A),)
    assert decide(entry(A), holding(A, a=Phase.LOADED), 0.0) == Decision()


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.DOWNLOADING, Phase.VERIFYING, Phase.LOADING])
def test_what_is_under_way_is_left_alone(phase: Phase) -> None:
    assert actions(entry(A), holding(a=VersionState(phase, working=True))) == ()


def test_a_version_that_waits_for_nobody_but_is_worked_on_is_not_begun_twice() -> None:
    retried = VersionState(Phase.FAILED, working=True)
    assert actions(entry(A), holding(a=retried)) == ()
    assert actions(None, holding(a=retried)) == ()


def test_a_switch_serves_the_new_version_and_retires_the_old_one_in_this_order() -> None:
    assert actions(entry(B), holding(A, a=Phase.LOADED, b=Phase.LOADED)) == (Serve(B), Retire(A))


def test_the_old_version_answers_until_the_new_one_is_loaded() -> None:
    for phase in (Phase.STORED, Phase.VERIFIED, Phase.REFUSED, Phase.FAILED):
        kinds = {type(action) for action in actions(entry(B), holding(A, a=Phase.LOADED, b=phase))}
        assert not kinds & {Serve, Retire, Withdraw, Delete}


def test_with_nothing_that_answers_the_fallback_is_brought_up_beside_the_desired_version() -> None:
    assert actions(entry(B, A), holding()) == (Prepare(version(B)), Prepare(version(A)))
    assert actions(entry(B, A), holding(a=Phase.LOADED, b=Phase.LOADING)) == (Serve(A),)


def test_a_fallback_that_is_no_longer_needed_is_not_brought_up() -> None:
    assert actions(entry(B, A), holding(C, c=Phase.LOADED)) == (Prepare(version(B)),)


def test_where_the_desired_version_is_refused_the_fallback_takes_over_from_any_other() -> None:
    refused = VersionState(Phase.REFUSED)
    assert actions(entry(B, A), holding(C, c=Phase.LOADED, b=refused)) == (Prepare(version(A)),)
    held = holding(C, c=Phase.LOADED, b=refused, a=Phase.LOADED)
    assert actions(entry(B, A), held) == (Serve(A), Retire(C))


def test_with_both_refused_what_answers_goes_on() -> None:
    held = holding(C, c=Phase.LOADED, b=Phase.REFUSED, a=Phase.REFUSED)
    assert actions(entry(B, A), held) == ()


def test_an_entry_that_waits_for_its_training_serves_its_fallback_or_what_it_has() -> None:
    assert actions(entry(None, A), holding()) == (Prepare(version(A)),)
    assert actions(entry(), holding(C, c=Phase.LOADED)) == ()
    assert actions(entry(), holding()) == ()


def test_a_fallback_equal_to_the_desired_version_is_none() -> None:
    assert actions(entry(A, A), holding()) == (Prepare(version(A)),)


def test_a_third_version_is_loaded_only_when_one_of_two_has_gone() -> None:
    held = holding(B, a=VersionState(Phase.DRAINING, working=True), b=Phase.LOADED, c=Phase.VERIFIED)
    assert actions(entry(C), held) == ()
    assert actions(entry(C), holding(B, a=Phase.STORED, b=Phase.LOADED, c=Phase.VERIFIED))[0] == Load(C)


def test_a_loaded_version_that_nobody_wants_any_more_is_retired_without_having_answered() -> None:
    assert actions(entry(C), holding(A, a=Phase.LOADED, b=Phase.LOADED, c=Phase.VERIFIED)) == (Retire(B),)


def test_a_failed_version_is_due_at_its_time_and_the_decision_says_when() -> None:
    failed = VersionState(Phase.FAILED, origin=version(A).uri, retry_at=10.0)
    assert decide(entry(A), holding(a=failed), 9.0) == Decision((), wake_at=10.0)
    assert decide(entry(A), holding(a=failed), 10.0) == Decision((Prepare(version(A)),))


def test_a_failed_version_is_due_at_once_from_another_place() -> None:
    failed = VersionState(Phase.FAILED, origin="s3://elsewhere/a/", retry_at=10.0)
    assert actions(entry(A), holding(a=failed)) == (Prepare(version(A)),)


def test_a_refusal_is_final_unless_its_store_may_be_repaired() -> None:
    assert decide(entry(A), holding(a=VersionState(Phase.REFUSED)), 1e9) == Decision()
    torn = VersionState(Phase.REFUSED, origin=version(A).uri, retry_at=300.0)
    assert decide(entry(A), holding(a=torn), 0.0) == Decision((), wake_at=300.0)
    assert actions(entry(A), holding(a=torn), 300.0) == (Prepare(version(A)),)


def test_the_version_served_before_stays_on_disk_and_older_ones_go() -> None:
    held = holding(
        C,
        a=VersionState(Phase.STORED, last_served=1.0),
        b=VersionState(Phase.STORED, last_served=2.0),
        c=VersionState(Phase.LOADED, last_served=3.0),
        d=VersionState(Phase.STORED),
    )
    assert set(actions(entry(C), held)) == {Delete(A), Delete(D)}
    assert actions(entry(B), held)[0] == Prepare(version(B))


def test_a_refused_version_that_is_no_longer_named_is_forgotten() -> None:
    assert actions(entry(A), holding(A, a=Phase.LOADED, b=Phase.REFUSED)) == (Delete(B),)


def test_an_adapter_that_is_no_longer_wanted_stops_answering_at_once_and_leaves_nothing() -> None:
    assert actions(None, holding(A, a=Phase.LOADED, b=VersionState(Phase.STORED, last_served=1.0))) == (
        Withdraw(),
        Retire(A),
        Delete(B),
    )
    assert actions(None, holding(a=Phase.STORED)) == (Delete(A),)
