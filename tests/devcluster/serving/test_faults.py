from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from adapter_devcluster.serving.faults import CallFault, FaultPlan, Faults, Match, WatchFault, fault_error
from adapter_devcluster.storage import Event, Item

pytestmark = pytest.mark.unit


def strikes(faults: Faults, calls: int, verb: str = "create", resource: str = "pods") -> list[bool]:
    return [faults.strike(verb, resource, "someone", "ns") is not None for _ in range(calls)]


def with_plan(*calls: CallFault, seed: int = 0) -> Faults:
    faults = Faults()
    faults.set(FaultPlan(calls=calls, seed=seed))
    return faults


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Match(), True),
        (Match(verbs=("create", "get")), True),
        (Match(verbs=("get",)), False),
        (Match(resources=("pods",)), True),
        (Match(resources=("pods/status",)), False),
        (Match(users=("some*",)), True),
        (Match(users=("some",)), False),
        (Match(namespaces=("other",)), False),
    ],
)
def test_which_calls_a_rule_is_about(rule: Match, matches: bool) -> None:
    assert rule.matches("create", "pods", "someone", "ns") is matches


def test_the_nth_matching_call_is_struck_and_no_other() -> None:
    faults = with_plan(CallFault(verbs=("create",), nth=3))
    faults.strike("get", "pods", "someone", "ns")
    assert strikes(faults, 5) == [False, False, True, False, False]
    assert faults.hits == [1]


def test_a_rule_ends_after_its_times() -> None:
    assert strikes(with_plan(CallFault(times=2)), 4) == [True, True, False, False]


def test_a_share_of_calls_is_struck_and_the_draw_can_be_repeated() -> None:
    first, again = (strikes(with_plan(CallFault(share=0.3), seed=7), 1000) for _ in range(2))
    assert first == again
    assert 200 < sum(first) < 400


def test_the_first_rule_that_strikes_counts_and_all_keep_counting() -> None:
    faults = with_plan(CallFault(nth=1, code=409), CallFault(nth=1, code=429), CallFault(nth=2, code=500))
    first, second = (faults.strike("get", "pods", "someone", "ns") for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.code, second.code, faults.hits) == (409, 500, [1, 0, 1])


@pytest.mark.parametrize(
    ("code", "reason", "retry"),
    [
        (409, "Conflict", None),
        (410, "Expired", None),
        (429, "TooManyRequests", 1),
        (500, "InternalError", None),
        (503, "ServiceUnavailable", 1),
        (504, "Timeout", None),
    ],
)
def test_errors_are_those_of_the_server(code: int, reason: str, retry: int | None) -> None:
    error = fault_error(CallFault.model_validate({"code": code}), "pods", "a")
    details = error.status.get("details", {})
    assert (error.code, error.reason, details.get("retryAfterSeconds")) == (code, reason, retry)


def test_a_plan_with_an_unknown_field_or_code_is_refused() -> None:
    for raw in ('{"calls": [{"cod": 500}]}', '{"calls": [{"code": 418}]}', '{"calls": [{"share": 2}]}'):
        with pytest.raises(ValidationError):
            FaultPlan.model_validate_json(raw)


class Stream:
    def __init__(self) -> None:
        self.was_cut = False

    def cut(self) -> None:
        self.was_cut = True


def event(number: int) -> Event:
    return Event("MODIFIED", Item({"metadata": {"name": str(number)}}, number), None)


def passed_on(rule: WatchFault, count: int, wait: float = 0.0) -> tuple[list[int], bool]:
    """Pass events through a rule; returns the revisions that came, in order, and whether the watch was cut."""

    async def play() -> tuple[list[int], bool]:
        faults, seen, stream = Faults(), [], Stream()
        faults.set(FaultPlan(watches=(rule,)))
        watch = faults.for_watch("pods", "someone", "ns")
        watch.register(stream)
        for number in range(count):
            watch.pass_on(event(number), lambda one: seen.append(one.revision))
        await asyncio.sleep(wait)
        return seen, stream.was_cut

    return asyncio.run(play())


def test_events_of_a_watch_with_no_rule_just_pass() -> None:
    assert passed_on(WatchFault(resources=("jobs.batch",), lose_share=1), 3) == ([0, 1, 2], False)


def test_events_are_lost_doubled_and_held_back() -> None:
    assert passed_on(WatchFault(lose_share=1), 3) == ([], False)
    assert passed_on(WatchFault(duplicate_share=1), 2) == ([0, 0, 1, 1], False)
    held, _ = passed_on(WatchFault(hold_share=0.5, hold_seconds=0.05), 20, wait=0.2)
    assert sorted(held) == list(range(20))
    assert held != sorted(held)


def test_a_watch_is_cut_after_its_events() -> None:
    assert passed_on(WatchFault(cut_after_events=2), 1) == ([0], False)
    assert passed_on(WatchFault(cut_after_events=2), 2) == ([0, 1], True)


def test_watches_are_cut_by_what_they_watch() -> None:
    async def play() -> None:
        faults, pods, jobs = Faults(), Stream(), Stream()
        faults.follow(pods, "pods", "someone", "")
        end = faults.follow(jobs, "jobs.batch", "someone", "")
        assert faults.cut_watches(Match(resources=("pods",))) == 1
        assert (pods.was_cut, jobs.was_cut) == (True, False)
        end()
        assert faults.cut_watches() == 1

    asyncio.run(play())


def test_a_pause_lasts_until_it_ends() -> None:
    async def play() -> None:
        faults = Faults()
        faults.pause()
        waiting = asyncio.create_task(faults.wait_while_paused())
        await asyncio.sleep(0)
        assert not waiting.done()
        faults.resume()
        await asyncio.wait_for(waiting, 5)

    asyncio.run(play())
