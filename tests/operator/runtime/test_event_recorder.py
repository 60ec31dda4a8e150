"""Events: what they say, that they count instead of piling up, and that none holds up work."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter_devcluster.serving.faults import CallFault, FaultPlan
from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.event_recorder import EventRecorder
from adapter_operator.runtime.objects import Object, uid_of
from adapter_operator.runtime.resources import EVENTS
from adapter_testing.api_client_lab import ApiClientLab, widget
from adapter_testing.plan_stub import News

pytestmark = pytest.mark.integration

START = datetime(2026, 5, 4, 12, 0, 0, 700_000, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


async def events(client: ApiClient, about: Object) -> list[Object]:
    return list((await client.list(EVENTS, "default", field_selector=f"involvedObject.uid={uid_of(about)}")).items)


def test_what_an_event_says(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        about = await client.create(widget("told"))
        recorder = EventRecorder(client, instance="operator-0", now=Clock())
        assert await recorder.post(about, News("Warning", "Refused", "Change the colour.")) is True
        (event,) = await events(client, about)
        assert event["metadata"]["name"].startswith("told.")
        assert {key: event[key] for key in ("type", "reason", "message", "count", "reportingInstance")} == {
            "type": "Warning",
            "reason": "Refused",
            "message": "Change the colour.",
            "count": 1,
            "reportingInstance": "operator-0",
        }
        assert event["source"] == {"component": "adapter-operator"}
        assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-05-04T12:00:00Z", "2026-05-04T12:00:00Z")
        assert event["involvedObject"] == {
            "apiVersion": "example.dev/v1",
            "kind": "Widget",
            "namespace": "default",
            "name": "told",
            "uid": uid_of(about),
            "resourceVersion": about["metadata"]["resourceVersion"],
        }

    api.play(scene)


def test_saying_it_again_counts_up(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        about, clock = await client.create(widget("again")), Clock()
        recorder = EventRecorder(client, now=clock)
        for _ in range(3):
            await recorder.post(about, News("Normal", "Started", "Run 1."))
            clock.now += timedelta(minutes=1)
        await recorder.post(about, News("Normal", "Started", "Run 2."))
        found = {one["message"]: one for one in await events(client, about)}
        assert {message: one["count"] for message, one in found.items()} == {"Run 1.": 3, "Run 2.": 1}
        assert found["Run 1."]["firstTimestamp"] == "2026-05-04T12:00:00Z"
        assert found["Run 1."]["lastTimestamp"] == "2026-05-04T12:02:00Z"

    api.play(scene)


def test_long_words_are_cut(api: ApiClientLab) -> None:
    async def scene(client: ApiClient) -> None:
        about = await client.create(widget("long"))
        await EventRecorder(client).post(about, News("Normal", "Long", "x" * 2000))
        (event,) = await events(client, about)
        assert event["message"] == "x" * 1021 + "..."

    api.play(scene)


def test_a_server_that_takes_none_is_no_error(api: ApiClientLab, caplog: pytest.LogCaptureFixture) -> None:
    api.cluster.set_faults(FaultPlan(calls=(CallFault(verbs=("create",), resources=("events",), code=500),)))

    async def scene(client: ApiClient) -> bool:
        about = await client.create(widget("lost"))
        return await EventRecorder(client).post(about, News("Normal", "Lost", "Nobody hears it."))

    with caplog.at_level(logging.WARNING):
        assert api.play(scene) is False
    assert "event Lost about Widget default/lost: POST /api/v1/namespaces/default/events: 500" in caplog.text


def test_a_slow_server_is_not_waited_for(
    api: ApiClientLab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adapter_operator.runtime.event_recorder._SECONDS", 0.05)
    slow: Any = CallFault(verbs=("create",), resources=("events",), effect="Delay", delay_seconds=30)
    api.cluster.set_faults(FaultPlan(calls=(slow,)))

    async def scene(client: ApiClient) -> bool:
        about = await client.create(widget("slow"))
        async with asyncio.timeout(5):
            return await EventRecorder(client).post(about, News("Normal", "Slow", "x"))

    assert api.play(scene) is False
    assert "too slow" in caplog.text


def test_in_a_namespace_that_ends_nothing_is_said_of_it(api: ApiClientLab, caplog: pytest.LogCaptureFixture) -> None:
    store = api.cluster.cluster.api.client("test")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "silent"}}
    api.cluster.call(lambda: store.create("namespaces", namespace))

    async def scene(client: ApiClient) -> bool:
        about = await client.create(widget("last", namespace="silent", finalizers=["example.dev/hold"]))
        api.cluster.call(lambda: store.delete("namespaces", "", "silent"))
        return await EventRecorder(client).post(about, News("Normal", "Late", "x"))

    with caplog.at_level(logging.WARNING):
        assert api.play(scene) is False
    assert caplog.text == ""
