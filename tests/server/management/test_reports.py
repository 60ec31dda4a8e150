"""The management port of a running server: the report, its stream and metrics."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from adapter_contract import AdapterReport, AdapterState, ServerConfig
from adapter_contract.pods import ADAPTERS_PATH
from adapter_server.gateway.service import Service
from adapter_server.management import events
from adapter_server.management.reporter import Reporter
from adapter_server.metrics import Metrics
from adapter_testing.server_lab import Pod, Shelf, Things, ask, entry
from adapter_testing.trainer_lab import BASE_NAME


@pytest.fixture
def pod(things: Things, tmp_path: Path) -> Pod:
    return Pod(tmp_path / "pod", things.base)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")


@contextmanager
def stream(pod: Pod) -> Iterator[Iterator[str]]:
    headers = {"Accept": "text/event-stream"}
    with requests.get(f"{pod.management}{ADAPTERS_PATH}", headers=headers, stream=True, timeout=20) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield response.iter_lines(decode_unicode=True)


def next_report(lines: Iterator[str]) -> AdapterReport:
    line = next(line for line in lines if line.startswith("data: "))
    return AdapterReport.from_json(line.removeprefix("data: "))


@pytest.mark.integration
def test_the_stream_tells_the_present_at_once_then_each_change_and_ends_with_the_pod(
    pod: Pod, shelf: Shelf, things: Things
) -> None:
    first, second, _ = things.versions
    pod.write_set([entry("bot", first.digest, shelf.put(first))])
    with pod.running_here():
        pod.wait_served(bot=first.digest)
        with stream(pod) as lines:
            report = next_report(lines)
            assert (report.generation, report.ready, report.engine.base_model_name) == (1, True, BASE_NAME)
            assert [(status.name, status.state) for status in report.adapters] == [("bot", AdapterState.SERVED)]
            pod.write_set([entry("bot", second.digest, shelf.put(second))])
            seen = [next_report(lines)]
            while seen[-1].adapters[0].state is not AdapterState.SERVED:
                seen.append(next_report(lines))
            assert seen[-1].adapters[0].served_digest == second.digest
            assert all(report.generation == 2 for report in seen)
            assert len({report.to_json() for report in seen}) == len(seen)
            with pod.client() as client:
                ask(client, "bot", "hello")
            pod.here.leave()
            rest = [line for line in lines if line.startswith("data: ")]
    assert [json.loads(line.removeprefix("data: "))["ready"] for line in rest] == [False]


@pytest.mark.integration
def test_a_quiet_stream_shows_that_it_lives(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 0.05)
    pod.write_set([])
    with pod.running_here():
        pod.wait_ready()
        with stream(pod) as lines:
            assert next_report(lines).adapters == ()
            assert [next(line for line in lines if line) for _ in range(2)] == [": keep-alive"] * 2


@pytest.mark.integration
def test_metrics_count_by_model_and_never_by_what_clients_make_up(pod: Pod, shelf: Shelf, things: Things) -> None:
    first = things.versions[0]
    pod.write_set([entry("bot", first.digest, shelf.put(first))])
    with pod.running_here(), pod.client() as client:
        pod.wait_served(bot=first.digest)
        for _ in range(2):
            ask(client, "bot", "hello")
        body = {"model": "made-up", "messages": [{"role": "user", "content": "hello"}]}
        assert requests.post(f"{pod.url}/v1/chat/completions", json=body, timeout=10).status_code == 404
        answer = requests.get(f"{pod.management}/metrics", timeout=10)
        assert requests.get(f"{pod.management}/healthz", timeout=10).json() == {"status": "ok"}
    assert answer.headers["content-type"].startswith("text/plain; version=")
    values = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert values['vllm:request_success_total{finished_reason="length",model_name="bot"}'] == "2.0"
    assert values['vllm:generation_tokens_total{model_name="bot"}'] == "4.0"
    assert float(values['vllm:prompt_tokens_total{model_name="bot"}']) > 4
    assert values['vllm:time_to_first_token_seconds_count{model_name="bot"}'] == "2.0"
    assert values['adapter_server:request_refusals_total{status="404"}'] == "1.0"
    assert values['adapter_server:adapters{state="Served"}'] == "1.0"
    assert (values["vllm:num_requests_waiting"], values["vllm:num_requests_running"]) == ("0.0", "0.0")
    assert "made-up" not in answer.text


@pytest.mark.unit
def test_before_the_base_is_loaded_the_report_tells_what_will_run(tmp_path: Path) -> None:
    config = ServerConfig.from_json(json.dumps(Pod(tmp_path, tmp_path).config))

    async def report() -> AdapterReport:
        return Reporter(config, Service(config.limits, Metrics())).report()

    found = asyncio.run(report())
    assert (found.ready, found.generation, found.adapters) == (False, None, ())
    assert (found.engine.type, found.engine.base_model_name) == ("Transformers", BASE_NAME)
