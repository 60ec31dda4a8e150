"""Probes and metrics, over HTTP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from adapter_operator.runtime.metrics import Metrics
from adapter_operator.runtime.objects import Key
from adapter_operator.runtime.probes import Check, serve_probes
from adapter_operator.runtime.queue import WorkQueue
from adapter_operator.runtime.workers import Workers

pytestmark = pytest.mark.integration

KEY = Key("Widget", "lab", "one")


def ask(
    paths: list[str],
    *,
    live: tuple[Check, ...] = (),
    ready: tuple[Check, ...] = (),
    metrics: Metrics | None = None,
) -> list[tuple[int, str]]:
    async def scene() -> list[tuple[int, str]]:
        serving = serve_probes(host="127.0.0.1", port=0, live=live, ready=ready, metrics=metrics or Metrics())
        async with serving as port, aiohttp.ClientSession(trust_env=False) as session:
            answers = []
            for path in paths:
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    answers.append((response.status, await response.text()))
            return answers

    return asyncio.run(scene())


def test_all_is_well() -> None:
    answers = ask(["/healthz", "/readyz", "/other"], live=(lambda: None, lambda: None), ready=(lambda: None,))
    assert answers == [(200, "ok\n"), (200, "ok\n"), (404, "404: Not Found")]


def test_what_is_wrong_is_said() -> None:
    answers = ask(
        ["/healthz", "/readyz"],
        live=(lambda: "a worker has died", lambda: None, lambda: "a key waits"),
        ready=(lambda: "the watches have not begun",),
    )
    assert answers == [(500, "a worker has died\na key waits\n"), (500, "the watches have not begun\n")]


def test_metrics_have_the_names_of_controller_runtime() -> None:
    metrics = Metrics()
    came_twice = asyncio.Event()
    calls = 0

    async def reconcile(key: Key) -> float:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError("bug")
        came_twice.set()
        return 9.0

    async def scene() -> None:
        queue: WorkQueue[Key] = WorkQueue(meter=metrics)
        workers = Workers(queue, reconcile, meter=metrics)
        workers.start()
        queue.add(KEY)
        await came_twice.wait()
        await workers.stop(1.0)

    asyncio.run(scene())
    metrics.request_done("GET", "200")
    ((code, text),) = ask(["/metrics"], metrics=metrics)
    assert code == 200
    for line in (
        'workqueue_depth{name="adapters"} 0.0',
        'workqueue_adds_total{name="adapters"} 2.0',
        'workqueue_retries_total{name="adapters"} 1.0',
        'workqueue_queue_duration_seconds_count{name="adapters"} 2.0',
        'workqueue_work_duration_seconds_count{name="adapters"} 2.0',
        'controller_runtime_reconcile_total{controller="widget",result="error"} 1.0',
        'controller_runtime_reconcile_total{controller="widget",result="requeue_after"} 1.0',
        'controller_runtime_reconcile_errors_total{controller="widget"} 1.0',
        'controller_runtime_reconcile_time_seconds_count{controller="widget"} 2.0',
        'rest_client_requests_total{code="200",method="GET"} 1.0',
    ):
        assert line in text.splitlines()
