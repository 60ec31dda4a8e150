"""More requests than may wait, requests that take too long, clients that go away, engines that die."""

import asyncio
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
import requests

from adapter_contract import MountTable, RequestLimits
from adapter_contract.pods import SERVING_PORT
from adapter_server.changes import Changes
from adapter_server.engines.transformers import TransformersEngine
from adapter_server.gateway.errors import ApiError
from adapter_server.gateway.models import Models
from adapter_server.gateway.service import Running, Service
from adapter_server.metrics import Metrics
from adapter_server.sync.aliases import Aliases
from adapter_server.sync.set_file import SetFile
from adapter_server.sync.synchronizer import Synchronizer
from adapter_testing.engine_lab import engine_settings
from adapter_testing.server_lab import Pod, Shelf, Things, entry
from adapter_testing.trainer_lab import BASE_NAME
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

LONG_ANSWER = {"messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 3500}


def running_requests(pod: Pod) -> float:
    lines = requests.get(f"{pod.management}/metrics", timeout=10).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("vllm:num_requests_running "))


def test_overload_is_refused_and_not_piled_up(long_answers: Pod, shelf: Shelf, things: Things) -> None:
    pod, (first, second, _) = long_answers, things.versions
    pod.changes["limits"] = {**pod.config["limits"], "maxQueuedRequests": 1}
    pod.changes["engine"] = {**pod.config["engine"], "maxActiveAdapters": 1}
    pod.write_set([entry("one", first.digest, shelf.put(first)), entry("two", second.digest, shelf.put(second))])

    def ask_two(_: int) -> requests.Response:
        body = {"model": "two", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
        return requests.post(f"{pod.url}/v1/chat/completions", json=body, timeout=60)

    with pod.running_here(), pod.client() as client:
        pod.wait_served(one=first.digest, two=second.digest)
        stream = client.chat.completions.create(model="one", stream=True, **LONG_ANSWER)
        next(iter(stream))
        with ThreadPoolExecutor(4) as pool:
            pending = [pool.submit(ask_two, number) for number in range(4)]
            until(lambda: sum(future.done() for future in pending) == 3)
            stream.close()
            answers = [future.result() for future in pending]
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "queue_full"


def test_a_request_ends_after_its_time_with_an_error_and_frees_the_engine(long_answers: Pod) -> None:
    pod = long_answers
    pod.changes["limits"] = {**pod.config["limits"], "requestTimeoutSeconds": 60}
    pod.write_set([], limits={"requestTimeoutSeconds": 1})
    with pod.running_here(), pod.client() as client:
        pod.wait_ready()
        with ThreadPoolExecutor(1) as pool:
            whole = pool.submit(client.chat.completions.create, model=BASE_NAME, **LONG_ANSWER)
            stream = client.chat.completions.create(model=BASE_NAME, stream=True, **LONG_ANSWER)
            with pytest.raises(openai.APIError, match="the request took longer than 1 s"):
                list(stream)
            with pytest.raises(openai.InternalServerError, match="longer than 1 s") as refused:
                whole.result()
        assert (refused.value.status_code, refused.value.code) == (504, "request_timeout")
        until(lambda: running_requests(pod) == 0, seconds=1)


def test_a_client_that_goes_in_the_middle_of_its_request_is_no_error(
    serving: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_connection((serving.address, SERVING_PORT), 10) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    until(lambda: any(record.name == "adapter_server.access" for record in caplog.records))
    [line] = [record.fields for record in caplog.records if record.name == "adapter_server.access"]
    assert (line["status"], line["error"]) == (499, "client_gone")


def test_an_engine_that_does_not_answer_is_told(things: Things, tmp_path: Path) -> None:
    async def service() -> Service:
        engine, changes = TransformersEngine(engine_settings(things.base)), Changes()
        aliases = Aliases(BASE_NAME)
        synchronizer = Synchronizer(engine, aliases, tmp_path / "adapters", changes)
        set_file = SetFile(tmp_path / "set", BASE_NAME, MountTable())
        running = Running(engine, Models(aliases, synchronizer, 0), synchronizer, set_file)
        limits = RequestLimits(request_timeout_seconds=1, max_queued_requests=1, max_output_tokens=1)
        return Service(limits, Metrics(), running=running)

    found = asyncio.run(service())
    words = "the engine does not answer: the engine was not started"
    assert (found.health_problem, found.ready_problem) == (words, words)
    with pytest.raises(ApiError, match=words) as refused:
        found.require_running()
    assert (refused.value.status, refused.value.code) == (503, "engine_unavailable")


def test_an_answer_ends_when_its_client_goes_and_no_prompt_is_ever_logged(
    long_answers: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pod = long_answers
    pod.write_set([])
    secret = "a prompt that nobody else may read"
    body = {"model": BASE_NAME, **LONG_ANSWER, "messages": [{"role": "user", "content": secret}]}
    with pod.running_here():
        pod.wait_ready()
        for stream in (True, False):
            with requests.Session() as session:
                if stream:
                    response = session.post(
                        f"{pod.url}/v1/chat/completions", json={**body, "stream": True}, stream=True, timeout=30
                    )
                    next(response.iter_lines())
                    response.close()
                else:
                    with pytest.raises(requests.ReadTimeout):
                        session.post(f"{pod.url}/v1/chat/completions", json=body, timeout=(5, 0.3))
            began = time.monotonic()
            until(lambda: running_requests(pod) == 0)
            assert time.monotonic() - began < 1
    logged = [record.fields for record in caplog.records if record.name == "adapter_server.access"]
    assert [(line["model"], line["error"]) for line in logged] == [(BASE_NAME, "client_gone")] * 2
    assert secret not in caplog.text
    assert secret not in repr([vars(record) for record in caplog.records])
