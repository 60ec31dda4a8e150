"""The laws of the work queue, on a clock that jumps."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_operator.runtime.queue import Backoff, QueueClosed, TokenBucket, WorkQueue
from adapter_testing.virtual_time import run_virtually

pytestmark = pytest.mark.unit

KEYS = st.sampled_from(["a", "b", "c"])
TIMES = st.integers(0, 40).map(lambda number: number / 8)


@dataclass
class Run:
    key: str
    start: float
    end: float


@dataclass
class History:
    """What was asked of a queue and what its workers did, with times."""

    queue: WorkQueue[str] = field(default_factory=WorkQueue)
    adds: list[tuple[float, str]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    async def work(self, seconds: float) -> None:
        """One worker, which takes so long for each key."""
        time = asyncio.get_running_loop().time
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            run = Run(key, time(), -1.0)
            self.runs.append(run)
            await asyncio.sleep(seconds)
            run.end = time()
            self.queue.done(key)

    async def add_at(self, time: float, key: str) -> None:
        await asyncio.sleep(time)
        self.adds.append((asyncio.get_running_loop().time(), key))
        self.queue.add(key)

    async def play(self, schedule: list[tuple[float, str]], workers: list[float]) -> None:
        working = [asyncio.create_task(self.work(seconds)) for seconds in workers]
        await asyncio.gather(*(self.add_at(time, key) for time, key in schedule))
        self.queue.close()
        await self.queue.join()
        await asyncio.gather(*working)


@given(schedule=st.lists(st.tuples(TIMES, KEYS), max_size=30), workers=st.lists(TIMES, min_size=1, max_size=4))
def test_one_worker_per_key_and_nothing_is_lost(schedule: list[tuple[float, str]], workers: list[float]) -> None:
    history = History()
    run_virtually(history.play(schedule, workers))

    by_key = defaultdict(list)
    for run in history.runs:
        by_key[run.key].append(run)
    for runs in by_key.values():
        for before, after in itertools.pairwise(runs):
            assert before.end <= after.start
    # Each add is followed by a run that begins at its time or later.
    for time, key in history.adds:
        assert any(run.start >= time for run in by_key[key])
    # No run without an add of its own: none is for adds that an earlier run has covered.
    for key, runs in by_key.items():
        starts = [-1.0, *(run.start for run in runs)]
        times = [time for time, added in history.adds if added == key]
        assert len(runs) <= len(times)
        for previous, start in itertools.pairwise(starts):
            assert any(previous <= time <= start for time in times)


def test_adds_during_work_make_exactly_one_more_run() -> None:
    history = History()
    run_virtually(history.play([(0.0, "a"), (1.0, "a"), (1.5, "a"), (2.0, "a")], workers=[5.0, 5.0]))
    assert [(run.start, run.end) for run in history.runs] == [(0.0, 5.0), (5.0, 10.0)]


def test_a_key_waits_once() -> None:
    async def scene() -> list[str]:
        queue: WorkQueue[str] = WorkQueue()
        for key in ("a", "b", "a", "a", "b"):
            queue.add(key)
        assert (queue.depth, queue.working) == (2, 0)
        return [await queue.get(), await queue.get()]

    assert run_virtually(scene()) == ["a", "b"]


@given(delays=st.lists(TIMES.filter(bool), min_size=1, max_size=10))
def test_of_delayed_adds_the_earliest_wins(delays: list[float]) -> None:
    async def scene() -> float:
        queue: WorkQueue[str] = WorkQueue()
        for delay in delays:
            queue.add_after("a", delay)
        assert await queue.get() == "a"
        got = asyncio.get_running_loop().time()
        queue.done("a")
        await asyncio.sleep(100)
        assert (queue.depth, queue.delayed) == (0, 0)
        return got

    assert run_virtually(scene()) == pytest.approx(min(delays))


def test_an_add_at_once_leaves_the_delayed_one_alone() -> None:
    async def scene() -> list[float]:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 5.0)
        queue.add_after("a", 0.0)
        times = []
        for _ in range(2):
            key = await queue.get()
            times.append(asyncio.get_running_loop().time())
            queue.done(key)
        return times

    assert run_virtually(scene()) == pytest.approx([0.0, 5.0])


def test_backoff_doubles_to_its_cap_and_begins_anew() -> None:
    backoff: Backoff[str] = Backoff()
    waits = [backoff.next("a") for _ in range(40)]
    assert waits[:4] == [0.005, 0.01, 0.02, 0.04]
    assert waits[15] == pytest.approx(163.84)
    assert set(waits[16:]) == {300.0}
    assert backoff.next("b") == 0.005
    backoff.forget("a")
    assert backoff.next("a") == 0.005


@given(gaps=st.lists(st.floats(0, 2), max_size=60), rate=st.floats(1, 50), burst=st.integers(1, 10))
def test_the_bucket_never_gives_more_than_its_rate(gaps: list[float], rate: float, burst: int) -> None:
    bucket, now, granted = TokenBucket(rate=rate, burst=burst), 0.0, []
    for gap in gaps:
        now += gap
        granted.append(now + bucket.reserve(now))
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            count, seconds = last - first + 1, granted[last] - granted[first]
            assert count <= burst + seconds * rate + 1e-6


def test_mass_failures_are_slowed_down() -> None:
    async def scene() -> list[float]:
        queue: WorkQueue[int] = WorkQueue(bucket=TokenBucket(rate=10, burst=5))
        return [queue.add_rate_limited(key) for key in range(8)]

    assert run_virtually(scene()) == pytest.approx([0.005, 0.005, 0.005, 0.005, 0.005, 0.1, 0.2, 0.3])


def test_the_server_may_ask_for_more_patience() -> None:
    async def scene() -> float:
        queue: WorkQueue[str] = WorkQueue()
        assert queue.add_rate_limited("a", at_least=7.0) == 7.0
        await queue.get()
        return asyncio.get_running_loop().time()

    assert run_virtually(scene()) == pytest.approx(7.0)


def test_a_closed_queue_hands_out_what_waits_and_takes_nothing() -> None:
    async def scene() -> list[str]:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.add("b")
        queue.add_after("c", 1.0)
        queue.close()
        queue.add("d")
        queue.add_after("e", 0.0)
        queue.add_after("f", 1.0)
        queue.done("a")
        got = []
        while True:
            try:
                key = await queue.get()
            except QueueClosed:
                break
            got.append(key)
            queue.done(key)
        await queue.join()
        return got

    assert run_virtually(scene()) == ["b", "a"]


def test_a_getter_of_a_closed_queue_waits_for_the_rerun_of_a_key() -> None:
    async def scene() -> str:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add("a")
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        queue.close()
        await asyncio.sleep(1)
        assert not waiting.done()
        queue.done("a")
        return await waiting

    assert run_virtually(scene()) == "a"


def test_a_cancelled_getter_takes_no_key_with_it() -> None:
    async def scene() -> str:
        queue: WorkQueue[str] = WorkQueue()
        first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        return await second

    assert run_virtually(scene()) == "a"


def test_it_tells_what_waits_and_what_takes_long() -> None:
    async def scene() -> None:
        queue: WorkQueue[str] = WorkQueue()
        assert (queue.longest_wait(), queue.longest_work()) == (0.0, None)
        queue.add("a")
        await asyncio.sleep(2)
        queue.add("b")
        await asyncio.sleep(1)
        assert queue.longest_wait() == 3.0
        await queue.get()
        await queue.get()
        await asyncio.sleep(4)
        assert queue.longest_work() == ("a", 4.0)
        assert queue.longest_wait() == 0.0

    run_virtually(scene())
