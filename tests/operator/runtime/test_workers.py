"""Workers: what becomes of a reconciliation that succeeds, asks to come back, fails or hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from adapter_operator.runtime.errors import Conflict, TooManyRequests, Unavailable
from adapter_operator.runtime.queue import WorkQueue
from adapter_operator.runtime.workers import Workers
from adapter_testing.virtual_time import run_virtually

pytestmark = pytest.mark.unit

Outcome = float | Exception | None


class Script:
    """Reconciles as the test has it, and keeps when."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.times: list[float] = []

    async def __call__(self, _: str) -> float | None:
        self.times.append(asyncio.get_running_loop().time())
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Results:
    def __init__(self) -> None:
        self.all: list[str] = []

    def reconciled(self, key: str, result: str, seconds: float) -> None:
        assert (key, seconds >= 0) == ("a", True)
        self.all.append(result)


async def play(reconcile: Callable[[str], Awaitable[float | None]], seconds: float) -> list[str]:
    queue: WorkQueue[str] = WorkQueue()
    results = Results()
    workers = Workers(queue, reconcile, count=2, meter=results)
    workers.start()
    queue.add("a")
    await asyncio.sleep(seconds)
    assert await workers.stop(1.0)
    return results.all


def test_success_is_the_end() -> None:
    script = Script(None)
    assert run_virtually(play(script, 1000)) == ["success"]
    assert script.times == [0.0]


def test_it_comes_back_when_asked_to() -> None:
    script = Script(30.0, 2.5)
    assert run_virtually(play(script, 100)) == ["requeue_after", "requeue_after", "success"]
    assert script.times == pytest.approx([0.0, 30.0, 32.5])


def test_failures_wait_longer_each_time_until_a_success(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(Unavailable("down"), KeyError("bug"), Conflict("newer"), 10.0, Unavailable("down"))
    with caplog.at_level(logging.DEBUG, logger="adapter_operator"):
        results = run_virtually(play(script, 100))
    assert results == ["error", "error", "requeue", "requeue_after", "error", "success"]
    assert script.times == pytest.approx([0.0, 0.005, 0.015, 0.035, 10.035, 10.04])
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "DEBUG", "WARNING"]
    assert caplog.records[1].exc_info is not None


def test_the_servers_patience_counts() -> None:
    script = Script(TooManyRequests("slow down", retry_after=12.0))
    assert run_virtually(play(script, 100)) == ["error", "success"]
    assert script.times == pytest.approx([0.0, 12.0])


def test_keys_run_beside_each_other_and_a_slow_one_is_cut_off_at_the_end() -> None:
    async def scene() -> tuple[bool, bool]:
        cancelled = False

        async def reconcile(key: str) -> None:
            nonlocal cancelled
            try:
                await asyncio.sleep(1000 if key == "slow" else 0)
            except asyncio.CancelledError:
                cancelled = True
                raise

        queue: WorkQueue[str] = WorkQueue()
        workers = Workers(queue, reconcile, count=2)
        workers.start()
        queue.add("slow")
        queue.add("fast")
        await asyncio.sleep(1)
        assert (queue.depth, queue.working) == (0, 1)
        return await workers.stop(5.0), cancelled

    assert run_virtually(scene()) == (False, True)


def test_work_under_way_is_finished_at_the_end() -> None:
    async def scene() -> tuple[bool, list[str]]:
        done = []

        async def reconcile(key: str) -> None:
            await asyncio.sleep(3)
            done.append(key)

        queue: WorkQueue[str] = WorkQueue()
        workers = Workers(queue, reconcile, count=1)
        workers.start()
        for key in ("a", "b"):
            queue.add(key)
        await asyncio.sleep(1)
        return await workers.stop(10.0), done

    assert run_virtually(scene()) == (True, ["a", "b"])


def test_workers_that_never_began_have_nothing_to_finish() -> None:
    async def scene() -> bool:
        return await Workers(WorkQueue[str](), Script()).stop(1.0)

    assert run_virtually(scene()) is True


def test_the_probe_sees_what_hangs() -> None:
    async def scene() -> list[str | None]:
        async def reconcile(key: str) -> None:
            await asyncio.sleep(1e6)

        queue: WorkQueue[str] = WorkQueue()
        workers = Workers(queue, reconcile, count=1)
        workers.start()
        queue.add("a")
        await asyncio.sleep(299)
        told = [workers.problem()]
        await asyncio.sleep(2)
        told.append(workers.problem())
        await workers.stop(0.0)
        return told

    assert run_virtually(scene()) == [None, "the reconciliation of a takes 301 s by now"]


def test_the_probe_sees_what_nobody_works_on_and_who_has_died() -> None:
    async def scene() -> list[str | None]:
        workers_of_nothing: Workers[str]
        queue: WorkQueue[str] = WorkQueue()
        workers_of_nothing = Workers(queue, Script(), count=1)
        queue.add("a")
        await asyncio.sleep(301)
        told = [workers_of_nothing.problem()]
        workers_of_nothing.start()
        workers_of_nothing.tasks[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [*told, workers_of_nothing.problem()]

    assert run_virtually(scene()) == ["a key waits 301 s for a worker", "1 of 1 workers have ended"]
