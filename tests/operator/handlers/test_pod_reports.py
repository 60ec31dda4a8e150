"""What pods say, as documents; and what is made of words that are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter_contract.adapter_set import AdapterReport
from adapter_operator.handlers.pod_reports import PodReports
from adapter_operator.observe.deployment import PodReport
from adapter_operator.runtime.pod_streams import PodStreams, StreamError, StreamTarget
from adapter_testing.operator_stories import progress
from adapter_testing.virtual_time import run_virtually

pytestmark = pytest.mark.unit

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
REPORT = (Path(__file__).parents[2] / "contract/golden/adapter_report.minimal.json").read_bytes()
POD = {"kind": "Pod", "metadata": {"name": "pod", "namespace": "lab", "uid": "uid-pod"}}
UNKNOWN = {"kind": "Pod", "metadata": {"name": "other", "namespace": "lab", "uid": "uid-other"}}


class Says:
    def __init__(self, body: bytes | None) -> None:
        self.body = body

    async def documents(self, _: StreamTarget) -> AsyncGenerator[bytes, None]:
        if self.body is None:
            raise StreamError("silent")
        yield self.body
        await asyncio.sleep(1e6)


def read(body: bytes | None) -> tuple[dict[str, Any], dict[str, PodReport]]:
    async def scene() -> tuple[dict[str, Any], dict[str, PodReport]]:
        streams = PodStreams(Says(body), lambda _: None, now=lambda: NOW)
        streams.follow(StreamTarget("uid-pod", "lab", "pod", "10.0.0.7", 8081, "/x"))
        await asyncio.sleep(0.1)
        reports = PodReports(streams)
        found = reports.progress([POD, UNKNOWN]), reports.adapters([POD, UNKNOWN])
        await streams.close()
        return found

    return run_virtually(scene())


def test_a_trainers_progress() -> None:
    said = progress(3)
    assert read(said.to_json())[0] == {"uid-pod": said}


def test_a_servers_report() -> None:
    assert read(REPORT)[1] == {"uid-pod": PodReport(AdapterReport.from_json(REPORT), NOW, None)}


def test_a_pod_that_never_answered() -> None:
    assert read(None) == ({}, {"uid-pod": PodReport(None, NOW, NOW)})


def test_words_that_are_none_count_as_silence(caplog: pytest.LogCaptureFixture) -> None:
    assert read(b"<html>") == ({}, {"uid-pod": PodReport(None, NOW, NOW)})
    assert "Pod lab/pod reports no progress that can be read" in caplog.text
    assert "Pod lab/pod reports no adapters that can be read" in caplog.text
